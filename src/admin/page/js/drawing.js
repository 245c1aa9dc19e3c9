// A drawing of concepts and the associations between them, in SVG. It can be moved and made larger;
// dots and labels keep their size, so that there is room for more labels then.
//
// To a screen reader it is a list of concepts, of which the arrow keys choose one (`walking.js`).

const DOT = 6;
const MIDDLE_DOT = 10;
const LETTER = 6.4;
const LABEL_LETTERS = 24;
const LABEL_LINE = 13;
const ARROW = 5;
/** Up to so many associations say their kind where they are drawn. */
const NAMED_EDGES = 12;
/** So many that they are drawn thin, as they would hide each other. */
const MANY = 80;

const KINDS = ["semantic", "causal", "temporal", "hierarchical", "compositional"];
/** A kind's look: colour and dashes. Those that have a number for a name share one. */
const lookOf = (kind) => kind === "alike" ? "kind6" : `kind${(KINDS.indexOf(kind) + 6) % 6}`;

const overlap = (one, other) => one.left < other.right && other.left < one.right
  && one.top < other.bottom && other.top < one.bottom;

/**
 * A drawing. `opened(concept)` is called when somebody wants to go to one, `pointed(concept)` when
 * one is looked at, with nothing when none is.
 */
class Drawing {
  constructor({ opened, pointed, seen }) {
    Object.assign(this, { opened, pointed, seen });
    this.edges = shape("g", { "aria-hidden": true });
    this.dots = shape("g", { role: "presentation" });
    // Above all dots, and hidden from whoever hears the concepts' own words.
    this.names = shape("g", { "aria-hidden": true });
    this.lit = shape("g", { class: "lit", "aria-hidden": true });
    this.svg = shape("svg", { class: "graph", role: "listbox",
      "aria-label": "Drawing", "aria-describedby": "walking" }, this.edges, this.dots, this.names,
      this.lit);
    this.node = element("div", { class: "canvas" }, this.svg, this.controls());
    this.model = { nodes: [], edges: [] };
    this.shapes = [];
    this.at = 0;
    this.view = { scale: 1, x: 0, y: 0 };
    this.resized = new ResizeObserver(() => this.measured());
    this.resized.observe(this.node);
    listenToPointers(this);
    listenToKeys(this);
  }

  end() {
    this.resized.disconnect();
  }

  controls() {
    return element("div", { class: "zoom", role: "group", "aria-label": "Size of the drawing" },
      button("+", () => this.zoom(1.4), { "aria-label": "Larger" }),
      button("−", () => this.zoom(1 / 1.4), { "aria-label": "Smaller" }),
      button("Fit", () => this.fit()));
  }

  measured() {
    const { clientWidth: width, clientHeight: height } = this.node;
    if (width === 0 || (width === this.width && height === this.height)) return;
    const isFirst = !this.width;
    const had = this.width / this.height;
    Object.assign(this, { width, height });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    // Turned from upright to wide, it is laid out anew.
    if (isFirst || (had < 1) !== (width / height < 1)) this.show(this.model);
    else this.fit();
  }

  /** Draws these: `{ label, nodes, edges, paths? }`. */
  show(model) {
    this.model = model;
    this.at = Math.max(0, model.nodes.findIndex((node) => node.isMiddle));
    this.svg.setAttribute("aria-label", model.label ?? "Drawing");
    if (!this.width) return;
    this.places = layout(model, this.width / this.height);
    const indexes = new Map(model.nodes.map((node, at) => [node.id, at]));
    this.lines = edgeLines(model.edges, indexes);
    this.shapes = model.nodes.map((node, at) => this.dot(node, at));
    this.dots.replaceChildren(...this.shapes.map(({ group }) => group));
    this.fit();
  }

  dot(node, at) {
    const size = node.isMiddle ? MIDDLE_DOT : this.model.nodes.length > MANY ? DOT - 1 : DOT;
    const been = this.seen.has(node.id) && !node.isMiddle;
    const group = shape("g", {
      class: ["dot", node.look, node.isMiddle ? "middle" : "", node.learned ? "" : "unlearned"]
        .join(" "),
      role: "option", tabindex: at === this.at ? 0 : -1, "data-at": at, "data-id": node.id,
      "aria-label": node.words + (been ? ", been there" : ""),
      "aria-selected": node.isMiddle === true,
    }, shape("circle", { class: "ring", r: size + 5 }), shape("circle", { class: "hit", r: 13 }),
    been ? shape("circle", { class: "been", r: size + 3 }) : null,
    shape("circle", { class: "disc", r: size }));
    return { group, size };
  }

  /** The whole drawing, in the middle of its place. */
  fit() {
    if (this.shapes.length === 0) return this.draw();
    const side = Math.min(this.places.length > 100 ? 26 : 74, this.width / 10);
    const [left, right] = extent(this.places.map(({ x }) => x));
    const [top, bottom] = extent(this.places.map(({ y }) => y));
    const scale = Math.min(1.3, (this.width - 2 * side) / Math.max(1, right - left),
      (this.height - 76) / Math.max(1, bottom - top));
    this.view = {
      scale,
      x: this.width / 2 - scale * (left + right) / 2,
      y: this.height / 2 - 4 - scale * (top + bottom) / 2,
    };
    return this.draw();
  }

  /** Makes it larger around a point of the screen, or around its middle. */
  zoom(by, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(8, Math.max(0.1, this.view.scale * by));
    const grown = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * grown, y: y - (y - this.view.y) * grown };
    this.draw();
  }

  move(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.draw();
  }

  /** Where a concept is on the screen. */
  spot(at) {
    const { scale, x, y } = this.view;
    return { x: this.places[at].x * scale + x, y: this.places[at].y * scale + y };
  }

  draw() {
    this.spots = this.shapes.map((_, at) => this.spot(at));
    this.spots.forEach(({ x, y }, at) => {
      this.shapes[at].group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    });
    this.drawEdges();
    this.drawLabels();
    this.light(this.lighted ?? null);
  }

  drawEdges() {
    const byLook = new Map();
    const names = [];
    for (const line of this.lines ?? []) {
      const drawn = this.edge(line);
      const paths = byLook.get(line.look) ?? { line: "", head: "" };
      paths.line += drawn.line;
      paths.head += drawn.head;
      byLook.set(line.look, paths);
      if (this.lines.length <= NAMED_EDGES && line.edge.says) {
        names.push(shape("text", { class: "edgename", x: drawn.middle.x, y: drawn.middle.y - 5 },
          line.edge.says));
      }
    }
    this.edges.replaceChildren(...[...byLook].flatMap(([look, { line, head }]) => [
      shape("path", { class: `edge ${look}`, d: line }),
      shape("path", { class: `arrow ${look}`, d: head }),
    ]), ...names);
    this.edges.classList.toggle("many", this.lines?.length > MANY);
  }

  /** A line with its arrow head: in its middle, or beside the neighbour where many meet. */
  edge({ from, to, bend, edge }) {
    const [start, end] = [this.spots[from], this.spots[to]];
    const [x, y] = [end.x - start.x, end.y - start.y];
    const length = Math.max(1, Math.hypot(x, y));
    const side = { x: -y / length * bend, y: x / length * bend };
    const middle = { x: (start.x + end.x) / 2 + side.x, y: (start.y + end.y) / 2 + side.y };
    const line = bend === 0 ? `M${point(start)}L${point(end)}`
      : `M${point(start)}Q${point({ x: middle.x + side.x, y: middle.y + side.y })} ${point(end)}`;
    if (edge.isUndirected) return { line, head: "", middle };
    const nodes = this.model.nodes;
    let share = 0.5;
    if (nodes[from].isMiddle) share = Math.max(0.5, 1 - 15 / length);
    if (nodes[to].isMiddle) share = Math.min(0.5, 15 / length);
    const part = 4 * share * (1 - share);
    const tip = { x: start.x + x * share + side.x * part, y: start.y + y * share + side.y * part };
    return { line, head: arrow(tip, Math.atan2(y, x)), middle };
  }

  /** As many labels as have room, the middle's first. */
  drawLabels() {
    const taken = this.spots.map(({ x, y }) => box(x, y, DOT, DOT));
    const names = [];
    const order = this.shapes.map((_, at) => at)
      .sort((one, other) => this.rank(one) - this.rank(other));
    for (const at of order) {
      const { size } = this.shapes[at];
      const lines = labelLines(this.model.nodes[at]);
      const spot = this.spots[at];
      const isMiddle = this.model.nodes[at].isMiddle;
      const found = this.isSeen(spot) && this.room(spot, size, lines, taken, at, isMiddle);
      if (!found) continue;
      taken.push(found.box);
      names.push(written(lines, spot.x + found.x, spot.y + found.y));
    }
    this.names.replaceChildren(...names);
  }

  /** A free place for a label beside its dot. */
  room({ x, y }, size, lines, taken, own, isMiddle) {
    const [width, height] = [labelWidth(lines) / 2, lines.length * LABEL_LINE / 2];
    const far = size + 3;
    const [below, above] = [[0, far + height], [0, -far - height]];
    // Away from the middle first, where no lines are.
    const tries = [...(y < this.spot(0).y && !isMiddle ? [above, below] : [below, above]),
      [far + width, 0], [-far - width, 0]];
    for (const [right, down] of tries) {
      const place = box(x + right, y + down, width, height);
      const isInside = place.left > 0 && place.right < this.width && place.top > 0
        && place.bottom < this.height;
      // What is in the middle is named whatever else is there.
      if (isMiddle || (isInside
        && taken.every((other, at) => at === own || !overlap(place, other)))) {
        return { box: place, x: right, y: down - height + LABEL_LINE - 3 };
      }
    }
    return null;
  }

  rank(at) {
    return this.model.nodes[at].isMiddle ? -1 : at;
  }

  isSeen({ x, y }) {
    return x > 0 && y > 0 && x < this.width && y < this.height;
  }

  /** Shows one above all others, with its associations. */
  light(at) {
    this.lighted = at;
    if (at === null || !this.shapes[at]) return this.lit.replaceChildren();
    const own = this.lines.filter(({ from, to }) => from === at || to === at);
    const paths = this.model.nodes[at].isMiddle ? [] : own.map((line) =>
      shape("path", { class: `edge ${line.look}`, d: this.edge(line).line }));
    const lines = labelLines(this.model.nodes[at]);
    const { x, y } = this.spots[at];
    const { size } = this.shapes[at];
    const width = labelWidth(lines) + 10;
    const left = Math.min(this.width - width / 2 - 2, Math.max(width / 2 + 2, x));
    const top = y + size + 5 + lines.length * LABEL_LINE > this.height
      ? y - size - 8 - lines.length * LABEL_LINE : y + size + 5;
    return this.lit.replaceChildren(...paths,
      shape("circle", { class: "disc", cx: x, cy: y, r: size + 2 }),
      shape("rect", { x: left - width / 2, y: top - 1, width, height: lines.length * LABEL_LINE + 5,
        rx: 3 }), written(lines, left, top + LABEL_LINE - 2));
  }
}

const point = ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
const extent = (numbers) => [Math.min(...numbers), Math.max(...numbers)];
const box = (x, y, width, height) =>
  ({ left: x - width, right: x + width, top: y - height, bottom: y + height });

function arrow({ x, y }, angle) {
  const corner = (turn, size) =>
    point({ x: x + size * Math.cos(angle + turn), y: y + size * Math.sin(angle + turn) });
  return `M${corner(0, ARROW)}L${corner(2.5, ARROW)}L${corner(-2.5, ARROW)}Z`;
}

/** Associations as lines between places; those between the same two bend apart. */
function edgeLines(edges, indexes) {
  const between = new Map();
  return edges.map((edge) => {
    const key = [edge.from, edge.to].sort().join();
    const before = between.get(key) ?? 0;
    between.set(key, before + 1);
    const side = edge.from < edge.to ? 1 : -1;
    const bend = before === 0 ? 0 : Math.ceil(before / 2) * 9 * (before % 2 === 0 ? -1 : 1) * side;
    return { edge, from: indexes.get(edge.from), to: indexes.get(edge.to), bend,
      look: lookOf(edge.kind) };
  });
}

function labelLines(node) {
  const name = beginning(called(node), LABEL_LETTERS);
  const content = beginning(node.content.split(/[:;.]\s/)[0], LABEL_LETTERS);
  return content ? [name, content] : [name];
}

const labelWidth = (lines) => Math.max(...lines.map((line) => line.length)) * LETTER;

function written(lines, x, y) {
  return shape("text", null, lines.map((line, at) =>
    shape("tspan", { x: x.toFixed(1), y: (y + at * LABEL_LINE).toFixed(1) }, line)));
}
