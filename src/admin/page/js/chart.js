// Line charts of samples. Lines differ in colour and in dashes; each has its name and its figure in
// the legend. A chart's figures can be read as a table, too.
//
// All charts share one cursor: pointing at a moment, or going to it with the arrow keys, shows what
// was then, everywhere.

const LINES = 7;
const HEIGHT = 120;
const MARGIN = { left: 68, right: 8, top: 8, bottom: 18 };
/** Rows of a chart's table are this far apart, in milliseconds. */
const ROWS_APART = 10_000;

const charts = [];
/** The moment that is pointed at, or nothing: then the newest sample counts. */
let pointedAt = null;

/** How much of the ten minutes is shown: so much that what there is fills it. */
function shownSpan(samples, now) {
  const since = samples.length > 0 ? now - samples[0].at : 0;
  return [60_000, 120_000, 300_000].find((span) => since <= span) ?? KEPT;
}

/** The next number above that reads well on an axis. */
function niceTop(number) {
  if (number <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((top) => top >= number * 0.999);
}

/** The heights of an axis, as shares of the plot, with what they stand for. */
function linearAxis(high, least, isBytes) {
  const steps = isBytes ? niceBytes(Math.max(high, 1024)) : niceTop(Math.max(high, least));
  return {
    ticks: [0, steps / 2, steps],
    share: (value) => value / steps,
  };
}

function niceBytes(number) {
  let unit = 1;
  while (number / unit >= 1024) unit *= 1024;
  const top = niceTop(number / unit);
  return (top > 1000 ? 1024 : top) * unit;
}

function logAxis(low, high) {
  const from = Math.floor(Math.log10(Math.max(low, 1)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(high, 1))));
  const every = to - from > 3 ? 2 : 1;
  const ticks = [];
  for (let power = from; power <= to; power += every) ticks.push(10 ** power);
  return { ticks, share: (value) => (Math.log10(Math.max(value, 1)) - from) / (to - from) };
}

/**
 * A chart. `lines(samples)` gives `{ name, of(sample) }` in an order that stays; `words` says a
 * figure; `scale` is "linear", "bytes" or "log"; `least` is what its axis reaches at least;
 * `beside` is more to stand in its head.
 */
class Chart {
  constructor({ title, lines, words, scale = "linear", least = 1, beside = null }) {
    Object.assign(this, { title, lines, words, scale, least });
    this.isTable = false;
    this.tableOf = 0;
    this.plot = shape("svg", { class: "plot", height: HEIGHT, "aria-hidden": true });
    this.frame = element("div", {
      class: "frame", tabindex: 0, role: "slider", "aria-label": `${title}, at which time`,
      "aria-valuemin": 0, "aria-valuemax": KEPT / 1000, "aria-valuenow": 0,
      "aria-valuetext": "now",
      onpointermove: (event) => this.pointed(event), onpointerleave: () => pointAt(null),
      onkeydown: (event) => this.pressed(event), onblur: () => pointAt(null),
    }, this.plot);
    this.legend = element("ul", { class: "legend" });
    this.tablePlace = element("div", { hidden: true });
    this.switch = button("Table", () => this.switched(),
      { class: "small", "aria-pressed": false, "aria-label": `${title} as a table` });
    this.node = element("section", { class: "chart", "aria-label": title },
      element("div", { class: "head" }, element("h2", null, title), beside, this.switch),
      this.frame, this.legend, this.tablePlace);
    this.entries = new Map();
    this.width = 0;
    this.resized = new ResizeObserver(() => {
      this.width = this.frame.clientWidth;
      this.draw();
    });
    this.resized.observe(this.frame);
    this.samples = [];
    this.now = 0;
    charts.push(this);
  }

  /** Whoever shows other things lets go of it. */
  end() {
    this.resized.disconnect();
    charts.splice(charts.indexOf(this), 1);
  }

  show(samples, now) {
    Object.assign(this, { samples, now });
    if (this.isTable) this.drawTable();
    else this.draw();
  }

  switched() {
    this.isTable = !this.isTable;
    this.switch.setAttribute("aria-pressed", this.isTable);
    this.frame.hidden = this.isTable;
    this.legend.hidden = this.isTable;
    this.tablePlace.hidden = !this.isTable;
    this.tableOf = 0;
    this.show(this.samples, this.now);
  }

  x(at) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + inner * (1 - (this.now - at) / this.span);
  }

  axis(lines, seen) {
    const values = lines.flatMap((line) => seen.map(line.of)).filter(Number.isFinite);
    const high = values.reduce((most, value) => Math.max(most, value), 0);
    if (this.scale !== "log") return linearAxis(high, this.least, this.scale === "bytes");
    const low = values.reduce((least, value) => Math.min(least, value), Infinity);
    return logAxis(Number.isFinite(low) ? low : 10, Math.max(high, 100));
  }

  draw() {
    if (this.width === 0 || this.isTable) return;
    this.span = shownSpan(this.samples, this.now);
    const seen = this.samples.filter((sample) => sample.at >= this.now - this.span);
    const lines = this.lines(this.samples).slice(0, LINES);
    const axis = this.axis(lines, seen);
    const inner = HEIGHT - MARGIN.top - MARGIN.bottom;
    const y = (value) => MARGIN.top + inner * (1 - Math.min(1, Math.max(0, axis.share(value))));
    this.plot.setAttribute("width", this.width);
    this.plot.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.plot.replaceChildren(
      ...this.grid(axis, y),
      ...this.breaks(seen),
      ...lines.map((line, at) => shape("path", {
        class: `line line${at}`, d: this.outline(line, seen, y),
      })),
      ...this.cursor(),
    );
    this.drawLegend(lines);
  }

  grid(axis, y) {
    const right = this.width - MARGIN.right;
    const ticks = axis.ticks.flatMap((tick) => [
      shape("line", { class: "rule", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }),
      shape("text", { x: MARGIN.left - 6, y: y(tick) + 3.5, "text-anchor": "end" },
        this.words(tick).replace(/\.0+(?=\D|$)/, "")),
    ]);
    const minutes = this.span / 60_000;
    return [
      ...ticks,
      shape("text", { x: MARGIN.left, y: HEIGHT - 4 },
        minutes === 1 ? "a minute ago" : `${minutes} minutes ago`),
      shape("text", { x: right, y: HEIGHT - 4, "text-anchor": "end" }, "now"),
    ];
  }

  /** Where answers are missing, and where the server was started again. */
  breaks(seen) {
    return seen.filter((sample) => sample.gap && sample.gapSince > 0).flatMap((sample) => {
      const from = Math.max(MARGIN.left, this.x(sample.gapSince));
      const to = this.x(sample.at);
      const height = HEIGHT - MARGIN.top - MARGIN.bottom;
      const gap = shape("rect", { class: "gap", x: from, y: MARGIN.top, width: to - from, height });
      if (!sample.isRestart) return [gap];
      return [gap, shape("line", {
        class: "restart", x1: to, x2: to, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom,
      })];
    });
  }

  outline(line, seen, y) {
    let path = "";
    let isOpen = false;
    for (const sample of seen) {
      const value = line.of(sample);
      if (!Number.isFinite(value)) {
        isOpen = false;
        continue;
      }
      const point = `${this.x(sample.at).toFixed(1)} ${y(value).toFixed(1)}`;
      // A point that stands alone is seen by its round ends.
      path += isOpen && !sample.gap ? `L${point}` : `M${point}h.01`;
      isOpen = true;
    }
    return path;
  }

  cursor() {
    if (pointedAt === null || pointedAt < this.now - this.span) return [];
    const x = this.x(pointedAt);
    return [shape("line", {
      class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom,
    })];
  }

  /** The sample that is pointed at, or the newest. */
  shown() {
    if (pointedAt === null) return this.samples.at(-1);
    let best = null;
    for (const sample of this.samples) {
      if (best === null || Math.abs(sample.at - pointedAt) < Math.abs(best.at - pointedAt)) {
        best = sample;
      }
    }
    return best && Math.abs(best.at - pointedAt) <= APART ? best : null;
  }

  figure(line, sample) {
    const value = sample ? line.of(sample) : null;
    return Number.isFinite(value) ? this.words(value) : "–";
  }

  drawLegend(lines) {
    const sample = this.shown();
    for (const [name, entry] of this.entries) {
      if (lines.some((line) => line.name === name)) continue;
      entry.node.remove();
      this.entries.delete(name);
    }
    lines.forEach((line, at) => {
      let entry = this.entries.get(line.name);
      if (!entry) {
        const swatch = shape("svg", { width: 22, height: 8, "aria-hidden": true },
          shape("path", { class: `line line${at}`, d: "M1 4H21" }));
        const value = element("span", { class: "figure" });
        entry = { value, node: element("li", null, swatch, element("span", null, line.name),
          value) };
        this.entries.set(line.name, entry);
        this.legend.append(entry.node);
      }
      setText(entry.value, this.figure(line, sample));
    });
  }

  drawTable() {
    const slot = Math.floor(this.now / ROWS_APART);
    if (slot === this.tableOf) return;
    this.tableOf = slot;
    const lines = this.lines(this.samples).slice(0, LINES);
    const rows = [];
    let before = Infinity;
    for (const sample of [...this.samples].reverse()) {
      if (before - sample.at < ROWS_APART) continue;
      before = sample.at;
      rows.push(row([clock(sample.at),
        ...lines.map((line) => figure(this.figure(line, sample)))]));
    }
    const heads = ["time", ...lines.map((line) => `#${line.name}`)];
    this.tablePlace.replaceChildren(table(`${this.title}, every ten seconds`, heads, rows));
  }

  pointed(event) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    const share = (event.offsetX - MARGIN.left) / inner;
    pointAt(share < 0 ? null : this.now - this.span * (1 - Math.min(1, share)));
  }

  pressed(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1,
      PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || this.samples.length === 0) return;
    event.preventDefault();
    const at = this.samples.indexOf(this.shown() ?? this.samples.at(-1));
    const next = Math.min(this.samples.length - 1, Math.max(0, at + step));
    const sample = this.samples[next];
    pointAt(next === this.samples.length - 1 ? null : sample.at);
    const figures = this.lines(this.samples).slice(0, LINES)
      .map((line) => `${line.name} ${this.figure(line, sample)}`);
    this.frame.setAttribute("aria-valuenow", Math.round((this.now - sample.at) / 1000));
    this.frame.setAttribute("aria-valuetext", [clock(sample.at), ...figures].join(", "));
  }
}

function pointAt(at) {
  if (pointedAt === at) return;
  pointedAt = at;
  for (const chart of charts) chart.draw();
}

/**
 * Lines for whatever names come up in `of(sample)` with more than nothing, in the order in which
 * they came up; those that have no line of their own are summed up as one.
 */
function linesByName(of, empty) {
  const known = [];
  return (samples) => {
    for (const [name, figure] of Object.entries(of(samples.at(-1) ?? {}) ?? {})) {
      if (figure > 0 && !known.includes(name)) known.push(name);
    }
    const own = known.length > LINES ? known.slice(0, LINES - 1) : known;
    const others = known.slice(own.length);
    const by = (sample, names) => {
      const figures = of(sample);
      return figures && names.reduce((all, name) => all + (figures[name] ?? 0), 0);
    };
    const lines = own.map((name) => ({ name: spoken(name), of: (sample) => by(sample, [name]) }));
    if (others.length > 0) {
      lines.push({ name: "others", of: (sample) => by(sample, others) });
    }
    return lines.length > 0 ? lines : [{ name: empty, of: (sample) => of(sample) && 0 }];
  };
}
