// All concepts of a namespace as a table, by and by.

/** Concepts that are listed at a time. */
const LISTED = 100;

/** A table that grows; `told(words)` is called with what it has then. */
class ConceptList {
  constructor(here, told) {
    Object.assign(this, { here, told });
    this.cursor = "";
    this.number = 0;
    this.table = table("Concepts", ["concept", "content"], [], { class: "wide" });
    this.next = button("Show more", () => this.pressed(), { hidden: true });
    this.node = element("div", null, this.table, this.next);
  }

  async pressed() {
    try {
      await this.more();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.told(error.message);
    }
  }

  /** Adds what comes next. */
  async more(signal) {
    const wanted = this.number + LISTED;
    // An answer has the concepts of one core, and fewer than asked for where that has no more.
    do {
      await this.add(wanted - this.number, signal);
    } while (this.number < wanted && this.cursor !== null);
    this.next.hidden = this.cursor === null;
    const shown = this.number === 0 ? "There are no concepts here yet"
      : `${counted(this.number, "concept")} listed`;
    this.told(this.cursor === null ? shown : `${shown}; there are more`);
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
