// A server at a glance: what it has and does now, charts of the last ten minutes, its cores.

const samples = new Samples();

/** What is told of a server in its state line, too, whichever view is shown. */
function serverFacts(answer) {
  return [
    ["up", age(answer.uptime_us)],
    ["version", answer.version],
    ["data", answer.data],
    ["durability", answer.durability],
    ["writes by", answer.write_path],
    ["writes", answer.read_only && "none are taken: it is read-only"],
    ["files", answer.scrub && filesAre(answer)],
  ].filter(([, words]) => words);
}

/** Whether the files are as they were written, as far as that was looked at. */
function filesAre({ damaged, scrub }) {
  const { running, done_bytes: done, total_bytes: total, last_ended_us: ended } = scrub;
  if (running) return `being checked: ${bytes(done)} of ${bytes(total)}`;
  if (damaged) return `${whole(damaged)} places damaged`;
  return ended ? `as written, checked ${age(Date.now() * 1000 - ended)} ago` : null;
}

/** The figures at the top: a name, and what it is from the answer and the newest sample. */
const NOW = [
  ["requests", (_, sample) => rate(sample.asked)],
  ["p99", (_, sample) => sample.overall ? took(sample.overall[1]) : "–"],
  ["errors", (_, sample) => rate(sum(sample.errors))],
  ["in flight", (answer) => count(answer.in_flight)],
  ["writes pending", (answer) => count(answer.writes.pending)],
  ["connections", (answer, sample) =>
    `${count(answer.connections.open)}, ${rate(sample.accepted)} new`],
  ["CPU", (answer, sample) => `${digits(sample.cpu)} of ${answer.cores} cores`],
  ["memory", (answer) => bytes(answer.memory.resident_bytes)],
  ["disk free", (answer) => answer.disk ? bytes(answer.disk.free_bytes) : "–"],
  ["log", (answer) => bytes(answer.stored.log_bytes)],
  ["concepts", (answer) => whole(answer.stored.concepts)],
  ["associations", (answer) => whole(answer.stored.associations)],
  ["vectors", (answer) => answer.stored.vectors_unindexed > 0
    ? `${whole(answer.stored.vectors)}, ${whole(answer.stored.vectors_unindexed)} not indexed`
    : whole(answer.stored.vectors)],
  ["last backup", (answer) => answer.counters.last_backup_taken_us
    ? `${age(answer.time_us - answer.counters.last_backup_taken_us)} ago` : "–"],
  ["open files", (answer) => answer.files
    ? `${count(answer.files.open)} of ${count(answer.files.limit)}` : "–"],
];

const fixed = (...lines) => () => lines.map(([name, of]) => ({ name, of }));

/** Whose latency is shown; all operations' where it is empty. */
let timed = "";

function latencyChart() {
  const choice = element("select", { "aria-label": "Latency of which operation", class: "small",
    onchange: () => {
      timed = choice.value;
      chart.draw();
    } }, element("option", { value: "" }, "all operations"));
  const at = (place) => (sample) =>
    (timed === "" ? sample.overall : sample.latency?.[timed])?.[place];
  const known = new Set();
  const chart = new Chart({
    title: "Latency", words: took, scale: "log", beside: choice,
    lines: (list) => {
      for (const name of Object.keys(list.at(-1)?.latency ?? {})) {
        if (known.has(name)) continue;
        known.add(name);
        choice.append(element("option", { value: name, selected: name === timed }, spoken(name)));
      }
      return QUANTILES.map(([, name], place) => ({ name, of: at(place) }));
    },
  });
  return chart;
}

function queueLines(list) {
  const queues = list.at(-1)?.queues ?? [];
  const waiting = (queue) => queue && queue.inFlight + queue.pending;
  if (queues.length < LINES) {
    return queues.map((_, core) => ({ name: `core ${core}`, of: (sample) =>
      waiting(sample.queues[core]) }));
  }
  return [
    { name: "most at a core", of: (sample) => Math.max(...sample.queues.map(waiting)) },
    { name: "all cores", of: (sample) => sum(sample.queues.map(waiting)) },
  ];
}

function serverCharts() {
  const memory = (name) => (sample) => sample.memory[name];
  return [
    new Chart({ title: "Requests by operation", words: rate,
      lines: linesByName((sample) => sample.requests, "requests") }),
    latencyChart(),
    new Chart({ title: "Errors", words: rate,
      lines: linesByName((sample) => sample.errors, "errors") }),
    new Chart({ title: "Queue of each core", words: count, least: 2, lines: queueLines }),
    new Chart({ title: "CPU", words: digits, least: 1,
      lines: fixed(["cores in use", (sample) => sample.cpu]) }),
    new Chart({ title: "Connections", words: count, least: 2,
      lines: fixed(["open", (sample) => sample.connections]) }),
    new Chart({ title: "Network", words: byteRate, scale: "bytes", lines: fixed(
      ["sent", (sample) => sample.sent], ["received", (sample) => sample.received]) }),
    new Chart({ title: "Commits and writes", words: rate, lines: fixed(
      ["commits", (sample) => sample.commits],
      ["writes acknowledged", (sample) => sample.writes]) }),
    new Chart({ title: "Commit latency", words: took, scale: "log",
      lines: fixed(...QUANTILES.map(([, name], at) =>
        [name, (sample) => sample.committing?.[at]])) }),
    new Chart({ title: "Written to the log", words: byteRate, scale: "bytes",
      lines: fixed(["written", (sample) => sample.written]) }),
    new Chart({ title: "Log and disk", words: bytes, scale: "bytes", lines: fixed(
      ["log", (sample) => sample.log], ["disk free", (sample) => sample.diskFree]) }),
    new Chart({ title: "Memory by use", words: bytes, scale: "bytes", lines: fixed(
      ["resident", memory("resident_bytes")], ["log segments", memory("segments_bytes")],
      ["tables", memory("tables_bytes")], ["vectors", memory("vectors_bytes")]) }),
  ];
}

/** A line without axes, of the last two minutes. */
function sparkline(values) {
  const top = Math.max(1e-9, ...values.filter(Number.isFinite));
  let isOpen = false;
  const path = values.map((value, at) => {
    if (!Number.isFinite(value)) {
      isOpen = false;
      return "";
    }
    const point = `${at} ${(17 - 15 * value / top).toFixed(1)}`;
    const piece = isOpen ? `L${point}` : `M${point}h.01`;
    isOpen = true;
    return piece;
  }).join("");
  return shape("svg", { class: "spark", viewBox: "0 0 120 18", preserveAspectRatio: "none",
    "aria-hidden": true }, shape("path", { class: "line line0", d: path }));
}

function coreRow(core, at, list) {
  const recent = list.slice(-120);
  const newest = list.at(-1);
  const each = newest.cores?.[at] ?? {};
  const by = (value) => figure(Number.isFinite(value) ? rate(value) : "–");
  const known = (value) => figure(Number.isFinite(value) ? count(value) : "–");
  const state = core.answers ? core.problem ?? "answers" : "does not answer";
  return row([
    figure(String(core.core)),
    element("td", { class: core.answers && !core.problem ? null : "bad" }, state),
    by(each.asked),
    element("td", null, sparkline(recent.map((sample) => sample.cores?.[at]?.asked))),
    known(core.in_flight),
    known(core.pending),
    element("td", null, sparkline(recent.map((sample) => {
      const queue = sample.queues[at];
      return queue && queue.inFlight + queue.pending;
    }))),
    known(core.connections),
    by(each.turns), by(each.sleeps), by(each.messages),
    figure(Number.isFinite(core.log_bytes) ? bytes(core.log_bytes) : "–"),
  ]);
}

/** The view of a server. Returns what ends it. */
function serverView(main) {
  const figures = element("dl", { class: "now" });
  const inCharts = serverCharts();
  const cores = table("Cores", ["#core", "state", "#requests", "two minutes", "#in flight",
    "#writes pending", "queue, two minutes", "#connections", "#turns", "#sleeps", "#messages",
    "#log"], []);
  const slow = slowRequests();
  main.replaceChildren(
    element("h1", { class: "unseen" }, "Overview"),
    element("section", { "aria-label": "Now" }, figures),
    element("div", { class: "charts" }, inCharts.map((chart) => chart.node)),
    element("section", { class: "block", "aria-label": "Cores" }, element("h2", null, "Cores"),
      cores),
    slow.node,
  );
  const words = NOW.map(([name]) => {
    const place = element("dd", null, "–");
    figures.append(element("div", null, element("dt", null, name), place));
    return place;
  });
  const draw = () => {
    const { latest, list } = samples;
    // The axes go on while no answer comes, so that the gap is seen as it grows.
    inCharts.forEach((chart) => chart.show(list, Date.now()));
    if (latest === null) return;
    const newest = list.at(-1);
    NOW.forEach(([, of], at) => {
      setText(words[at], newest.requests || of.length === 1 ? of(latest, newest) : "–");
    });
    cores.querySelector("tbody").replaceChildren(
      ...latest.by_core.map((core, at) => coreRow(core, at, list)));
  };
  draw();
  const stopDrawing = whenSampled(draw);
  return () => {
    stopDrawing();
    slow.end();
    inCharts.forEach((chart) => chart.end());
  };
}

const samplers = new Set();

/** Calls `draw` after each answer, and after each that is missing. Returns what ends it. */
function whenSampled(draw) {
  samplers.add(draw);
  return () => samplers.delete(draw);
}

/** Samples a server as long as the page is open, whichever view is shown. */
function sampleServer() {
  const told = () => samplers.forEach((draw) => draw());
  watch(() => "/api/v1/stats", 1000, (answer) => {
    samples.add(answer, Date.now());
    const stuck = answer.commits.in_flight_us;
    sayAnswer(answer);
    sayFacts([...serverFacts(answer),
      ...(stuck > 1e6 ? [["commit under way", age(stuck)]] : [])]);
    told();
  }, (error) => {
    saySilence(error);
    told();
  }, 3000);
}
