//! What a comparison found, as it is written to `report.json`. It is read again to compare two
//! runs, or to write the report anew.

use serde::{Deserialize, Serialize};
use sutra_load::Profile;

use super::cell::{Cell, Shape};
use super::host::Host;
use super::scaling::measured::Scaling;

/// A whole run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) sutra: String,
    /// When the run began, in UTC.
    pub(crate) started: String,
    pub(crate) minutes: f64,
    pub(crate) quick: bool,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    pub(crate) contenders: Vec<Described>,
    pub(crate) sections: Vec<Section>,
    pub(crate) profiles: Vec<Profiled>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) search: Vec<Searched>,
    /// What was measured with more than one core.
    #[serde(default)]
    pub(crate) scaling: Option<Scaling>,
    pub(crate) serialized: Vec<Serialized>,
    pub(crate) round_trips: Vec<RoundTrips>,
    /// Problems that a reader of the figures has to know, in the order in which they were noticed.
    pub(crate) problems: Vec<String>,
}

/// The settings of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) server_cpu: usize,
    pub(crate) load_cpu: usize,
    pub(crate) concepts: u64,
    /// Bytes of a query's request and reply: what the echoes exchange.
    pub(crate) query_bytes: (usize, usize),
    /// Bytes of a stored record that is learned: as many are given to Redis and memcached.
    pub(crate) learn_bytes: usize,
}

/// A contender as it was run, or why it was not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) what: String,
    /// Each setting with its reason.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) missing: Option<String>,
}

/// One operation under all its loads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) cells: Vec<Cell>,
}

/// Where the time of one of Sutra's requests goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Profiled {
    /// The table whose request it is.
    pub(crate) section: String,
    pub(crate) shape: Shape,
    pub(crate) profile: Profile,
    /// The server's CPU time in that run, in µs a request. The stages explain it.
    pub(crate) cpu_us: f64,
}

/// A contender's memory for connections that say nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) contender: String,
    pub(crate) connections: usize,
    /// Resident memory in bytes for each connection, or why it was not measured.
    pub(crate) bytes_each: Result<f64, String>,
}

/// A contender's resident memory in bytes: when it held the data, and after all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) contender: String,
    pub(crate) filled: u64,
    pub(crate) at_end: Option<u64>,
}

/// Vector search by one contender under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Searched {
    pub(crate) vectors: usize,
    /// The share of the ten true neighbours that its answers held.
    pub(crate) recall: Option<f64>,
    pub(crate) cell: Cell,
}

/// One message in one encoding: its length, and the time to encode and decode it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Serialized {
    pub(crate) encoding: String,
    pub(crate) message: String,
    pub(crate) bytes: usize,
    pub(crate) encode_ns: f64,
    pub(crate) decode_ns: f64,
}

/// Round trips from connecting to the first answer, or why they were not counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoundTrips {
    pub(crate) contender: String,
    pub(crate) round_trips: Result<f64, String>,
}

impl Described {
    pub(crate) fn new(
        name: &str,
        what: &str,
        settings: &[(&str, &str)],
        missing: Option<String>,
    ) -> Self {
        let settings =
            settings.iter().map(|(setting, reason)| ((*setting).to_owned(), (*reason).to_owned()));
        Self { name: name.to_owned(), what: what.to_owned(), settings: settings.collect(), missing }
    }
}

impl Record {
    pub(crate) fn section(&self, id: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// Bytes for each of a contender's idle connections, if they were measured.
    pub(crate) fn idle_bytes(&self, contender: &str) -> Option<f64> {
        self.idle.iter().find(|idle| idle.contender == contender)?.bytes_each.as_ref().ok().copied()
    }

    pub(crate) fn cell(&self, section: &str, contender: &str, shape: Shape) -> Option<&Cell> {
        self.section(section)?
            .cells
            .iter()
            .find(|cell| cell.contender == contender && cell.shape == shape)
    }
}
