// A field in which a concept is found by typing: by its exact name, and by what names and contents
// contain. The list below it is worked with the arrow keys.

/** How long nobody has typed before it is asked, in milliseconds. */
const TYPED = 200;
const OFFERED = 12;
/** The server looks through so many concepts at a time as 0.2 s allow; so often it goes on. */
const ROUNDS = 60;

/** The best first: the name itself, what begins with the text, whole words, and the rest. */
function fitness(concept, text) {
  const sought = text.toLowerCase();
  const [name, content] = [concept.name.toLowerCase(), concept.content.toLowerCase()];
  if (name === sought) return 0;
  if (new RegExp(`^${escaped(sought)}(?![\\p{L}\\p{N}])`, "u").test(content)) return 1;
  if (name.startsWith(sought)) return 2;
  if (content.startsWith(sought)) return 3;
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped(sought)}(?![\\p{L}\\p{N}])`, "u").test(content)
    ? 4 : 5;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

/** The concept of exactly this name or id, or nothing. */
async function exactly(text, namespace, signal) {
  try {
    return await ask(question(`/api/v1/concepts/${encodeURIComponent(text)}`, { namespace }),
      { signal });
  } catch (error) {
    if (error instanceof Refused && [400, 404].includes(error.status)) return null;
    throw error;
  }
}

/**
 * Calls `offer(concepts, isAll)` with what is found, again when more is. `signal` ends it.
 */
async function find(text, namespace, signal, offer) {
  const first = await exactly(text, namespace, signal);
  if (first) offer([first], false);
  let found = [];
  let cursor = "";
  for (let round = 0; round < ROUNDS; round += 1) {
    const answer = await ask(question("/api/v1/find", { text, namespace, limit: 100, cursor }),
      { signal });
    found = found.concat(answer.concepts);
    cursor = answer.cursor;
    const rest = found.filter((concept) => concept.id !== first?.id)
      .map((concept) => [fitness(concept, text), concept])
      .sort(([one], [other]) => one - other).map(([, concept]) => concept);
    const isLast = cursor === null || found.length >= 400;
    offer((first ? [first, ...rest] : rest).slice(0, OFFERED), isLast);
    if (isLast) return;
  }
}

/** A field of this id and label; `chosen(concept)` is called with what is chosen. */
function finder({ id, label, hint, namespace, chosen }) {
  const list = element("ul", { id: `${id}-list`, role: "listbox", "aria-label": label,
    class: "offers", hidden: true });
  const input = element("input", {
    id, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
    placeholder: hint, "aria-expanded": false, "aria-controls": list.id,
    "aria-autocomplete": "list",
  });
  const note = element("p", { class: "unseen", role: "status" });
  const node = element("div", { class: "finder" }, element("label", { for: id }, label), input,
    list, note);
  let offers = [];
  let marked = -1;
  let timer = 0;
  let asking = null;
  /** Enter was pressed before anything was found. */
  let isAwaited = false;

  const close = () => {
    list.hidden = true;
    marked = -1;
    input.setAttribute("aria-expanded", false);
    input.removeAttribute("aria-activedescendant");
  };
  const end = () => {
    clearTimeout(timer);
    asking?.abort();
    isAwaited = false;
    close();
  };
  const take = (concept) => {
    end();
    input.value = concept.name || concept.id;
    chosen(concept);
  };
  const mark = (at) => {
    // What somebody chooses from does not change any more.
    asking?.abort();
    marked = at;
    [...list.querySelectorAll("[role=option]")].forEach((option, place) => {
      option.setAttribute("aria-selected", place === at);
      if (place === at) option.scrollIntoView({ block: "nearest" });
    });
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${id}-${at}`);
  };
  const offer = (concepts, isAll) => {
    offers = concepts;
    if (isAwaited && concepts.length > 0) return take(concepts[0]);
    list.hidden = concepts.length === 0;
    input.setAttribute("aria-expanded", concepts.length > 0);
    list.replaceChildren(...concepts.map((concept, at) => element("li", {
      id: `${id}-${at}`, role: "option", "aria-selected": at === marked,
      onpointerdown: (event) => event.preventDefault(), onclick: () => take(concept),
    }, element("strong", null, called(concept)), " ",
    element("span", null, beginning(concept.content, 90)))));
    const words = concepts.length === 0 ? "Nothing found" : counted(concepts.length, "concept");
    setText(note, isAll || concepts.length > 0 ? words : "Searching …");
    node.dataset.found = isAll ? String(concepts.length) : "";
    return undefined;
  };
  const search = async () => {
    asking?.abort();
    const text = input.value.trim();
    if (text === "") return close();
    asking = new AbortController();
    const { signal } = asking;
    try {
      await find(text, namespace(), signal, offer);
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof Refused)) throw error;
      setText(note, error.message);
    }
    return undefined;
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    isAwaited = false;
    marked = -1;
    timer = setTimeout(search, TYPED);
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && !list.hidden) {
      event.preventDefault();
      mark((marked + step + offers.length + (marked < 0 && step < 0 ? 1 : 0)) % offers.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!list.hidden) return take(offers[Math.max(0, marked)]);
      clearTimeout(timer);
      isAwaited = true;
      search();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (list.hidden) input.value = "";
      end();
    }
    return undefined;
  });
  input.addEventListener("blur", close);
  return { node, input, set: (text) => {
    input.value = text;
  } };
}
