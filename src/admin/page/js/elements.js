// Elements whose text is text. Nothing here reads HTML, so no name or content that the server keeps
// can become markup; the page's policy forbids the ways that could.

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    const isAbsent = value === false && !name.startsWith("aria-");
    if (value === undefined || value === null || isAbsent) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
  const present = children.flat().filter((child) => child !== null && child !== undefined);
  node.append(...present);
  return node;
}

/** An HTML element; attributes that begin with "on" are listeners. */
function element(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function shape(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

const byId = (id) => document.getElementById(id);

/** Changes a text only where it differs, so that nobody is told of it again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function button(text, pressed, attributes) {
  return element("button", { type: "button", onclick: pressed, ...attributes }, text);
}

/**
 * A table that scrolls by itself where it is wider than the page, and by keys. The head of a column
 * of figures begins with "#".
 */
function table(caption, heads, rows, attributes) {
  const head = element("tr", null, heads.map((text) => text.startsWith("#")
    ? element("th", { scope: "col", class: "figure" }, text.slice(1))
    : element("th", { scope: "col" }, text)));
  const body = element("tbody", null, rows);
  const whole = element(
    "table",
    attributes,
    element("caption", { class: "unseen" }, caption),
    element("thead", null, head),
    body,
  );
  return element("div", { class: "scroll", tabindex: 0, role: "region",
    "aria-label": `Table: ${caption}` }, whole);
}

function row(cells, attributes) {
  return element("tr", attributes, cells.map((cell) =>
    cell instanceof Node && cell.tagName === "TD" ? cell : element("td", null, cell)));
}

/** A cell whose figures stand below each other. */
function figure(text) {
  return element("td", { class: "figure" }, text);
}

/** Names with what they are, as a list of terms. */
function terms(pairs) {
  return pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => element("div", null, element("dt", null, name),
      element("dd", null, value)));
}
