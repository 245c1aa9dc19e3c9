//! Options that several measurements share.

use std::time::Duration;

use clap::Args;
use sutra_load::{Length, Plan};

use crate::process::Running;

/// The CPUs of a measurement.
#[derive(Args)]
pub(crate) struct Cpus {
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    pub(crate) load_cpu: usize,
}

/// How many rounds there are, and how long each figure is measured.
#[derive(Args)]
pub(crate) struct Rounds {
    /// Rounds over everything that is compared
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds measured for each figure
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
}

/// A plan that fills a store: it sends `requests` requests as fast as the server takes them.
pub(crate) fn filling(server: &Running, requests: u64) -> Plan {
    Plan {
        depth: 64,
        warm_up: Duration::ZERO,
        length: Length::Requests(requests),
        ..Plan::new(server.address)
    }
}

/// A plan that measures for `seconds` from the CPU `cpu`, after a short warm-up.
pub(crate) fn load(
    server: &Running,
    connections: usize,
    depth: usize,
    seconds: f64,
    cpu: usize,
) -> Plan {
    Plan {
        connections,
        depth,
        warm_up: Duration::from_millis(300),
        length: Length::Duration(Duration::from_secs_f64(seconds)),
        pin: vec![cpu],
        ..Plan::new(server.address)
    }
}
