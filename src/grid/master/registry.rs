//! What the master knows: agents and their nodes, as a state machine that is told the time and does
//! nothing else.
//!
//! Every call leaves behind what it changed ([`Registry::take_changes`]: to be logged) and what it
//! made happen ([`Registry::take_events`]: to be told). Ages are measured by the monotonic clock;
//! the clock on the wall is only for what is shown.
//!
//! An agent of the old protocol has no incarnation (0), and no revisions: where a revision would
//! stand, its heartbeats have the number of its nodes, which is all that they tell. It is known by
//! its host and endpoint, and its nodes by what was asked of it through this master.

mod agents;
mod ages;
mod names;
mod nodes;
mod refused;
mod reports;
mod spawns;
mod standing;
#[cfg(test)]
mod tests;
mod views;
mod well;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use standing::{Shares, Standing};
use sutra_wire::grid::{AgentState, EventKind, NodeReport, NodeState};

pub(crate) use agents::Registered;
pub(crate) use names::FIRST;
pub(crate) use nodes::StopTarget;
pub(crate) use refused::Refused;
pub(crate) use spawns::Contact;
pub(crate) use standing::{Answered, Ask, Source};
pub(crate) use views::Shown;
pub(crate) use well::Problems;

/// Most agents: with ten thousand a master core is busy; more are a mistake in a script.
pub(crate) const MAX_AGENTS: usize = 65_536;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For ages.
    pub(crate) now: Instant,
    /// For what is shown: µs since 1970.
    pub(crate) wall: u64,
}

/// After how long without a heartbeat an agent is what.
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
    /// Whether it has said, where it was asked back, that it is this agent: then its reports are
    /// its word.
    pub(crate) vouches: bool,
    /// Where it registered from, where that is known.
    pub(crate) source: Option<Source>,
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
    heard: Instant,
    heard_wall: u64,
    /// Whether it has been heard of since the master's start.
    is_heard: bool,
    /// As it was last told to whoever watches.
    state: AgentState,
    /// The revision of its nodes that is known here.
    revision: Option<u64>,
    /// How many nodes an old agent says that it has.
    told: Option<u32>,
    nodes: BTreeSet<String>,
    standing: Standing,
}

/// A storage node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) agent_id: String,
    pub(crate) report: NodeReport,
    /// When it took its id and its name, as a number that rises: who has had a name longest has it.
    pub(crate) claim: u64,
    /// Since when it has been in its state, as far as is known here.
    since: Instant,
    /// Since when it is known from its start alone: its agent has not listed it yet.
    unlisted: Option<Instant>,
}

impl Node {
    pub(crate) fn state(&self) -> NodeState {
        NodeState::from_number(self.report.state).unwrap_or_default()
    }

    /// Whether it is one of those that its agent has: not stopped, and not lost.
    fn is_there(&self) -> bool {
        !matches!(self.state(), NodeState::Stopped | NodeState::Lost)
    }

    /// Whether it takes up one of its agent's places.
    fn takes_place(&self) -> bool {
        self.is_there() && self.state() != NodeState::GaveUp
    }
}

/// Something whose record is to be written again as it is now, or removed where it is gone.
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
struct Reservation {
    agent_id: String,
    name: String,
    /// Where the agent has not said what has come of it: until when it may be about to.
    until: Option<Instant>,
}

/// All agents and nodes.
pub(crate) struct Registry {
    patience: Patience,
    agents: BTreeMap<String, Agent>,
    nodes: BTreeMap<String, Node>,
    /// Names of nodes, and their ids.
    names: BTreeSet<(String, String)>,
    reservations: BTreeMap<u64, Reservation>,
    next_reservation: u64,
    changes: Vec<Change>,
    events: Vec<Happening>,
    /// When ages were last looked at.
    looked: Option<Instant>,
    next_claim: u64,
    shares: Shares,
    /// Agents to be asked back.
    asks: Vec<Ask>,
    /// The same of those that did not answer at once or found no place; the last is the next.
    backlog: Vec<String>,
    /// When those that have not answered were last looked through for whom to ask, and for whom to
    /// forget.
    asked: Option<Instant>,
    made_room: Option<Instant>,
}

impl Registry {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            patience,
            agents: BTreeMap::new(),
            nodes: BTreeMap::new(),
            names: BTreeSet::new(),
            reservations: BTreeMap::new(),
            next_reservation: 0,
            changes: Vec::new(),
            events: Vec::new(),
            looked: None,
            next_claim: FIRST,
            shares: Shares::default(),
            asks: Vec::new(),
            backlog: Vec::new(),
            asked: None,
            made_room: None,
        }
    }

    /// Puts back an agent that was logged: with its whole time to be heard of, and until then
    /// nobody knows how it is.
    pub(crate) fn restore_agent(&mut self, agent_id: String, facts: AgentFacts, at: Moment) {
        let agent = Agent {
            heard: at.now,
            heard_wall: facts.registered,
            is_heard: false,
            facts,
            state: AgentState::Unknown,
            revision: None,
            told: None,
            nodes: BTreeSet::new(),
            standing: Standing::Proven,
        };
        self.put_agent(agent_id, agent);
        self.looked.get_or_insert(at.now);
    }

    /// Puts back a node that was logged, after all agents; `false` where its agent is not known.
    pub(crate) fn restore_node(&mut self, agent_id: String, report: NodeReport, claim: u64, at: Moment) -> bool {
        if !self.agents.contains_key(&agent_id) {
            return false;
        }
        self.next_claim = self.next_claim.max(claim.saturating_add(1));
        self.put_node(Node { agent_id, report, claim, since: at.now, unlisted: None });
        true
    }

    pub(crate) fn agent(&self, agent_id: &str) -> Option<&Agent> {
        self.agents.get(agent_id)
    }

    /// A node by its id.
    pub(crate) fn node(&self, node_id: &str) -> Option<&Node> {
        self.nodes.get(node_id)
    }

    pub(crate) fn agents(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What was changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What has happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.events)
    }

    fn agent_event(&mut self, kind: EventKind, agent_id: &str, detail: String) {
        let (node_id, name) = (String::new(), String::new());
        self.events.push(Happening { kind, agent_id: agent_id.to_owned(), node_id, name, detail });
    }

    fn node_event(&mut self, kind: EventKind, agent_id: &str, report: &NodeReport, detail: &str) {
        self.events.push(Happening {
            kind,
            agent_id: agent_id.to_owned(),
            node_id: report.node_id.clone(),
            name: report.name.clone(),
            detail: detail.to_owned(),
        });
    }
}
