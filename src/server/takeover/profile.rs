//! What a server says of itself to its successor.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sutra_net::PASSING;
use sutra_runtime::Cores;
use sutra_wire::{FINGERPRINT, VERSION};

use crate::config::ServerConfig;
use crate::ports::PortFacts;
use crate::takeover_error::TakeoverError;

/// What a server is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Profile {
    /// Of its program.
    pub(crate) version: String,
    /// By core.
    pub(crate) cpus: Vec<usize>,
    pub(crate) pinned: bool,
    pub(crate) ports: Vec<PortFacts>,
    pub(crate) admin: Option<AdminFacts>,
    /// When the service started, in µs since 1970: the first of those that took over since.
    since: u64,
    /// What its clients were told, or count on.
    agreed: Agreed,
}

/// Where an admin port is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AdminFacts {
    /// Where the settings say.
    pub(crate) asked: SocketAddr,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Agreed {
    /// The layout of what is passed on.
    passing: u32,
    wire: u8,
    schema: u64,
    max_payload: u32,
    max_in_flight: u32,
    durability: String,
    numbering: String,
}

impl Agreed {
    fn of(config: &ServerConfig) -> Self {
        Self {
            passing: PASSING,
            wire: VERSION,
            schema: FINGERPRINT,
            max_payload: config.limits.max_payload,
            max_in_flight: config.limits.max_in_flight,
            durability: config.durability.to_string(),
            numbering: format!("{:?}", config.numbering).to_lowercase(),
        }
    }
}

impl Profile {
    pub(crate) fn new(
        config: &ServerConfig,
        cpus: Vec<usize>,
        pinned: bool,
        ports: Vec<PortFacts>,
        admin: Option<AdminFacts>,
        started: Instant,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let since = micros(now().saturating_sub(started.elapsed()));
        Self { version, cpus, pinned, ports, admin, since, agreed: Agreed::of(config) }
    }

    /// When the service started. A clock that was set back makes it now.
    pub(crate) fn started(&self) -> Instant {
        let age = now().saturating_sub(Duration::from_micros(self.since));
        Instant::now().checked_sub(age).unwrap_or_else(Instant::now)
    }

    /// Whether a server with these settings can go on where this one stops.
    pub(super) fn check(&self, config: &ServerConfig) -> Result<(), TakeoverError> {
        let (theirs, ours) = (&self.agreed, &Agreed::of(config));
        let texts = [
            ("connections in layout", theirs.passing.to_string(), ours.passing.to_string()),
            ("the wire's version", theirs.wire.to_string(), ours.wire.to_string()),
            ("the wire's schema", hex(theirs.schema), hex(ours.schema)),
            ("a longest payload of", theirs.max_payload.to_string(), ours.max_payload.to_string()),
            (
                "a most of requests in flight of",
                theirs.max_in_flight.to_string(),
                ours.max_in_flight.to_string(),
            ),
            ("--durability", theirs.durability.clone(), ours.durability.clone()),
            ("--compat-numbering", theirs.numbering.clone(), ours.numbering.clone()),
        ];
        let cores = match &config.cores {
            Cores::All => self.cpus.len(),
            Cores::Count(count) => *count,
            Cores::List(list) => list.len(),
        };
        let cores = ("--cores", self.cpus.len().to_string(), cores.to_string());
        let differs = texts.into_iter().chain([cores]).find(|(_, theirs, ours)| theirs != ours);
        differs.map_or(Ok(()), |(what, theirs, ours)| {
            Err(TakeoverError::Differs { what, theirs, ours })
        })
    }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}
