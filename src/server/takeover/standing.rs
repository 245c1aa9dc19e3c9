//! What a server says of itself to its successor.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sutra_net::PASSING;
use sutra_runtime::Cores;
use sutra_wire::{FINGERPRINT, VERSION};

use crate::config::ServerConfig;
use crate::ports::PortFacts;
use crate::takeover_error::TakeoverError;

/// What a server is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Standing {
    /// Of its program.
    pub(crate) version: String,
    /// By core.
    pub(crate) cpus: Vec<usize>,
    pub(crate) pinned: bool,
    pub(crate) ports: Vec<PortFacts>,
    pub(crate) admin: Option<AdminFacts>,
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

impl Standing {
    pub(crate) fn new(
        config: &ServerConfig,
        cpus: Vec<usize>,
        pinned: bool,
        ports: Vec<PortFacts>,
        admin: Option<AdminFacts>,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, cpus, pinned, ports, admin, agreed: Agreed::of(config) }
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

fn hex(number: u64) -> String {
    format!("{number:016x}")
}
