// A concept as it is shown beside the drawing: everything that the server keeps of it.

function conceptFacts(concept) {
  const time = (micros) => micros ? moment(micros) : null;
  return [
    ["id", element("code", null, concept.id)],
    ["strength", concept.strength === undefined ? null : digits(concept.strength)],
    ["confidence", concept.confidence === undefined ? null : digits(concept.confidence)],
    ["embedding", concept.embedding_numbers
      ? counted(concept.embedding_numbers, "number") : "none"],
    ["first learned", time(concept.created_us)],
    ["last learned", time(concept.updated_us)],
  ];
}

/** The chosen concept, with where one can go from it. */
function conceptPanel(concept, actions) {
  if (concept.learned === false) {
    return [element("h2", null, called(concept)),
      element("p", { class: "note" }, "It is not learned: only associations name it."),
      element("dl", { class: "facts" }, ...terms(conceptFacts(concept).slice(0, 1))), actions];
  }
  const content = concept.content ?? "";
  const size = concept.content_bytes ?? 0;
  const isCut = size > new TextEncoder().encode(content).length;
  return [
    element("h2", null, called(concept)),
    content === "" ? element("p", { class: "note" }, "It has no content.")
      : element("p", { class: "content" }, content),
    isCut ? element("p", { class: "note" }, `This is its beginning; it has ${bytes(size)}.`) : null,
    actions,
    element("dl", { class: "facts" }, ...terms(conceptFacts(concept))),
  ].filter(Boolean);
}

/** What is being looked at: so much as the drawing knows of it. */
function preview(node) {
  return [
    element("h3", null, called(node)),
    element("p", { class: "content" }, node.learned
      ? beginning(node.content, 300) || "It has no content."
      : "It is not learned: only associations name it."),
  ];
}
