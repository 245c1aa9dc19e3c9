// Where in the page somebody is. It stands behind the # of the address, so that going back and
// forward, bookmarks and links to others work.
//
//   #/                           the overview
//   #/explore                    all concepts
//   #/concept/REF?…              a concept and its neighbours
//   #/like/REF?…                 the concepts that are most like it
//   #/path/FROM/TO?…             how two hang together
//
// Behind the ?: namespace, kinds (separated by commas), direction, page, steps, and as=table.

const DEFAULTS = { namespace: "", kinds: "", direction: "both", page: "1", steps: "6",
  as: "drawing" };

/** The parts of an address; an unknown one is the overview's. */
function place(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const given = Object.fromEntries(new URLSearchParams(query ?? ""));
  const options = Object.fromEntries(Object.keys(DEFAULTS).map((name) =>
    [name, given[name] ?? DEFAULTS[name]]));
  let parts;
  try {
    parts = path.split("/").map(decodeURIComponent);
  } catch {
    parts = [""];
  }
  const [view, first, second] = parts;
  if ((view === "concept" || view === "like") && first) return { view, id: first, ...options };
  if (view === "path" && first && second) return { view, from: first, to: second, ...options };
  return { view: view === "explore" ? "explore" : "overview", ...options };
}

/** The address of a place; what is left out is as by default. */
function address(to) {
  const parts = [to.view === "overview" ? "" : to.view, to.id ?? to.from, to.to]
    .filter((part) => part !== undefined).map(encodeURIComponent);
  const changed = Object.keys(DEFAULTS).filter((name) =>
    to[name] !== undefined && to[name] !== DEFAULTS[name]);
  const query = new URLSearchParams(changed.map((name) => [name, to[name]]));
  return `#/${parts.join("/")}${changed.length > 0 ? `?${query}` : ""}`;
}

/** What stays when somebody goes from one place to another in the explorer. */
function kept(from) {
  const { namespace, kinds, direction, steps, as } = from;
  return { namespace, kinds, direction, steps, as };
}

function go(to) {
  location.hash = address(to);
}
