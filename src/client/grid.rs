//! The grid: what its master knows and does, and addresses that name a storage node instead of a
//! host.

mod call;
mod client;
mod locate;
mod watch;

pub use client::GridClient;
pub use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentInfo, AgentRegistered, AgentRegistration, AgentReport,
    AgentState, Cluster, ClusterState, EventKind, GridEvent, HeartbeatAck, NodeAdminPort, NodeInfo,
    NodeReport, NodeState, SpawnNode,
};
pub use watch::Watch;

pub(crate) use call::GridCall;
pub(crate) use locate::{GridNode, SCHEME};

/// The master's native port, taken where an address names none.
pub(crate) const DEFAULT_PORT: u16 = 7001;
