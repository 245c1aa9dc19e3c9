//! What a master is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sutra_net::Limits;

/// What a master is started with.
#[derive(Clone, Debug)]
pub struct MasterConfig {
    /// The data folder; made where it does not exist.
    pub data: PathBuf,
    /// Where to listen for native clients.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for the old grid's clients; nowhere where this is empty. Either kind of port
    /// speaks either protocol.
    pub compat: Vec<SocketAddr>,
    /// Where health, metrics and the grid as JSON are served over HTTP; nowhere by default.
    pub admin: Option<SocketAddr>,
    /// After how long without a heartbeat an agent is degraded.
    pub degraded_after: Duration,
    /// After how long it is offline.
    pub offline_after: Duration,
    /// How often agents are told to send one.
    pub heartbeat: Duration,
    /// The CPU that its thread stays on; any where this is `None`.
    pub cpu: Option<usize>,
    /// What connections may take up.
    pub limits: Limits,
    /// Size of a new log segment, in bytes.
    pub segment_bytes: u64,
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from("sutra-grid"),
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7001))],
            compat: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7002))],
            admin: None,
            degraded_after: Duration::from_secs(15),
            offline_after: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            cpu: None,
            // Old agents may open a connection long before they send anything, and every port waits
            // for the first bytes.
            limits: Limits { hello_timeout: Duration::from_secs(300), ..Limits::default() },
            // An agent's record has some 300 bytes, a node's 500: room for tens of thousands of
            // changes.
            segment_bytes: 16 << 20,
        }
    }
}
