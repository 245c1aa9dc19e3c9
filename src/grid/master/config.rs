//! What a master is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sutra_net::Limits;

use super::error::MasterError;

/// What a master is started with.
#[derive(Clone, Debug)]
pub struct MasterConfig {
    /// The data folder; made where it does not exist.
    pub data: PathBuf,
    /// Where to listen; each address takes the native wire and the old protocol.
    pub listen: Vec<SocketAddr>,
    /// Where else to listen, for those who know the old port: the same.
    pub compat: Vec<SocketAddr>,
    /// The CPU to serve on; `None` for any, unpinned.
    pub cpu: Option<usize>,
    /// How often agents are to send heartbeats.
    pub heartbeat: Duration,
    /// After how long without one an agent is degraded.
    pub degraded_after: Duration,
    /// After how long it is offline.
    pub offline_after: Duration,
    /// What connections may take up.
    pub limits: Limits,
}

impl Default for MasterConfig {
    fn default() -> Self {
        let loopback = |port| vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        Self {
            data: PathBuf::from("sutra-grid"),
            listen: loopback(7001),
            compat: loopback(7002),
            cpu: None,
            heartbeat: Duration::from_secs(5),
            // As the first master had them.
            degraded_after: Duration::from_secs(15),
            offline_after: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

impl MasterConfig {
    pub(crate) fn check(&self) -> Result<(), MasterError> {
        let (heartbeat, degraded, offline) = (self.heartbeat, self.degraded_after, self.offline_after);
        if !heartbeat.is_zero() && heartbeat < degraded && degraded < offline {
            return Ok(());
        }
        Err(MasterError::Ages {
            heartbeat: heartbeat.as_millis(),
            degraded: degraded.as_millis(),
            offline: offline.as_millis(),
        })
    }
}
