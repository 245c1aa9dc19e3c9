//! What the grid's master is asked and answers: agents on hosts, the storage nodes that they keep
//! alive, and what happens to them.
//!
//! An agent registers once for each connection. It says that it is there by small heartbeats, and
//! reports its nodes when they have changed. A heartbeat carries the number of the last change (the
//! *revision*); the master asks for a report where it has another. So a lost message is made up for
//! by the next heartbeat, and a report that comes twice changes nothing.

mod checks;

use rkyv::{Archive, Deserialize, Serialize};

/// How an agent is, by the age of its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum AgentState {
    /// Heartbeats come.
    #[default]
    Healthy = 0,
    /// No heartbeat has come for a while.
    Degraded = 1,
    /// No heartbeat has come for so long that nothing is asked of it any more.
    Offline = 2,
    /// The master has started since, and has not heard of it yet.
    Unknown = 3,
}

/// What a storage node is doing, as its agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum NodeState {
    /// Its process runs and has not said yet that it is healthy.
    #[default]
    Starting = 0,
    /// It answers that it is healthy.
    Running = 1,
    /// Its process is being asked to end.
    Stopping = 2,
    /// It was stopped, and is not started again.
    Stopped = 3,
    /// Its process ended by itself, and is started again after a pause.
    Crashed = 4,
    /// It ended too often: it is not started again until somebody asks.
    GaveUp = 5,
    /// Its agent does not know it any more.
    Lost = 6,
}

/// How the grid as a whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ClusterState {
    /// All agents and nodes are as they should be, or there are none.
    #[default]
    Healthy = 0,
    /// Something is not as it should be: the master's health says what.
    Degraded = 1,
    /// There are agents, and none of them is healthy.
    Critical = 2,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// An agent registered.
    AgentRegistered = 0,
    /// An agent's heartbeats stay away.
    AgentDegraded = 1,
    /// An agent's heartbeats have stayed away for long.
    AgentOffline = 2,
    /// The heartbeats of an agent that was degraded or offline come again.
    AgentRecovered = 3,
    /// An agent took its leave.
    AgentUnregistered = 4,
    /// A node was started for the first time.
    NodeSpawned = 5,
    /// A node answers that it is healthy.
    NodeRunning = 6,
    /// A node was stopped.
    NodeStopped = 7,
    /// A node's process ended by itself.
    NodeCrashed = 8,
    /// A node whose process had ended was started again.
    NodeRestarted = 9,
    /// A node ended too often and is not started again.
    NodeGaveUp = 10,
    /// A node's agent does not know it any more.
    NodeLost = 11,
    /// A watcher was too slow, or asked for what is long past: events are missing before this one.
    Missed = 12,
}

/// Gives an enum its number's way back and its name.
macro_rules! numbered {
    ($of:ident: $($name:ident = $text:literal,)+) => {
        impl $of {
            /// All of them, by number.
            pub const ALL: &'static [$of] = &[$($of::$name),+];

            /// The one of this number on the wire, if there is one.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| *known as u8 == number)
            }

            /// As it is shown, and spelled in JSON and in the old protocol.
            pub fn name(self) -> &'static str {
                match self { $($of::$name => $text),+ }
            }
        }

        impl std::fmt::Display for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

numbered! {
    AgentState: Healthy = "healthy", Degraded = "degraded", Offline = "offline",
    Unknown = "unknown",
}
numbered! {
    NodeState: Starting = "starting", Running = "running", Stopping = "stopping",
    Stopped = "stopped", Crashed = "crashed", GaveUp = "gave up", Lost = "lost",
}
numbered! { ClusterState: Healthy = "healthy", Degraded = "degraded", Critical = "critical", }
numbered! {
    EventKind: AgentRegistered = "agent registered", AgentDegraded = "agent degraded",
    AgentOffline = "agent offline", AgentRecovered = "agent recovered",
    AgentUnregistered = "agent unregistered", NodeSpawned = "node spawned",
    NodeRunning = "node running", NodeStopped = "node stopped", NodeCrashed = "node crashed",
    NodeRestarted = "node restarted", NodeGaveUp = "node gave up", NodeLost = "node lost",
    Missed = "events missed",
}

/// A storage node, as its agent reports it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NodeReport {
    /// Given by its agent; unique in the grid.
    pub node_id: String,
    /// Given when it was spawned; empty for none.
    pub name: String,
    /// Where it listens for native clients, `host:port`; empty where it does not.
    pub endpoint: String,
    /// Where it listens for clients of the old protocol.
    pub compat_endpoint: String,
    /// Its data folder on its host.
    pub storage_path: String,
    /// Why it is as it is, in words; empty where there is nothing to tell.
    pub detail: String,
    /// The CPUs of its cores, as `sutra serve --cores` reads them; empty for any.
    pub cores: String,
    /// How its memory limit is kept, in words; empty where it has none.
    pub memory_enforcement: String,
    /// Most memory, in MiB; 0 for no limit.
    pub memory_limit_mb: u64,
    /// When its process started, in µs since 1970; 0 where there is none.
    pub started: u64,
    /// Its process; 0 where there is none.
    pub pid: u32,
    /// How often it was started again after a crash.
    pub restarts: u32,
    /// A [`NodeState`].
    pub state: u8,
}

/// An agent takes up its work, or comes back to it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentRegistration {
    /// Its name: one agent's at a time.
    pub agent_id: String,
    /// The name of the agent's host.
    pub hostname: String,
    /// The host's system and processor.
    pub platform: String,
    /// The agent's version.
    pub version: String,
    /// Where the master reaches it, `host:port`.
    pub endpoint: String,
    /// Of the agent's folder and its place: tells an agent that comes back from another with the
    /// same name, and from a copy of its folder.
    pub incarnation: u64,
    /// The number of the last change to its nodes.
    pub revision: u64,
    /// The host's memory.
    pub memory_mb: u64,
    /// Storage nodes that it takes on at most.
    pub max_nodes: u32,
    /// CPUs that it may use.
    pub cores: u32,
    /// All its nodes.
    pub nodes: Vec<NodeReport>,
}

/// What the master answers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentRegistered {
    /// The master's version.
    pub master_version: String,
    /// How often to send a heartbeat, in milliseconds.
    pub heartbeat_ms: u32,
    /// After how long without one the agent is degraded.
    pub degraded_after_ms: u32,
    /// After how long it is offline.
    pub offline_after_ms: u32,
}

/// An agent is there.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentHeartbeat {
    /// Which.
    pub agent_id: String,
    /// As it registered.
    pub incarnation: u64,
    /// The number of the last change to its nodes.
    pub revision: u64,
    /// When it was sent, in µs since 1970 by the agent's clock: given back, and otherwise only
    /// shown.
    pub sent: u64,
}

/// What the master answers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct HeartbeatAck {
    /// As it was sent.
    pub sent: u64,
    /// Whether the master has another revision of the agent's nodes and wants a report.
    pub wants_report: bool,
}

/// All of an agent's nodes, answered by nothing but ok.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentReport {
    /// The agent that has them.
    pub agent_id: String,
    /// As it registered.
    pub incarnation: u64,
    /// The number of the last change to them.
    pub revision: u64,
    /// The nodes.
    pub nodes: Vec<NodeReport>,
}

/// Where an agent and its nodes serve HTTP: all of it, whenever some of it has changed. Those that
/// serve none are left out.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AdminPorts {
    /// The agent.
    pub agent_id: String,
    /// As it registered.
    pub incarnation: u64,
    /// Its own admin port, `host:port`; empty for none.
    pub admin: String,
    /// Those of its nodes.
    pub nodes: Vec<NodeAdminPort>,
}

/// Where a storage node serves HTTP.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NodeAdminPort {
    /// The node.
    pub node_id: String,
    /// `host:port`.
    pub admin: String,
}

/// Names an agent: what unregistering one takes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentKey {
    /// Its name.
    pub agent_id: String,
    /// As it registered, so that an agent can only take leave for itself; 0 for whichever has the
    /// name, which people mean.
    pub incarnation: u64,
}

/// Asks for a storage node on an agent's host.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct SpawnNode {
    /// Which agent.
    pub agent_id: String,
    /// A name to find the node by, unique in the grid; empty for none.
    pub name: String,
    /// Its data folder, below the agent's own; empty for one of its own.
    pub storage_path: String,
    /// CPUs that no other node of the agent has, as `sutra serve --cores` reads them; empty for one
    /// thread on any.
    pub cores: String,
    /// Most memory, in MiB; 0 for no limit.
    pub memory_limit_mb: u64,
    /// Where it shall listen for native clients; 0 for any free port.
    pub port: u32,
    /// Where it shall listen for clients of the old protocol; 0 for any free port.
    pub compat_port: u32,
}

/// Names a storage node: what stopping one and asking for it takes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NodeKey {
    /// Its id, or its name.
    pub node: String,
}

/// A storage node and where it is.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NodeInfo {
    /// Its agent.
    pub agent_id: String,
    /// The agent's host.
    pub hostname: String,
    /// What the agent has reported last.
    pub report: NodeReport,
    /// How the agent is: an [`AgentState`].
    pub agent_state: u8,
}

/// Asks for nodes, page by page in the order of their ids.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NodesRequest {
    /// Only this agent's; empty for all.
    pub agent_id: String,
    /// Only nodes whose ids come behind this one; empty for the first page.
    pub after: String,
    /// At most this many, 0 for as many as a reply may hold ([`crate::limits::MAX_GRID_PAGE`]).
    pub limit: u32,
}

/// A page of nodes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Nodes {
    /// Ordered by id.
    pub nodes: Vec<NodeInfo>,
    /// Whether there are more.
    pub more: bool,
}

/// Asks for agents, page by page in the order of their names.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentsRequest {
    /// Only agents whose names come behind this one; empty for the first page.
    pub after: String,
    /// At most this many, 0 for as many as a reply may hold ([`crate::limits::MAX_GRID_PAGE`]).
    pub limit: u32,
}

/// An agent, as the master knows it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AgentInfo {
    /// Its name.
    pub agent_id: String,
    /// The name of the agent's host.
    pub hostname: String,
    /// The host's system and processor.
    pub platform: String,
    /// The agent's version.
    pub version: String,
    /// Where the master reaches it.
    pub endpoint: String,
    /// When it registered last, in µs since 1970.
    pub registered: u64,
    /// When its last heartbeat came, in µs since 1970 by the master's clock.
    pub last_heartbeat: u64,
    /// How long ago that was, in milliseconds.
    pub heartbeat_age_ms: u64,
    /// The host's memory; 0 where it was not told.
    pub memory_mb: u64,
    /// Storage nodes that it takes on at most.
    pub max_nodes: u32,
    /// Nodes that it has.
    pub nodes: u32,
    /// How many of them are running.
    pub running: u32,
    /// CPUs that it may use; 0 where it was not told.
    pub cores: u32,
    /// An [`AgentState`].
    pub state: u8,
}

/// A page of agents.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Agents {
    /// Ordered by name.
    pub agents: Vec<AgentInfo>,
    /// Whether there are more.
    pub more: bool,
}

/// The grid as a whole.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Cluster {
    /// The master's version.
    pub version: String,
    /// Since the master started, in µs.
    pub uptime: u64,
    /// Agents that are registered.
    pub agents: u32,
    /// How many of them are healthy.
    pub healthy: u32,
    /// How many are degraded.
    pub degraded: u32,
    /// How many are offline. The rest has not been heard of since the master's start.
    pub offline: u32,
    /// Storage nodes.
    pub nodes: u32,
    /// How many of them are running.
    pub running: u32,
    /// A [`ClusterState`].
    pub state: u8,
}

/// Asks for what happens from now on, and for what has happened since an event that was seen.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct WatchRequest {
    /// The last event's number; 0 for only those to come.
    pub after: u64,
}

/// Something that happened: one part of the answer to a [`WatchRequest`], which ends only with the
/// connection.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct GridEvent {
    /// Rises by one; begins anew, higher, when the master starts.
    pub number: u64,
    /// When, in µs since 1970 by the master's clock.
    pub at: u64,
    /// Which agent.
    pub agent_id: String,
    /// Which node; empty where an agent is meant.
    pub node_id: String,
    /// The node's name.
    pub name: String,
    /// More, in words.
    pub detail: String,
    /// An [`EventKind`].
    pub kind: u8,
}
