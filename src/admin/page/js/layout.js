// Where the concepts of a drawing stand. The same concepts stand at the same places each time: what
// they start from is fixed, and so is the number of steps in which they push each other apart.
//
// Places are in cells: a concept has a cell of its own, as wide and high as the drawing needs.

const STEPS = 60;

/** How large a cell is, in units of the screen at scale 1, so that the whole has this aspect. */
function cell(number, aspect) {
  const size = number <= 40 ? 7600 : number <= 100 ? 4200 : 1300;
  const ratio = number <= 100 ? Math.min(2.4, Math.max(0.95, aspect * 1.5)) : aspect;
  return { width: Math.sqrt(size * ratio), height: Math.sqrt(size / ratio) };
}

/** Rings around the middle that have room for so many, from the inner to the outer. */
function rings(number) {
  // A few are on one ring; more begin further inside, so that the whole does not become too large.
  if (number <= 24) {
    return [{ radius: Math.max(1.45, number * 1.08 / (2 * Math.PI)), capacity: number, taken: 0 }];
  }
  const inner = number <= 60 ? 2.45 : 1.45;
  const found = [];
  let room = 0;
  for (let radius = inner; room < number; radius += 1) {
    const capacity = Math.floor(2 * Math.PI * radius / 1.08);
    found.push({ radius, capacity, taken: 0 });
    room += capacity;
  }
  return found;
}

/** Neighbours around the middle, those of a kind beside each other. */
function around(nodes) {
  const places = nodes.map(() => ({ x: 0, y: 0, radius: 0 }));
  const others = nodes.map((node, at) => ({ node, at })).filter(({ node }) => !node.isMiddle);
  others.sort((one, other) => one.node.group.localeCompare(other.node.group) || one.at - other.at);
  const circles = rings(others.length);
  const room = circles.reduce((all, circle) => all + circle.capacity, 0);
  others.forEach(({ at }, turn) => {
    // The ring that is furthest behind its share.
    const behind = (circle) => circle.capacity * (turn + 1) / room - circle.taken;
    const circle = circles.reduce((best, next) => behind(next) > behind(best) ? next : best);
    circle.taken += 1;
    const angle = 2 * Math.PI * (turn + 0.5) / others.length - Math.PI / 2;
    places[at] = { x: circle.radius * Math.cos(angle), y: circle.radius * Math.sin(angle),
      radius: circle.radius };
  });
  return pushedApart(places);
}

/**
 * Whoever is closer than a cell to another is pushed away from it, and drawn back to the ring. The
 * middle, at radius 0, stays.
 */
function pushedApart(places) {
  for (let step = 0; step < STEPS; step += 1) {
    for (let one = 0; one < places.length; one += 1) {
      for (let other = one + 1; other < places.length; other += 1) {
        push(places[one], places[other]);
      }
    }
    for (const place of places) {
      const distance = Math.hypot(place.x, place.y);
      if (place.radius === 0 || distance === 0) continue;
      const back = 1 + 0.08 * (place.radius - distance) / distance;
      place.x *= back;
      place.y *= back;
    }
  }
  return places;
}

function push(one, other) {
  const x = other.x - one.x;
  const y = other.y - one.y;
  const distance = x * x + y * y;
  if (distance >= 1 || distance === 0) return;
  const length = Math.sqrt(distance);
  const by = 0.25 * (1 - length) / length;
  if (one.radius > 0) {
    one.x -= x * by;
    one.y -= y * by;
  }
  if (other.radius > 0) {
    other.x += x * by;
    other.y += y * by;
  }
}

/** Paths beside each other, the first one straight. */
function along(nodes, paths, isUpright) {
  const places = new Map();
  paths.forEach((path, lane) => {
    const side = lane === 0 ? 0 : Math.ceil(lane / 2) * (lane % 2 === 0 ? -1 : 1);
    path.forEach((id, step) => {
      if (places.has(id)) return;
      const length = paths[0].length - 1;
      const far = path.length > 1 ? step / (path.length - 1) * length : 0;
      places.set(id, isUpright ? { x: side, y: far } : { x: far, y: side });
    });
  });
  return nodes.map((node) => places.get(node.id));
}

/** The places of a drawing's concepts, in units of the screen at scale 1. */
function layout({ nodes, paths }, aspect) {
  const isUpright = aspect < 1;
  const { width, height } = paths
    ? (isUpright ? { width: 150, height: 110 } : { width: 190, height: 96 })
    : cell(nodes.length, aspect);
  const places = paths ? along(nodes, paths, isUpright) : around(nodes);
  const inUnits = places.map(({ x, y }) => ({ x: x * width, y: y * height }));
  return paths ? inUnits : stretched(inUnits, aspect);
}

/** Made higher or wider, so that the whole has this aspect; by half as much again at most. */
function stretched(places, aspect) {
  const size = (of) => Math.max(1, Math.max(...places.map(of)) - Math.min(...places.map(of)));
  const by = size(({ x }) => x) / size(({ y }) => y) / aspect;
  const [wider, higher] = [Math.min(1.5, Math.max(1, 1 / by)), Math.min(1.5, Math.max(1, by))];
  return places.map(({ x, y }) => ({ x: x * wider, y: y * higher }));
}
