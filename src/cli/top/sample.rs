//! What `/api/v1/stats` tells, as far as it is shown. All counts are since the server began to
//! count: since its start, or since it took over from the server before it.
//!
//! Whatever an older or newer server does not tell is zero or not there.

use std::collections::BTreeMap;

use serde::Deserialize;
use sutra_runtime::Histogram;

/// Everything at a moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) time_us: u64,
    pub(super) status: String,
    pub(super) healthy: bool,
    pub(super) ready: bool,
    pub(super) version: String,
    /// Of the service: it goes on from that of a server that was taken over.
    pub(super) uptime_us: u64,
    /// When the counts were zero, since 1970. Another one is another server's.
    pub(super) counting_since_us: u64,
    pub(super) durability: String,
    pub(super) data: String,
    pub(super) stored: Stored,
    pub(super) memory: Memory,
    pub(super) disk: Option<Disk>,
    pub(super) cpu_us: u64,
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) in_flight: u64,
    pub(super) connections: Connections,
    pub(super) network: Network,
    pub(super) held: Held,
    pub(super) writes: Writes,
    pub(super) latency: BTreeMap<String, Buckets>,
    pub(super) commits: Buckets,
    pub(super) read_only: bool,
    pub(super) damaged: u64,
    pub(super) scrub: Scrub,
    pub(super) by_core: Vec<Core>,
    pub(super) counters: BTreeMap<String, u64>,
}

impl Stats {
    /// For how long it has counted. Where the clock does not tell, all the service's time.
    pub(super) fn counted_us(&self) -> u64 {
        let counted = self.time_us.checked_sub(self.counting_since_us);
        counted.filter(|_| self.counting_since_us > 0).unwrap_or(self.uptime_us)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    pub(super) concepts: u64,
    pub(super) associations: u64,
    pub(super) vectors: u64,
    pub(super) log_bytes: u64,
    pub(super) log_segments: u64,
}

/// The server's look at its own files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scrub {
    pub(super) running: bool,
    pub(super) done_bytes: u64,
    pub(super) total_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    pub(super) segments_bytes: u64,
    pub(super) tables_bytes: u64,
    pub(super) vectors_bytes: u64,
    pub(super) resident_bytes: Option<u64>,
    pub(super) host_bytes: Option<u64>,
    pub(super) host_available_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disk {
    pub(super) free_bytes: u64,
    pub(super) size_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connections {
    pub(super) open: u64,
    pub(super) accepted: u64,
    pub(super) failed: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Held {
    pub(super) input_bytes: u64,
    pub(super) output_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Writes {
    pub(super) acknowledged: u64,
    pub(super) pending: u64,
}

/// How often something took how long: pairs of an upper bound in ns, and how many are within it and
/// above the bound below.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Buckets {
    pub(super) count: u64,
    pub(super) buckets: Vec<(u64, u64)>,
    /// Of commits: how long the one that is under way has been.
    pub(super) in_flight_us: u64,
}

impl Buckets {
    /// What was counted since an earlier look at the same server.
    pub(super) fn since(&self, earlier: &Self) -> Histogram {
        let all = |buckets: &Self| Histogram::of_buckets(buckets.buckets.iter().copied());
        all(self).since(&all(earlier))
    }
}

/// One core. One that does not answer tells nothing else.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Core {
    pub(super) core: u64,
    pub(super) answers: bool,
    pub(super) problem: Option<String>,
    pub(super) requests: u64,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) pending: u64,
    pub(super) turns: u64,
    pub(super) sleeps: u64,
    pub(super) messages: u64,
    pub(super) concepts: u64,
    pub(super) log_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(buckets: &[(u64, u64)]) -> Buckets {
        Buckets { buckets: buckets.to_vec(), ..Buckets::default() }
    }

    #[test]
    fn only_what_was_counted_since_counts() {
        let before = buckets(&[(1_039, 50), (2_079, 10)]);
        let now = buckets(&[(1_039, 50), (2_079, 100), (1_000_000, 10)]);
        let took = now.since(&before);
        assert_eq!((took.count(), now.since(&now).quantile(0.5)), (100, None));
        let at = |share| took.quantile(share).map(|took| took.as_nanos());
        assert!(at(0.5).is_some_and(|ns| (1_907..=2_080).contains(&ns)), "{took:?}");
        assert!(at(1.0).is_some_and(|ns| (1_000_000..1_100_000).contains(&ns)), "{took:?}");
    }
}
