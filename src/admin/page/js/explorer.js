// The explorer: find a concept, see its neighbours drawn or listed, go to one of them, see what is
// like it and how two hang together. Where one is stands in the address.

const WALKING = "In the drawing the arrow keys go to the nearest concept that way, Enter opens it, "
  + "Home and Escape go back to the middle, plus and minus change its size, 0 fits it in. "
  + "The slash key goes to the field for finding. Going back and forward is the browser's.";

/** The concepts that were opened since the page was. */
const beenTo = new Set();

/** The view. Returns `show(place)`, which draws a place, and `end()`. */
function explorerView(main) {
  let here = place("");
  let begun = 0;
  let asking = null;
  const goTo = (to) => go({ ...kept(here), ...to });
  const title = element("h1", { tabindex: -1 }, "Explore");
  const told = element("p", { class: "told", role: "status" });
  const paging = element("div", { class: "paging" });
  const result = element("div", { class: "result" });
  const chosen = element("section", { class: "chosen", "aria-label": "The chosen concept" });
  const looked = element("section", { class: "looked", "aria-label": "Pointed at" });
  const tools = explorerTools(() => here, goTo);
  const drawing = new Drawing({
    seen: beenTo,
    opened: (node, byKey) => {
      focusNext = byKey;
      goTo({ view: "concept", id: node.id });
    },
    pointed: (node) => looked.replaceChildren(...(node ? preview(node) : [])),
  });
  let focusNext = false;
  main.replaceChildren(element("div", { class: "explorer" }, tools.node,
    element("div", { class: "stage" },
      element("section", { class: "shown", "aria-label": "Result" },
        element("div", { class: "head" }, title, told, paging), result,
        element("p", { class: "note", id: "walking" }, WALKING)),
      element("aside", { class: "panel", "aria-label": "Concept" }, chosen, looked))));

  function fail(error) {
    result.replaceChildren(element("p", { class: "bad" },
      error.status === 0 ? `${error.message}; the page asks again when you go on.`
        : error.message));
    setText(told, "");
    chosen.replaceChildren();
    paging.replaceChildren();
  }

  function drawn(found) {
    const isTable = here.as === "table";
    looked.replaceChildren();
    if (isTable || found.nodes.length === 0) {
      result.replaceChildren(found.rows.length === 0
        ? element("p", { class: "note" }, found.nothing ?? "There is nothing to show.")
        : resultTable(found, here));
    } else {
      if (drawing.node.parentNode !== result) result.replaceChildren(drawing.node);
      drawing.show(found);
    }
    measureDrawn(found.edges.length, begun);
    if (!focusNext) return;
    focusNext = false;
    if (isTable) title.focus();
    else drawing.shapes[drawing.at]?.group.focus({ preventScroll: true });
  }

  const actions = (concept) => element("p", { class: "actions" },
    element("a", { href: address({ ...kept(here), view: "concept", id: concept.id }) },
      "Neighbours"),
    concept.embedding_numbers > 0
      ? element("a", { href: address({ ...kept(here), view: "like", id: concept.id }) },
        "What is like it") : null,
    button("Path from here", () => tools.pathFrom(concept), { class: "small" }),
    button("Path to here", () => tools.pathTo(concept), { class: "small" }));

  async function showFound(signal) {
    const isLike = here.view === "like";
    const found = await (isLike ? alike(here, signal) : neighbourhood(here, signal));
    if (!isLike && found.number === 0) found.nothing = "It has no such neighbours.";
    drawn(found);
    setText(told, isLike ? `The ${counted(found.number, "concept")} that are most like it`
      : inWords(found, here, null));
    if (isLike) return;
    paging.replaceChildren(...pageLinks(found, here));
    if (found.cursor === null) return;
    setText(told, inWords(found, here, await beyond(here, found.cursor, signal)));
  }

  async function showChosen(signal) {
    const concept = await ask(question(under(here.id), { namespace: here.namespace }), { signal });
    beenTo.add(concept.id);
    setText(title, called(concept));
    chosen.replaceChildren(...conceptPanel(concept, actions(concept)));
  }

  async function showPath(signal) {
    setText(title, "Path");
    const found = await pathBetween(here, signal);
    found.nothing = `No path of at most ${counted(Number(here.steps), "step")} leads there.`;
    drawn(found);
    const [shortest] = found.lengths;
    const ends = found.nodes.filter((node) => node.isEnd).map(called);
    if (found.nodes.length > 0) setText(title, ends.join(" to "));
    setText(told, found.nodes.length === 0 ? found.nothing
      : `${counted(found.lengths.length, "path")}; the shortest has `
        + counted(shortest, "association"));
    const byId = new Map(found.nodes.map((node) => [node.id, node]));
    chosen.replaceChildren(...found.paths.flatMap((path, at) => [
      element("h2", null, found.paths.length === 1 ? "The path" : `Path ${at + 1}`),
      stepList(path.map((id) => byId.get(id)), here)]));
  }

  async function showAll(signal) {
    setText(title, "All concepts");
    const list = new ConceptList(here);
    result.replaceChildren(list.node);
    chosen.replaceChildren();
    setText(told, await list.more(signal));
    measureDrawn(0, begun);
  }

  async function show(to) {
    here = to;
    begun = performance.now();
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    tools.show(here);
    paging.replaceChildren();
    try {
      if (here.view === "path") await showPath(signal);
      else if (here.view === "explore") await showAll(signal);
      else await Promise.all([showChosen(signal), showFound(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      asking.abort();
      fail(error);
    }
  }

  const end = () => {
    asking?.abort();
    drawing.end();
  };
  return { show, end, find: () => tools.find() };
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

/** Concepts that are listed at a time. */
const LISTED = 100;

/** All concepts, by and by. */
class ConceptList {
  constructor(here) {
    this.here = here;
    this.cursor = "";
    this.number = 0;
    this.table = table("Concepts", ["concept", "content"], [], { class: "wide" });
    this.next = button("Show more", () => this.more(), { hidden: true });
    this.node = element("div", null, this.table, this.next);
  }

  /** Adds what comes next. Returns in words what is shown. */
  async more(signal) {
    const wanted = this.number + LISTED;
    // An answer has the concepts of one core, and fewer than asked for where that has no more.
    do {
      await this.add(wanted - this.number, signal);
    } while (this.number < wanted && this.cursor !== null);
    this.next.hidden = this.cursor === null;
    if (this.number === 0) return "There are no concepts here yet.";
    const shown = `${counted(this.number, "concept")} listed`;
    return this.cursor === null ? shown : `${shown}; there are more`;
  }

  async add(limit, signal) {
    const answer = await ask(question("/api/v1/concepts",
      { namespace: this.here.namespace, limit, cursor: this.cursor }), { signal });
    this.cursor = answer.cursor;
    this.number += answer.concepts.length;
    this.table.querySelector("tbody").append(...answer.concepts.map((concept) => row([
      element("a", { href: address({ ...kept(this.here), view: "concept", id: concept.id }) },
        called(concept)),
      element("td", { class: "content" }, beginning(concept.content, 200)),
    ])));
  }
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
