// How a drawing is walked: by mouse, by touch and by keys.

/** A key's direction, as an angle on the screen. */
const WAYS = { ArrowRight: 0, ArrowDown: Math.PI / 2, ArrowLeft: Math.PI, ArrowUp: -Math.PI / 2 };

/** The nearest concept that lies this way, as somebody would say it. */
function nearest(spots, from, angle) {
  let best = null;
  let least = Infinity;
  spots.forEach((spot, at) => {
    const [x, y] = [spot.x - spots[from].x, spot.y - spots[from].y];
    if (at === from || (x === 0 && y === 0)) return;
    const turn = Math.abs(Math.atan2(Math.sin(Math.atan2(y, x) - angle),
      Math.cos(Math.atan2(y, x) - angle)));
    const cost = Math.hypot(x, y) * (1 + 2 * turn);
    if (turn < Math.PI / 2.6 && cost < least) [best, least] = [at, cost];
  });
  return best;
}

function choose(drawing, at) {
  drawing.shapes[drawing.at]?.group.setAttribute("tabindex", -1);
  drawing.at = at;
  const { group } = drawing.shapes[at];
  group.setAttribute("tabindex", 0);
  const { x, y } = drawing.spot(at);
  const margin = 30;
  const into = (value, size) => Math.max(0, margin - value) - Math.max(0, value - size + margin);
  const [right, down] = [into(x, drawing.width), into(y, drawing.height)];
  if (right !== 0 || down !== 0) drawing.move(right, down);
  group.focus({ preventScroll: true });
}

function listenToKeys(drawing) {
  const { svg } = drawing;
  const nodeOf = (event) => event.target.closest?.("[data-at]");
  svg.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || drawing.shapes.length === 0) return;
    const middle = Math.max(0, drawing.model.nodes.findIndex((node) => node.isMiddle));
    if (event.key in WAYS) {
      const next = nearest(drawing.spots, drawing.at, WAYS[event.key]);
      if (next !== null) choose(drawing, next);
    } else if (event.key === "Home" || event.key === "Escape") {
      choose(drawing, middle);
    } else if (event.key === "End") {
      choose(drawing, drawing.shapes.length - 1);
    } else if (event.key === "Enter" || event.key === " ") {
      drawing.opened(drawing.model.nodes[drawing.at], true);
    } else if (event.key === "+" || event.key === "=") {
      drawing.zoom(1.4);
    } else if (event.key === "-") {
      drawing.zoom(1 / 1.4);
    } else if (event.key === "0") {
      drawing.fit();
    } else {
      return;
    }
    event.preventDefault();
  });
  // Not at the SVG: Chromium lets an SVG that listens to the focus have it.
  drawing.node.addEventListener("focusin", (event) => look(drawing, nodeOf(event)));
  drawing.node.addEventListener("focusout", () => look(drawing, null));
}

/** Lights what is looked at, and says so. */
function look(drawing, node) {
  const at = node ? Number(node.dataset.at) : null;
  if (drawing.lighted === at) return;
  drawing.light(at);
  drawing.pointed(at === null ? null : drawing.model.nodes[at]);
}

function listenToPointers(drawing) {
  const { svg } = drawing;
  const down = new Map();
  let moved = 0;
  const spread = () => {
    const [one, other] = [...down.values()];
    return { size: Math.hypot(one.x - other.x, one.y - other.y),
      x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
  };
  const nodeOf = (event) => event.target.closest?.("[data-at]");
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (down.size === 0) moved = 0;
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  });
  svg.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    const before = down.size === 2 ? spread() : null;
    const [x, y] = [event.offsetX - last.x, event.offsetY - last.y];
    moved += Math.abs(x) + Math.abs(y);
    // A press that trembles is a press; one that moves on is a move, wherever it goes.
    if (moved < 6) return;
    if (!svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
    Object.assign(last, { x: event.offsetX, y: event.offsetY });
    if (before) {
      const now = spread();
      drawing.zoom(now.size / Math.max(1, before.size), now.x, now.y);
    } else {
      drawing.move(x, y);
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    svg.addEventListener(kind, (event) => down.delete(event.pointerId));
  }
  svg.addEventListener("click", (event) => {
    const node = nodeOf(event);
    if (node && moved < 6) drawing.opened(drawing.model.nodes[Number(node.dataset.at)], false);
  });
  svg.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && down.size === 0) look(drawing, nodeOf(event));
  });
  svg.addEventListener("pointerleave", () => look(drawing, null));
  svg.addEventListener("wheel", (event) => {
    // Without it the page would not scroll past the drawing.
    if (!event.ctrlKey && !svg.contains(document.activeElement)) return;
    event.preventDefault();
    drawing.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }, { passive: false });
}
