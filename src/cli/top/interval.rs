//! What a server did between two looks.

use std::collections::BTreeMap;
use std::time::Duration;

use sutra_runtime::Histogram;

use super::sample::{Buckets, Core, Stats};

/// What happened, a second.
pub(super) struct Interval {
    pub(super) length: Duration,
    pub(super) requests: f64,
    pub(super) errors: f64,
    /// Those that rose, by status.
    pub(super) errors_by_status: Vec<(String, f64)>,
    /// The most asked first.
    pub(super) operations: Vec<Operation>,
    pub(super) commits: f64,
    pub(super) commit_took: Histogram,
    pub(super) writes: f64,
    pub(super) received: f64,
    pub(super) sent: f64,
    pub(super) accepted: f64,
    pub(super) failed_connections: f64,
    pub(super) waits: f64,
    pub(super) slow: f64,
    /// CPU time, in CPUs.
    pub(super) cpus: f64,
    pub(super) cores: Vec<CoreRates>,
}

/// Of one operation.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) requests: f64,
    /// All since the server's start.
    pub(super) total: u64,
    pub(super) took: Histogram,
}

/// Of one core.
pub(super) struct CoreRates {
    pub(super) requests: f64,
    pub(super) turns: f64,
    pub(super) sleeps: f64,
    pub(super) messages: f64,
}

impl Interval {
    /// Since `before`; since the server began to count where there is no earlier look at it.
    pub(super) fn between(before: Option<&Stats>, now: &Stats) -> Self {
        let nothing = Stats::default();
        let is_same = |before: &&Stats| {
            before.counting_since_us == now.counting_since_us && before.uptime_us < now.uptime_us
        };
        let (before, micros) = match before.filter(is_same) {
            Some(before) => (before, now.uptime_us - before.uptime_us),
            None => (&nothing, now.counted_us()),
        };
        let length = Duration::from_micros(micros.max(1));
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / length.as_secs_f64();
        let counter = |name: &str| {
            let of = |stats: &Stats| stats.counters.get(name).copied().unwrap_or(0);
            rate(of(now), of(before))
        };
        let all = |counts: &BTreeMap<String, u64>| counts.values().sum();
        let mut errors_by_status = rates(&before.errors, &now.errors, rate);
        errors_by_status.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Self {
            requests: rate(all(&now.requests), all(&before.requests)),
            errors: rate(all(&now.errors), all(&before.errors)),
            errors_by_status,
            operations: operations(before, now, rate),
            commits: rate(now.commits.count, before.commits.count),
            commit_took: now.commits.since(&before.commits),
            writes: rate(now.writes.acknowledged, before.writes.acknowledged),
            received: rate(now.network.received_bytes, before.network.received_bytes),
            sent: rate(now.network.sent_bytes, before.network.sent_bytes),
            accepted: rate(now.connections.accepted, before.connections.accepted),
            failed_connections: rate(all(&now.connections.failed), all(&before.connections.failed)),
            waits: counter("waits_for_room"),
            slow: counter("slow_requests"),
            cpus: rate(now.cpu_us, before.cpu_us) / 1e6,
            cores: now.by_core.iter().map(|core| of_core(before, core, rate)).collect(),
            length,
        }
    }
}

/// Those that have risen.
fn rates(
    before: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
    rate: impl Fn(u64, u64) -> f64,
) -> Vec<(String, f64)> {
    let one = |(name, count): (&String, &u64)| {
        (name.clone(), rate(*count, before.get(name).copied().unwrap_or(0)))
    };
    now.iter().map(one).filter(|(_, rate)| *rate > 0.0).collect()
}

/// All operations that were ever asked for: the most asked first, and those as often asked by name.
fn operations(before: &Stats, now: &Stats, rate: impl Fn(u64, u64) -> f64) -> Vec<Operation> {
    let none = Buckets::default();
    let one = |(name, total): (&String, &u64)| {
        let (earlier, later) = (before.latency.get(name), now.latency.get(name));
        Operation {
            requests: rate(*total, before.requests.get(name).copied().unwrap_or(0)),
            total: *total,
            took: later.unwrap_or(&none).since(earlier.unwrap_or(&none)),
            name: name.clone(),
        }
    };
    let mut operations: Vec<Operation> = now.requests.iter().map(one).collect();
    operations.sort_by(|one, other| other.requests.total_cmp(&one.requests));
    operations
}

fn of_core(before: &Stats, now: &Core, rate: impl Fn(u64, u64) -> f64) -> CoreRates {
    let nothing = Core::default();
    let earlier = before.by_core.iter().find(|core| core.core == now.core);
    // Of one that did not answer nothing is known.
    let earlier = match earlier {
        Some(earlier) if earlier.answers => earlier,
        Some(_) => now,
        None => &nothing,
    };
    CoreRates {
        requests: rate(now.requests, earlier.requests),
        turns: rate(now.turns, earlier.turns),
        sleeps: rate(now.sleeps, earlier.sleeps),
        messages: rate(now.messages, earlier.messages),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stats(seconds: u64, queries: u64, core: serde_json::Value) -> Stats {
        serde_json::from_value(json!({
            "uptime_us": seconds * 1_000_000,
            "requests": { "query": queries, "learn": 5 },
            "errors": { "not_found": queries / 10 },
            "latency": { "query": { "count": queries, "buckets": [[100_000, queries]] } },
            "cpu_us": seconds * 500_000,
            "counters": { "slow_requests": queries / 100 },
            "by_core": [core],
        }))
        .expect("as the server tells it")
    }

    fn core(requests: u64) -> serde_json::Value {
        json!({ "core": 0, "answers": true, "requests": requests, "turns": requests })
    }

    #[test]
    fn rates_are_those_between_the_looks() {
        let (before, now) = (stats(10, 1_000, core(1_000)), stats(12, 3_000, core(3_000)));
        let interval = Interval::between(Some(&before), &now);
        assert_eq!(interval.length, Duration::from_secs(2));
        assert_eq!((interval.requests, interval.errors, interval.slow), (1_000.0, 100.0, 10.0));
        assert_eq!((interval.cpus, interval.cores[0].turns), (0.5, 1_000.0));
        let names: Vec<_> = interval.operations.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["query", "learn"]);
        assert_eq!(interval.operations[0].took.count(), 2_000);
    }

    #[test]
    fn a_server_that_has_started_since_is_counted_from_its_start() {
        let (before, now) = (stats(100, 9_000, core(9_000)), stats(2, 200, core(200)));
        let interval = Interval::between(Some(&before), &now);
        assert_eq!((interval.length, interval.requests), (Duration::from_secs(2), 102.5));
    }

    #[test]
    fn a_server_that_took_over_is_counted_from_there_whatever_its_service_is_old() {
        let of = |seconds, queries, since: u64| Stats {
            counting_since_us: since * 1_000_000,
            time_us: (1_000 + seconds) * 1_000_000,
            ..stats(seconds, queries, core(queries))
        };
        let (before, now) = (of(100, 9_000, 900), of(110, 400, 1_108));
        for before in [None, Some(&before)] {
            let interval = Interval::between(before, &now);
            assert_eq!((interval.length, interval.requests), (Duration::from_secs(2), 202.5));
        }
        let later = of(111, 500, 1_108);
        assert_eq!(Interval::between(Some(&now), &later).requests, 100.0);
        // A clock that was set back tells nothing.
        let interval = Interval::between(None, &of(110, 400, 9_999));
        assert_eq!(interval.length, Duration::from_secs(110));
    }

    #[test]
    fn a_core_that_answers_again_is_not_taken_for_a_busy_one() {
        let silent = json!({ "core": 0, "answers": false });
        let interval = Interval::between(Some(&stats(1, 1, silent)), &stats(2, 1, core(1_000_000)));
        assert_eq!(interval.cores[0].requests, 0.0);
    }
}
