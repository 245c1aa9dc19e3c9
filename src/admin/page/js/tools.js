// What stands above the explorer: finding, filters, and the path between two.

/** The ends of a path, in the order in which they are asked for. */
const ENDS = ["from", "to"];

/** The tools. `where()` is the place that is shown, `goTo(place)` goes to another. */
class Tools {
  constructor(where, goTo) {
    Object.assign(this, { where, goTo });
    this.concept = this.finder("find", "Find", "a name, or words of a content", ({ id }) =>
      goTo({ view: "concept", id }));
    this.as = element("div", { class: "switch", role: "group", "aria-label": "Shown as" },
      [["drawing", "Drawing"], ["table", "Table"]].map(([value, text]) =>
        button(text, () => goTo({ ...where(), as: value }), { "data-as": value })));
    // On a phone there is room for finding, and for the rest when it is asked for.
    this.fold = button("Path and filters",
      () => this.unfold(!this.node.classList.contains("unfolded")),
      { class: "fold", "aria-expanded": false });
    this.node = element("div", { class: "tools" },
      element("div", { class: "line" }, steering(), this.concept.node, this.as, this.fold,
        this.paths()),
      this.filters());
  }

  finder(id, label, hint, chosen) {
    return new Finder({ id, label, hint, chosen, namespace: () => this.where().namespace });
  }

  paths() {
    this.ends = { from: null, to: null };
    const field = (which, label) => this.finder(`path-${which}`, label, "a concept", (found) => {
      this.ends[which] = found.id;
      this.offerPath();
    });
    this.fields = { from: field("from", "Path from"), to: field("to", "to") };
    this.steps = element("input", { id: "steps", type: "number", min: 1, max: 32, value: 6 });
    this.showPath = button("Show path", () => this.goTo({ view: "path", ...this.ends,
      steps: this.steps.value }), { disabled: true });
    return element("div", { class: "paths more" }, this.fields.from.node, this.fields.to.node,
      labelled("steps", "at most, steps", this.steps), this.showPath);
  }

  offerPath() {
    this.showPath.disabled = ENDS.some((which) => this.ends[which] === null);
  }

  filters() {
    this.kinds = element("fieldset", { class: "kinds" }, element("legend", null, "Kinds"));
    this.direction = element("select", { id: "direction", onchange: () =>
      this.goTo({ ...this.where(), direction: this.direction.value, page: "1" }) },
    [["both", "both ways"], ["out", "→ out"], ["in", "← in"]].map(([value, text]) =>
      element("option", { value }, text)));
    this.space = element("input", { id: "namespace", type: "text", autocomplete: "off",
      spellcheck: "false", placeholder: "the unnamed one", onchange: () =>
        this.goTo({ view: "explore", namespace: this.space.value.trim() }) });
    return element("div", { class: "line more" }, this.kinds,
      labelled("direction", "Direction", this.direction),
      labelled("namespace", "Namespace", this.space));
  }

  unfold(isOpen) {
    this.node.classList.toggle("unfolded", isOpen);
    this.fold.setAttribute("aria-expanded", isOpen);
  }

  find() {
    this.concept.input.focus();
  }

  /** Makes a concept an end of a path, and goes to what is to be done next. */
  setEnd(which, found) {
    this.ends[which] = found.id;
    this.fields[which].set(called(found));
    this.unfold(true);
    this.offerPath();
    const other = ENDS.find((end) => end !== which);
    (this.showPath.disabled ? this.fields[other].input : this.showPath).focus();
  }

  showKinds(place) {
    const shown = place.kinds === "" ? KINDS : place.kinds.split(",");
    const all = [...KINDS, ...shown.filter((kind) => !KINDS.includes(kind))];
    const focused = this.kinds.contains(document.activeElement) && document.activeElement.value;
    const boxes = all.map((kind) => {
      const box = element("input", { type: "checkbox", value: kind,
        onchange: () => this.chooseKinds() });
      box.checked = shown.includes(kind);
      return box;
    });
    this.kinds.replaceChildren(this.kinds.firstChild, ...boxes.map((box) =>
      element("label", null, box, swatch(box.value), box.value)));
    boxes.find((box) => box.value === focused)?.focus();
  }

  chooseKinds() {
    const left = [...this.kinds.querySelectorAll("input:checked")].map((box) => box.value);
    // All of them, or none, is no filter: kinds that have numbers for names are shown, too.
    const isAll = left.length === 0 || KINDS.every((kind) => left.includes(kind));
    this.goTo({ ...this.where(), kinds: isAll ? "" : left.join(","), page: "1" });
  }

  /** Brings all in line with a place. */
  show(place) {
    this.showKinds(place);
    this.direction.value = place.direction;
    this.space.value = place.namespace;
    this.steps.value = place.steps;
    for (const one of this.as.children) {
      one.setAttribute("aria-pressed", one.dataset.as === place.as);
    }
    const isNarrowed = place.view === "concept" || place.view === "path";
    this.kinds.disabled = !isNarrowed;
    this.direction.disabled = !isNarrowed;
    this.as.hidden = place.view === "explore";
    if (place.view !== "path") return;
    for (const which of ENDS) {
      if (this.ends[which] !== place[which]) this.fields[which].set(place[which]);
      this.ends[which] = place[which];
    }
    this.offerPath();
  }
}

function steering() {
  return element("div", { class: "steer", role: "group", "aria-label": "Where you were" },
    button("←", () => history.back(), { "aria-label": "Back" }),
    button("→", () => history.forward(), { "aria-label": "Forward" }));
}

function labelled(id, text, input) {
  return element("div", { class: "field" }, element("label", { for: id }, text), input);
}
