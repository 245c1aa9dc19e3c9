// What stands above the explorer: finding, filters, and the path between two.

/** The tools. `where()` is the place that is shown, `goTo(place)` goes to another. */
function explorerTools(where, goTo) {
  const namespace = () => where().namespace;
  const concept = finder({ id: "find", label: "Find", hint: "a name, or words of a content",
    namespace, chosen: ({ id }) => goTo({ view: "concept", id }) });
  const ends = { from: null, to: null };
  const end = (which, label) => finder({ id: `path-${which}`, label, hint: "a concept", namespace,
    chosen: (found) => {
      ends[which] = found.id;
      offerPath();
    } });
  const from = end("from", "Path from");
  const to = end("to", "to");
  const steps = element("input", { id: "steps", type: "number", min: 1, max: 32, value: 6 });
  const showPath = button("Show path", () => goTo({ view: "path", from: ends.from, to: ends.to,
    steps: steps.value }), { disabled: true });
  function offerPath() {
    showPath.disabled = ends.from === null || ends.to === null;
  }
  const setEnd = (which, field) => (found) => {
    ends[which] = found.id;
    field.set(called(found));
    unfold(true);
    offerPath();
    const other = which === "from" ? to : from;
    (showPath.disabled ? other.input : showPath).focus();
  };

  const kinds = element("fieldset", { class: "kinds" }, element("legend", null, "Kinds"));
  const direction = choice("direction", "Direction",
    [["both", "both ways"], ["out", "→ out"], ["in", "← in"]],
    (value) => goTo({ ...where(), direction: value, page: "1" }));
  const as = element("div", { class: "switch", role: "group", "aria-label": "Shown as" },
    [["drawing", "Drawing"], ["table", "Table"]].map(([value, text]) =>
      button(text, () => goTo({ ...where(), as: value }), { "data-as": value })));
  const space = element("input", { id: "namespace", type: "text", autocomplete: "off",
    spellcheck: "false", placeholder: "the unnamed one", onchange: () =>
      goTo({ view: "explore", namespace: space.value.trim() }) });
  const steering = element("div", { class: "steer", role: "group", "aria-label": "Where you were" },
    button("←", () => history.back(), { "aria-label": "Back" }),
    button("→", () => history.forward(), { "aria-label": "Forward" }));

  function showKinds(place) {
    const shown = place.kinds === "" ? KINDS : place.kinds.split(",");
    const all = [...KINDS, ...shown.filter((kind) => !KINDS.includes(kind))];
    const boxes = all.map((kind) => {
      const box = element("input", { type: "checkbox", value: kind });
      box.checked = shown.includes(kind);
      box.addEventListener("change", () => {
        const left = boxes.filter(({ input }) => input.checked).map(({ input }) => input.value);
        // All of them, or none, is no filter: kinds that have numbers for names are shown, too.
        const isAll = left.length === 0 || KINDS.every((name) => left.includes(name));
        goTo({ ...where(), kinds: isAll ? "" : left.join(","), page: "1" });
      });
      return { input: box, node: element("label", null, box, swatch(kind), kind) };
    });
    const focused = document.activeElement?.value;
    const hadFocus = kinds.contains(document.activeElement);
    kinds.replaceChildren(kinds.firstChild, ...boxes.map(({ node }) => node));
    if (hadFocus) boxes.find(({ input }) => input.value === focused)?.input.focus();
  }

  function show(place) {
    showKinds(place);
    direction.value = place.direction;
    space.value = place.namespace;
    steps.value = place.steps;
    for (const one of as.children) {
      one.setAttribute("aria-pressed", one.dataset.as === place.as);
    }
    const isNarrowed = place.view === "concept" || place.view === "path";
    kinds.disabled = !isNarrowed;
    direction.disabled = !isNarrowed;
    as.hidden = place.view === "explore";
    if (place.view !== "path") return;
    for (const [which, field] of [["from", from], ["to", to]]) {
      if (ends[which] !== place[which]) field.set(place[which]);
      ends[which] = place[which];
    }
    offerPath();
  }

  // On a phone there is room for finding, and for the rest when it is asked for.
  const unfold = (isOpen) => {
    node.classList.toggle("unfolded", isOpen);
    fold.setAttribute("aria-expanded", isOpen);
  };
  const fold = button("Path and filters", () => unfold(!node.classList.contains("unfolded")),
    { class: "fold", "aria-expanded": false });
  const node = element("div", { class: "tools" },
    element("div", { class: "line" }, steering, concept.node, as, fold,
      element("div", { class: "paths more" }, from.node, to.node,
        labelled("steps", "at most, steps", steps), showPath)),
    element("div", { class: "line more" }, kinds, labelled("direction", "Direction", direction),
      labelled("namespace", "Namespace", space)));
  return { node, show, find: () => concept.input.focus(), pathFrom: setEnd("from", from),
    pathTo: setEnd("to", to) };
}

function labelled(id, text, input) {
  return element("div", { class: "field" }, element("label", { for: id }, text), input);
}

function choice(id, label, options, chosen) {
  const select = element("select", { id, onchange: () => chosen(select.value) },
    options.map(([value, text]) => element("option", { value }, text)));
  return select;
}
