//! What a master can say of itself once it has started.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sutra_store::OpenReport;

/// What a start found and set up.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// Where it listens for native clients.
    pub listening: Vec<SocketAddr>,
    /// Where it listens for the old grid's clients.
    pub compat: Vec<SocketAddr>,
    /// Where it serves HTTP.
    pub admin: Option<SocketAddr>,
    /// The data folder.
    pub data: PathBuf,
    /// The CPU that its thread stays on.
    pub cpu: Option<usize>,
    /// After how long without a heartbeat an agent is degraded.
    pub degraded_after: Duration,
    /// After how long it is offline.
    pub offline_after: Duration,
    /// Agents that it knows from before.
    pub agents: usize,
    /// Storage nodes that it knows from before.
    pub nodes: usize,
    /// What recovery read.
    pub recovery: OpenReport,
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[SocketAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "listening   {}", list(&self.listening))?;
        if !self.compat.is_empty() {
            writeln!(
                f,
                "compat      {} (agents and consoles of the old grid)",
                list(&self.compat)
            )?;
        }
        if let Some(admin) = self.admin {
            writeln!(
                f,
                "admin       http://{admin} (a page; /metrics; /api/v1/targets for Prometheus's \
                 http_sd)"
            )?;
        }
        writeln!(f, "data        {}", self.data.display())?;
        writeln!(
            f,
            "agents      degraded after {:?}, offline after {:?}",
            self.degraded_after, self.offline_after
        )?;
        if let Some(cpu) = self.cpu {
            writeln!(f, "CPU         {cpu}")?;
        }
        write!(f, "recovered   {} agents, {} nodes: {}", self.agents, self.nodes, self.recovery)
    }
}
