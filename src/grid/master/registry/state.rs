//! All agents and nodes, and what changed and happened since it was last asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sutra_wire::grid::{AgentState, EventKind, NodeReport};

use super::facts::{
    Agent, AgentFacts, Ask, Change, FIRST, Happening, Moment, Node, Patience, Proof, Reservation,
};
use super::shares::Shares;

/// All agents and nodes.
pub(crate) struct Registry {
    pub(super) patience: Patience,
    pub(super) agents: BTreeMap<String, Agent>,
    pub(super) nodes: BTreeMap<String, Node>,
    /// Names of nodes, and their ids.
    pub(super) names: BTreeSet<(String, String)>,
    pub(super) reservations: BTreeMap<u64, Reservation>,
    pub(super) next_reservation: u64,
    pub(super) changes: Vec<Change>,
    pub(super) events: Vec<Happening>,
    /// When ages were last looked at.
    pub(super) looked: Option<Instant>,
    pub(super) next_claim: u64,
    pub(super) shares: Shares,
    /// Agents to be asked back.
    pub(super) asks: Vec<Ask>,
    /// The same for agents that did not answer or could not be asked yet; the last is the next.
    pub(super) backlog: Vec<String>,
    /// When those that have not answered were last looked through for whom to ask, and for whom to
    /// forget.
    pub(super) asked: Option<Instant>,
    pub(super) made_room: Option<Instant>,
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

    /// Puts back an agent that was logged. It has its whole time to send a heartbeat, and is
    /// unknown until then.
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
            proof: Proof::Proven,
            ports: None,
        };
        self.put_agent(agent_id, agent);
        self.looked.get_or_insert(at.now);
    }

    /// Puts back a node that was logged, after all agents; `false` where its agent is not known.
    pub(crate) fn restore_node(
        &mut self,
        agent_id: String,
        report: NodeReport,
        claim: u64,
        at: Moment,
    ) -> bool {
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

    pub(super) fn agent_event(&mut self, kind: EventKind, agent_id: &str, detail: String) {
        let (node_id, name) = (String::new(), String::new());
        self.events.push(Happening { kind, agent_id: agent_id.to_owned(), node_id, name, detail });
    }

    pub(super) fn node_event(
        &mut self,
        kind: EventKind,
        agent_id: &str,
        report: &NodeReport,
        detail: &str,
    ) {
        self.events.push(Happening {
            kind,
            agent_id: agent_id.to_owned(),
            node_id: report.node_id.clone(),
            name: report.name.clone(),
            detail: detail.to_owned(),
        });
    }
}
