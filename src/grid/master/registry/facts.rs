//! What the master knows of agents and nodes, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sutra_wire::grid::{AgentState, EventKind, NodeReport, NodeState};

/// Most agents: with ten thousand a master core is busy; more are a mistake in a script.
pub(crate) const MAX_AGENTS: usize = 65_536;

/// The claim of nodes that were logged by a master that did not number them: older than all others.
pub(crate) const FIRST: u64 = 1;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For ages.
    pub(crate) now: Instant,
    /// For what is shown: µs since 1970.
    pub(crate) wall: u64,
}

/// After how long without a heartbeat an agent is degraded, and offline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) degraded_after: Duration,
    pub(crate) offline_after: Duration,
}

/// An agent, as much of it as is logged.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct AgentFacts {
    pub(crate) hostname: String,
    pub(crate) platform: String,
    pub(crate) version: String,
    pub(crate) endpoint: String,
    pub(crate) incarnation: u64,
    pub(crate) memory_mb: u64,
    pub(crate) max_nodes: u32,
    pub(crate) cores: u32,
    /// In µs since 1970.
    pub(crate) registered: u64,
    /// Whether it said, when it was asked back, that it is this agent: then its reports are
    /// believed.
    pub(crate) vouches: bool,
    /// Where it registered from, where that is known.
    pub(crate) origin: Option<Origin>,
}

impl AgentFacts {
    /// Whether it speaks nothing but the old protocol.
    pub(crate) fn is_old(&self) -> bool {
        self.incarnation == 0
    }
}

/// An agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) facts: AgentFacts,
    /// When it was last heard of.
    pub(super) heard: Instant,
    pub(super) heard_wall: u64,
    /// Whether it has been heard of since the master's start.
    pub(super) is_heard: bool,
    /// As it was last told to whoever watches.
    pub(super) state: AgentState,
    /// The revision of its nodes that is known here.
    pub(super) revision: Option<u64>,
    /// How many nodes an old agent says that it has.
    pub(super) told: Option<u32>,
    pub(super) nodes: BTreeSet<String>,
    pub(super) proof: Proof,
    /// Where it and its nodes serve HTTP, where it has told since the master's start.
    pub(super) ports: Option<AgentPorts>,
}

/// An agent's admin port and those of its nodes by their ids, each as `host:port`; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AgentPorts {
    pub(super) admin: String,
    pub(super) nodes: BTreeMap<String, String>,
}

/// A storage node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) agent_id: String,
    pub(crate) report: NodeReport,
    /// When it took its id and its name, as a number that rises. The node with the lowest has the
    /// name.
    pub(crate) claim: u64,
    /// Since when it has been in its state, as far as is known here.
    pub(super) since: Instant,
    /// Since when it is known from its start alone: its agent has not listed it yet.
    pub(super) unlisted: Option<Instant>,
}

impl Node {
    pub(crate) fn state(&self) -> NodeState {
        NodeState::from_number(self.report.state).unwrap_or_default()
    }

    /// Whether its agent has it: it is neither stopped nor lost.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.state(), NodeState::Stopped | NodeState::Lost)
    }

    /// Whether it counts against its agent's most nodes.
    pub(super) fn takes_place(&self) -> bool {
        self.is_there() && self.state() != NodeState::GaveUp
    }
}

/// What is to be logged anew as it is now, or removed where it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Agent(String),
    Node(String),
}

/// What happened, without its number and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) kind: EventKind,
    pub(crate) agent_id: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// A node that an agent was asked to start.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    pub(super) agent_id: String,
    pub(super) name: String,
    /// Where the agent has not answered: until when it may still report the node.
    pub(super) until: Option<Instant>,
}

/// Where registrations come from: an IPv4 address, or the /64 of an IPv6 address, which is one
/// site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl From<SocketAddr> for Origin {
    fn from(peer: SocketAddr) -> Self {
        Self(match peer.ip().to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & (u128::MAX << 64)).into(),
            ip => ip,
        })
    }
}

/// Whether an agent has answered at its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Proven,
    Unproven {
        since: Instant,
        failures: u32,
        /// When it is to be asked; `None` while it is.
        ask_at: Option<Instant>,
    },
}

/// Somebody to be asked back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) agent_id: String,
    pub(crate) incarnation: u64,
    pub(crate) endpoint: String,
    pub(crate) origin: Option<Origin>,
    /// What it says of its nodes.
    pub(crate) nodes: Vec<NodeReport>,
    pub(crate) revision: Option<u64>,
}

/// What the one at the endpoint has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// That it is this agent.
    Itself,
    /// It does not say who it is, but that it runs these nodes.
    Nodes(Vec<String>),
    /// Nothing of use.
    No(String),
}

impl Agent {
    pub(crate) fn is_proven(&self) -> bool {
        self.proof == Proof::Proven
    }
}
