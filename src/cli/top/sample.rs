//! What `/api/v1/stats` tells, as far as it is shown. All counts are since the server's start.
//!
//! Whatever an older or newer server does not tell is zero or not there.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything at a moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) time_us: u64,
    pub(super) status: String,
    pub(super) healthy: bool,
    pub(super) ready: bool,
    pub(super) version: String,
    pub(super) uptime_us: u64,
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
    pub(super) damaged: u64,
    pub(super) scrub: Scrub,
    pub(super) by_core: Vec<Core>,
    pub(super) counters: BTreeMap<String, u64>,
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
