// The explorer: find a concept, see its neighbours drawn or listed, go to one of them, see what is
// like it and how two hang together. Where one is stands in the address.

const WALKING = "In the drawing the arrow keys go to the nearest concept that way, Enter opens it, "
  + "Home and Escape go back to the middle, plus and minus change its size, 0 fits it in. "
  + "The slash key goes to the field for finding. Going back and forward is the browser's.";

/** The concepts that were opened since the page was. */
const beenTo = new Set();

/** The view: `show(place)` draws a place. */
class Explorer {
  constructor(main) {
    this.here = place("");
    this.begun = 0;
    this.asking = null;
    /** The next drawing gets the focus: it was gone to by a key. */
    this.focusNext = false;
    this.title = element("h1", { tabindex: -1 }, "Explore");
    this.told = element("p", { class: "told", role: "status" });
    this.paging = element("div", { class: "paging" });
    this.result = element("div", { class: "result" });
    this.chosen = element("section", { class: "chosen", "aria-label": "The chosen concept" });
    this.looked = element("section", { class: "looked", "aria-label": "Pointed at" });
    this.tools = new Tools(() => this.here, (to) => this.goTo(to));
    this.drawing = new Drawing({
      seen: beenTo,
      opened: (node, byKey) => {
        this.focusNext = byKey;
        this.goTo({ view: "concept", id: node.id });
      },
      pointed: (node) => this.looked.replaceChildren(...(node ? preview(node) : [])),
    });
    main.replaceChildren(element("div", { class: "explorer" }, this.tools.node,
      element("div", { class: "stage" },
        element("section", { class: "shown", "aria-label": "Result" },
          element("div", { class: "head" }, this.title, this.told, this.paging), this.result,
          element("p", { class: "note", id: "walking" }, WALKING)),
        element("aside", { class: "panel", "aria-label": "Concept" }, this.chosen, this.looked))));
  }

  end() {
    this.asking?.abort();
    this.drawing.end();
  }

  find() {
    this.tools.find();
  }

  goTo(to) {
    go({ ...kept(this.here), ...to });
  }

  async show(to) {
    this.here = to;
    this.begun = performance.now();
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.tools.show(to);
    this.paging.replaceChildren();
    try {
      if (to.view === "path") await this.showPath(signal);
      else if (to.view === "explore") await this.showAll(signal);
      else await Promise.all([this.showChosen(signal), this.showFound(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      this.asking.abort();
      this.fail(error);
    }
  }

  fail(error) {
    setText(this.title, "Explore");
    this.result.replaceChildren(element("p", { class: "bad" },
      error.status === 0 ? "The server did not answer; going on asks it again." : error.message));
    setText(this.told, "");
    this.chosen.replaceChildren();
    this.paging.replaceChildren();
  }

  drawn(found) {
    const isTable = this.here.as === "table";
    this.looked.replaceChildren();
    if (isTable || found.nodes.length === 0) {
      this.result.replaceChildren(found.rows.length === 0
        ? element("p", { class: "note" }, found.nothing) : resultTable(found, this.here));
    } else {
      if (this.drawing.node.parentNode !== this.result) {
        this.result.replaceChildren(this.drawing.node);
      }
      this.drawing.show(found);
    }
    measureDrawn(found.edges.length, this.begun);
    if (!this.focusNext) return;
    this.focusNext = false;
    if (isTable) this.title.focus();
    else this.drawing.shapes[this.drawing.at]?.group.focus({ preventScroll: true });
  }

  async showFound(signal) {
    const { here } = this;
    const isLike = here.view === "like";
    const found = await (isLike ? alike(here, signal) : neighbourhood(here, signal));
    found.nothing = isLike ? "Nothing is like it." : "It has no such neighbours.";
    this.drawn(found);
    setText(this.told, isLike ? `The ${counted(found.number, "concept")} most like it`
      : inWords(found, here, null));
    if (isLike) return;
    this.paging.replaceChildren(...pageLinks(found, here));
    if (found.cursor === null) return;
    setText(this.told, inWords(found, here, await beyond(here, found.cursor, signal)));
  }

  async showChosen(signal) {
    const { id, namespace } = this.here;
    const concept = await ask(question(under(id), { namespace }), { signal });
    beenTo.add(concept.id);
    setText(this.title, called(concept));
    this.chosen.replaceChildren(...conceptPanel(concept, this.actions(concept)));
  }

  actions(concept) {
    const link = (view, text) => element("a", {
      href: address({ ...kept(this.here), view, id: concept.id }) }, text);
    const end = (which, text) => button(text, () => this.tools.setEnd(which, concept),
      { class: "small" });
    return element("p", { class: "actions" }, link("concept", "Neighbours"),
      concept.embedding_numbers > 0 ? link("like", "What is like it") : null,
      end("from", "Path from here"), end("to", "Path to here"));
  }

  async showPath(signal) {
    const { here } = this;
    const found = await pathBetween(here, signal);
    found.nothing = `No path of at most ${counted(Number(here.steps), "step")} leads there.`;
    const nodes = new Map(found.nodes.map((node) => [node.id, node]));
    const { paths } = found;
    this.drawn(found);
    this.chosen.replaceChildren(...paths.flatMap((path, at) => [
      element("h2", null, paths.length === 1 ? "The path" : `Path ${at + 1}`),
      stepList(path.map((id) => nodes.get(id)), here)]));
    setText(this.title, paths.length === 0 ? "No path"
      : [paths[0][0], paths[0].at(-1)].map((id) => called(nodes.get(id))).join(" to "));
    setText(this.told, paths.length === 0 ? ""
      : `${counted(paths.length, "path")}; the shortest has `
        + counted(found.lengths[0], "association"));
  }

  async showAll(signal) {
    setText(this.title, "All concepts");
    const list = new ConceptList(this.here, (words) => setText(this.told, words));
    this.result.replaceChildren(list.node);
    this.chosen.replaceChildren();
    this.looked.replaceChildren();
    await list.more(signal);
    measureDrawn(0, this.begun);
  }
}

/** The concepts of a path, each leading to itself. */
function stepList(concepts, here) {
  return element("ol", { class: "steps" }, concepts.map((concept) => element("li", null,
    element("a", { href: address({ ...kept(here), view: "concept", id: concept.id }) },
      called(concept)),
    element("small", null, beginning(concept.content, 90)))));
}

/** How many associations are shown, and how many there are besides. */
function inWords(now, here, rest) {
  const shown = `${counted(now.number, "association")} ${here.as === "table" ? "listed" : "drawn"}`;
  const before = (Math.max(1, Number(here.page) || 1) - 1) * PAGE;
  const parts = [shown];
  if (before > 0) parts.push(`${whole(before)} before them`);
  if (rest) parts.push(rest[1] ? `${whole(rest[0])} more` : `more than ${whole(rest[0])} more`);
  else if (now.cursor !== null) parts.push("there are more");
  return parts.join("; ");
}

function pageLinks(now, here) {
  const at = Math.max(1, Math.floor(Number(here.page)) || 1);
  const link = (text, page) => element("a", { class: "button",
    href: address({ ...here, page: String(page) }) }, text);
  return [
    at > 1 ? link(`Previous ${PAGE}`, at - 1) : null,
    now.cursor !== null ? link(`Next ${PAGE}`, at + 1) : null,
  ].filter(Boolean);
}

/** When somebody last pressed something: what a drawing's time counts from. */
let lastPress = 0;
for (const kind of ["click", "keydown"]) {
  addEventListener(kind, (event) => {
    lastPress = event.timeStamp;
  }, { capture: true });
}

/** Notes how long it took until this was on the screen, where a browser's tools show it. */
function measureDrawn(edges, begun) {
  // An address may have changed without a press.
  const start = begun - lastPress < 1000 ? lastPress : begun;
  requestAnimationFrame(() => setTimeout(() => {
    performance.clearMeasures("drawn");
    performance.measure("drawn", { start, detail: { edges } });
    document.body.dataset.drawn = String(edges);
  }));
}
