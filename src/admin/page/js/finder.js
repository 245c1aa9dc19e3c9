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

/** As a regular expression; under its flag u only these may stand behind a backslash. */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

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
class Finder {
  constructor({ id, label, hint, namespace, chosen }) {
    Object.assign(this, { id, namespace, chosen });
    this.list = element("ul", { id: `${id}-list`, role: "listbox", "aria-label": label,
      class: "offers", hidden: true });
    this.input = element("input", {
      id, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
      placeholder: hint, "aria-expanded": false, "aria-controls": `${id}-list`,
      "aria-autocomplete": "list",
      oninput: () => this.typed(), onkeydown: (event) => this.pressed(event),
      // Whoever has gone on waits for nothing any more, and the server need not look.
      onblur: () => this.end(),
    });
    this.note = element("p", { class: "unseen", role: "status" });
    this.node = element("div", { class: "finder" }, element("label", { for: id }, label),
      this.input, this.list, this.note);
    this.offers = [];
    this.marked = -1;
    this.timer = 0;
    this.asking = null;
    /** The list is of a text that has been changed since. */
    this.isStale = true;
    /** Enter was pressed before anything was found. */
    this.isAwaited = false;
  }

  set(text) {
    this.input.value = text;
  }

  end() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.isAwaited = false;
    this.close();
  }

  close() {
    this.list.hidden = true;
    this.note.className = "unseen";
    this.marked = -1;
    this.input.setAttribute("aria-expanded", false);
    this.input.removeAttribute("aria-activedescendant");
  }

  take(concept) {
    this.end();
    this.set(concept.name || concept.id);
    this.chosen(concept);
  }

  typed() {
    clearTimeout(this.timer);
    this.isAwaited = false;
    this.isStale = true;
    this.marked = -1;
    this.timer = setTimeout(() => this.search(), TYPED);
  }

  pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && !this.list.hidden) {
      const number = this.offers.length;
      this.mark(this.marked < 0 && step < 0 ? number - 1 : (this.marked + step + number) % number);
    } else if (event.key === "Enter") {
      this.entered();
    } else if (event.key === "Escape") {
      if (this.list.hidden) this.set("");
      this.end();
    } else {
      return;
    }
    event.preventDefault();
  }

  entered() {
    if (!this.list.hidden && !this.isStale) return this.take(this.offers[Math.max(0, this.marked)]);
    clearTimeout(this.timer);
    this.isAwaited = true;
    return this.search();
  }

  mark(at) {
    // What somebody chooses from does not change any more.
    this.asking?.abort();
    this.marked = at;
    [...this.list.children].forEach((option, place) => {
      option.setAttribute("aria-selected", place === at);
      if (place === at) option.scrollIntoView({ block: "nearest" });
    });
    this.input.setAttribute("aria-activedescendant", `${this.id}-${at}`);
  }

  async search() {
    this.asking?.abort();
    const text = this.input.value.trim();
    if (text === "") return this.close();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      await find(text, this.namespace(), signal, (concepts, isAll) => this.offer(concepts, isAll));
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof Refused)) throw error;
      this.tell(error.message, true);
    }
    return undefined;
  }

  offer(concepts, isAll) {
    this.offers = concepts;
    this.isStale = false;
    const isEmpty = concepts.length === 0;
    if (this.isAwaited && !isEmpty) return this.take(concepts[0]);
    this.list.hidden = isEmpty;
    this.input.setAttribute("aria-expanded", !isEmpty);
    this.list.replaceChildren(...concepts.map((concept, at) => this.option(concept, at)));
    if (isEmpty) return this.tell(isAll ? "Nothing found" : "Searching …", true);
    return this.tell(counted(concepts.length, "concept"), false);
  }

  option(concept, at) {
    return element("li", {
      id: `${this.id}-${at}`, role: "option", "aria-selected": at === this.marked,
      onpointerdown: (event) => event.preventDefault(), onclick: () => this.take(concept),
    }, element("strong", null, called(concept)), " ",
    element("span", null, beginning(concept.content, 90)));
  }

  /** Told to whoever listens, and where the list would be also to the eyes. */
  tell(words, isSeen) {
    this.note.className = isSeen ? "offers nothing" : "unseen";
    setText(this.note, words);
  }
}
