// What a server counted in the last ten minutes. Its counters rise from its start on; a sample has
// what was added since the sample before, by the second.
//
// A server that was started again, or took over, counts from nothing: no difference is taken over
// that. Where
// answers are missing, a sample says so (`gap`), and charts leave the place empty.

/** How long samples are kept, in milliseconds. */
const KEPT = 600_000;
/** Answers further apart than this, in milliseconds, have a gap between them. */
const APART = 3500;

/** The quantiles that are shown, and their names. */
const QUANTILES = [[0.5, "p50"], [0.99, "p99"], [0.999, "p99.9"]];

/** What was added to a histogram's buckets: `[upper bound in ns, count]`, ascending. */
function added(before, now) {
  const then = new Map(before?.buckets ?? []);
  const grown = (now?.buckets ?? []).map(([upper, number]) =>
    [upper, number - (then.get(upper) ?? 0)]);
  return grown.filter(([, number]) => number > 0);
}

/** Each bucket's upper bound is so many times its lower one: eight of them double. */
const WIDTH = 2 ** (1 / 8);
/** The first bucket begins at nothing, the last at its lower bound: both in nanoseconds. */
const LEAST = 954;
const MOST = 128e9;

/**
 * Quantiles of buckets, in microseconds; nothing where they are empty. As the server has them
 * (src/runtime/histogram.rs): within a bucket durations are taken to be spread evenly.
 */
function quantiles(buckets) {
  const total = buckets.reduce((sum, [, number]) => sum + number, 0);
  if (total === 0) return null;
  return QUANTILES.map(([share]) => {
    const rank = share * total;
    let below = 0;
    for (const [upper, number] of buckets) {
      if (below + number >= rank) {
        const low = upper < LEAST ? 0 : Math.min(upper / WIDTH, MOST);
        const high = Math.min(upper, MOST);
        return (low + (rank - below) / number * (high - low)) / 1e3;
      }
      below += number;
    }
    return null;
  });
}

/** The buckets of several histograms as those of one. */
function together(histograms) {
  const sums = new Map();
  for (const [upper, number] of histograms.flat()) {
    sums.set(upper, (sums.get(upper) ?? 0) + number);
  }
  return [...sums].sort(([one], [other]) => one - other);
}

/** Whether another one counts by now. */
function hasRestarted(before, now) {
  return now.counting_since_us !== before.counting_since_us;
}

/** By name, what was added a second. */
function rates(before, now, seconds) {
  const names = Object.entries(now ?? {});
  return Object.fromEntries(names.map(([name, number]) =>
    [name, Math.max(0, number - (before?.[name] ?? 0)) / seconds]));
}

/** The same numbers under names that begin so. */
function named(beginning, numbers) {
  return Object.fromEntries(Object.entries(numbers).map(([name, number]) =>
    [beginning + name, number]));
}

const sum = (numbers) => Object.values(numbers).reduce((all, number) => all + number, 0);

function rising(before, now) {
  const seconds = (now.uptime_us - before.uptime_us) / 1e6;
  const each = (of) => Math.max(0, of(now) - of(before)) / seconds;
  const grown = Object.fromEntries(Object.keys(now.latency ?? {}).map((name) =>
    [name, added(before.latency[name], now.latency[name])]));
  const latency = Object.fromEntries(
    Object.entries(grown).map(([name, buckets]) => [name, quantiles(buckets)]));
  const requests = rates(before.requests, now.requests, seconds);
  return {
    requests,
    asked: sum(requests),
    errors: { ...rates(before.errors, now.errors, seconds),
      ...named("connection ", rates(before.connections.failed, now.connections.failed, seconds)) },
    latency,
    overall: quantiles(together(Object.values(grown))),
    accepted: each((answer) => answer.connections.accepted),
    received: each((answer) => answer.network.received_bytes),
    sent: each((answer) => answer.network.sent_bytes),
    writes: each((answer) => answer.writes.acknowledged),
    written: each((answer) => answer.counters.file_written_bytes ?? 0),
    commits: each((answer) => answer.commits.count),
    committing: quantiles(added(before.commits, now.commits)),
    cpu: each((answer) => answer.cpu_us) / 1e6,
    cores: now.by_core.map((core, at) => {
      const then = before.by_core[at];
      const by = (name) => then?.answers && core.answers
        ? Math.max(0, core[name] - then[name]) / seconds : null;
      return {
        asked: by("requests"), turns: by("turns"), sleeps: by("sleeps"),
        messages: by("messages"),
      };
    }),
  };
}

/** The samples of the last ten minutes. */
class Samples {
  list = [];
  /** The last answer, whole, and when it came. */
  latest = null;
  latestAt = 0;

  /** Takes an answer that came at this time, in milliseconds. */
  add(answer, at) {
    const before = this.latest;
    const isRestart = before !== null && hasRestarted(before, answer);
    const isLater = before !== null && answer.uptime_us > before.uptime_us;
    const sample = {
      at,
      isRestart,
      gap: before === null || isRestart || at - this.latestAt > APART,
      gapSince: this.latestAt,
      connections: answer.connections.open,
      inFlight: answer.in_flight,
      pending: answer.writes.pending,
      queues: answer.by_core.map((core) =>
        core.answers ? { inFlight: core.in_flight, pending: core.pending } : null),
      log: answer.stored.log_bytes,
      diskFree: answer.disk?.free_bytes,
      memory: answer.memory,
      held: answer.held,
      ...(isLater && !isRestart ? rising(before, answer) : {}),
    };
    this.latest = answer;
    this.latestAt = at;
    this.list.push(sample);
    while (this.list[0].at < at - KEPT) this.list.shift();
  }
}
