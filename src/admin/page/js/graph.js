// What the explorer asks the server for, as concepts and associations to draw or to list.
//
// A result is `{ label, nodes, edges, rows, heads }`: the drawing's part and the table's.

/** Associations that are drawn at a time. */
const PAGE = 300;
/** How many requests of a thousand count what is beyond a page. */
const COUNTED = 5;
const MOST_ALIKE = 24;
const ALTERNATIVES = 3;

const under = (id) => `/api/v1/concepts/${encodeURIComponent(id)}`;

/** What filters narrow down. */
function filters(place) {
  const { namespace, kinds, direction } = place;
  return { namespace, type: kinds, direction: direction === "both" ? "" : direction };
}

/** A concept to draw, once however often it is named. */
function nodeOf(concept, look, group, words) {
  return { id: concept.id, name: concept.name, content: concept.content ?? "",
    learned: concept.learned !== false, look, group,
    words: [called(concept), beginning(concept.content ?? "", 60), words]
      .filter(Boolean).join(", ") };
}

const middleOf = (concept) => ({ ...nodeOf(concept, "", "", "the chosen concept"),
  isMiddle: true });

function confidence(value) {
  return Number.isFinite(value) ? value.toFixed(2) : "";
}

/** Cursors by what was asked: where each page begins. */
const pages = new Map();

async function page(place, signal) {
  const asked = { ...filters(place), limit: PAGE };
  const key = JSON.stringify([place.id, asked]);
  const begins = pages.get(key) ?? [""];
  pages.set(key, begins);
  const wanted = Math.max(1, Math.floor(Number(place.page)) || 1);
  let answer = null;
  // A page that nobody has come to before is reached from the last one that is known.
  for (let at = Math.min(wanted, begins.length); at <= wanted; at += 1) {
    answer = await ask(question(`${under(place.id)}/neighbors`,
      { ...asked, cursor: begins[at - 1] }), { signal });
    if (answer.cursor === null) break;
    begins[at] = answer.cursor;
  }
  return answer;
}

/** How many associations follow this cursor: `[at least, whether that is all]`. */
async function beyond(place, cursor, signal) {
  let number = 0;
  for (let round = 0; round < COUNTED && cursor !== null; round += 1) {
    const answer = await ask(question(`${under(place.id)}/neighbors`,
      { ...filters(place), limit: 1000, cursor }), { signal });
    number += answer.neighbors.length;
    cursor = answer.cursor;
  }
  return [number, cursor === null];
}

/** A concept's neighbours. */
async function neighbourhood(place, signal) {
  const { concept, neighbors, cursor } = await page(place, signal);
  const nodes = new Map([[concept.id, middleOf(concept)]]);
  const edges = neighbors.map((other) => {
    const { type: kind, direction } = other;
    const words = direction === "out" ? `${kind}, leads there` : `${kind}, comes from there`;
    if (!nodes.has(other.id)) {
      nodes.set(other.id, nodeOf(other, lookOf(kind), `${kind} ${direction}`, words));
    }
    const [from, to] = direction === "out" ? [concept.id, other.id] : [other.id, concept.id];
    return { from, to, kind };
  });
  return {
    label: `${called(concept)} and its neighbours`,
    nodes: [...nodes.values()],
    edges,
    cursor,
    number: neighbors.length,
    heads: ["direction", "kind", "#confidence", "concept", "content"],
    rows: neighbors.map((other) => [directionCell(other.direction), kindCell(other.type),
      figure(confidence(other.confidence)), other]),
  };
}

/** The concepts whose embeddings are most like one's. */
async function alike(place, signal) {
  const [concept, { results }] = await Promise.all([
    ask(question(under(place.id), { namespace: place.namespace }), { signal }),
    ask(question("/api/v1/search",
      { like: place.id, k: MOST_ALIKE + 1, namespace: place.namespace }), { signal }),
  ]);
  const others = results.filter((other) => other.id !== concept.id).slice(0, MOST_ALIKE);
  return {
    label: `${called(concept)} and what is most like it`,
    nodes: [middleOf(concept), ...others.map((other) =>
      nodeOf(other, lookOf("alike"), "", `similarity ${confidence(other.similarity)}`))],
    edges: others.map((other) => ({ from: concept.id, to: other.id, kind: "alike",
      isUndirected: true })),
    cursor: null,
    number: others.length,
    heads: ["#similarity", "concept", "content"],
    rows: others.map((other) => [figure(confidence(other.similarity)), other]),
  };
}

/** How two concepts hang together. */
async function pathBetween(place, signal) {
  const answer = await ask(question("/api/v1/path", { ...filters(place), from: place.from,
    to: place.to, max_depth: place.steps, alternatives: ALTERNATIVES }), { signal });
  const nodes = new Map();
  const edges = new Map();
  const rows = [];
  answer.paths.forEach(({ concepts, associations }, number) => {
    concepts.forEach((concept, step) => {
      const end = step === 0 || step === concepts.length - 1;
      if (!nodes.has(concept.id)) {
        nodes.set(concept.id, { ...nodeOf(concept, end ? "end" : "", "",
          step === 0 ? "where the path begins" : `step ${step}`), isEnd: end });
      }
      const by = associations[step - 1];
      if (by) {
        const before = concepts[step - 1].id;
        const [from, to] = by.direction === "in" ? [concept.id, before] : [before, concept.id];
        edges.set([from, to, by.type].join(), { from, to, kind: by.type, says: by.type });
      }
      rows.push([figure(String(number + 1)), figure(String(step)),
        by ? directionCell(by.direction) : "", by ? kindCell(by.type) : "", concept]);
    });
  });
  return {
    label: "The paths between two concepts",
    nodes: [...nodes.values()],
    edges: [...edges.values()],
    paths: answer.paths.map(({ concepts }) => concepts.map(({ id }) => id)),
    lengths: answer.paths.map(({ length }) => length),
    cursor: null,
    number: edges.size,
    heads: ["#path", "#step", "direction", "kind", "concept", "content"],
    rows,
  };
}

function directionCell(direction) {
  return element("td", { class: "whole" }, direction === "in" ? "← in" : "→ out");
}

/** A kind's name with its look. */
function kindCell(kind) {
  return element("td", { class: "whole" }, swatch(kind), " ", kind);
}

function swatch(kind) {
  return shape("svg", { class: "swatch", width: 24, height: 8, "aria-hidden": true },
    shape("path", { class: `edge ${lookOf(kind)}`, d: "M1 4H23" }));
}

/** A result as a table; each concept leads to itself. */
function resultTable(result, place) {
  const rows = result.rows.map((cells) => {
    const concept = cells.at(-1);
    const link = element("a", {
      href: address({ ...kept(place), view: "concept", id: concept.id }) }, called(concept));
    const more = concept.learned === false ? "not learned; only associations name it"
      : beginning(concept.content ?? "", 200);
    return row([...cells.slice(0, -1), link, element("td", { class: "content" }, more)]);
  });
  return table(result.label, result.heads, rows, { class: "wide" });
}
