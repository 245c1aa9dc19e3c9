//! What agents report of their nodes: the list replaces what was known.

use std::collections::BTreeSet;
use std::time::Duration;

use sutra_wire::grid::{AgentReport, AgentState, EventKind, NodeReport, NodeState};
use sutra_wire::limits::MAX_AGENT_NODES;

use super::facts::{Ask, Change, Moment, Node};
use super::state::Registry;

/// How long a node that an agent was asked to start may be missing from its reports: one that was
/// begun before may still be on its way.
pub(super) const UNLISTED: Duration = Duration::from_secs(60);

impl Registry {
    /// An agent's nodes have changed; `false` where it is to register.
    pub(crate) fn report(&mut self, report: &AgentReport, at: Moment) -> bool {
        let AgentReport { agent_id, incarnation, revision, nodes } = report;
        if self.heartbeat(agent_id, *incarnation, *revision, at).is_none() {
            return false;
        }
        if self.vouches(agent_id) {
            self.reconcile(agent_id, nodes, *revision, at);
            return true;
        }
        let Some(agent) =
            self.agents.get(agent_id).filter(|agent| agent.is_proven() && !agent.facts.is_old())
        else {
            // It is asked for its nodes once it has answered.
            return true;
        };
        // It does not say who it is, but says of each node whether it runs it.
        if nodes.iter().all(|node| agent.nodes.contains(&node.node_id)) {
            self.reconcile(agent_id, nodes, *revision, at);
        } else {
            let (endpoint, origin) = (agent.facts.endpoint.clone(), agent.facts.origin);
            let (agent_id, nodes, revision) = (agent_id.clone(), nodes.clone(), Some(*revision));
            self.ask_back(Ask {
                agent_id,
                incarnation: *incarnation,
                endpoint,
                origin,
                nodes,
                revision,
            });
        }
        true
    }

    pub(super) fn reconcile(
        &mut self,
        agent_id: &str,
        reports: &[NodeReport],
        revision: u64,
        at: Moment,
    ) {
        let mut is_complete = true;
        for report in reports {
            is_complete &= self.adopt(agent_id, report, at);
        }
        let listed: BTreeSet<&str> = reports.iter().map(|report| report.node_id.as_str()).collect();
        let known = self.agents.get(agent_id).map(|agent| agent.nodes.clone()).unwrap_or_default();
        for node_id in known.iter().filter(|known| !listed.contains(known.as_str())) {
            is_complete &= self.miss(node_id, at);
        }
        self.forget_the_gone(agent_id);
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.revision = Some(revision).filter(|_| is_complete && !agent.facts.is_old());
        }
    }

    /// An agent lists a node. `false` where it is another's, for now: it is to be listed again.
    fn adopt(&mut self, agent_id: &str, report: &NodeReport, at: Moment) -> bool {
        let node_id = &report.node_id;
        let known = self.nodes.get(node_id);
        if let Some(known) = known.filter(|known| known.agent_id != agent_id) {
            let owner = self.agents.get(&known.agent_id);
            let is_owned =
                owner.is_some_and(|owner| self.state_of(owner, at) != AgentState::Offline);
            if is_owned && known.is_there() {
                let owner = &known.agent_id;
                tracing::warn!(
                    agent_id,
                    node_id,
                    owner,
                    "an agent lists a node that is another's: left out"
                );
                return false;
            }
        }
        let known = known.filter(|known| known.agent_id == agent_id);
        if known.is_some_and(|known| known.report == *report) {
            if let Some(node) = self.nodes.get_mut(node_id) {
                node.unlisted = None;
            }
            return true;
        }
        let before = known.map(|known| (known.state(), known.report.restarts));
        let claim = known.filter(|known| known.report.name == report.name).map(|known| known.claim);
        let since = known
            .filter(|known| known.report.state == report.state)
            .map_or(at.now, |known| known.since);
        let is_asked_for = self.reservations.values().any(|reservation| {
            reservation.agent_id == agent_id
                && reservation.name == report.name
                && !report.name.is_empty()
        });
        self.reservations.retain(|_, reservation| {
            reservation.until.is_none()
                || reservation.agent_id != agent_id
                || reservation.name != report.name
        });
        let claim = claim.unwrap_or_else(|| self.claim());
        let (agent_id_of, report_of) = (agent_id.to_owned(), report.clone());
        self.put_node(Node {
            agent_id: agent_id_of,
            report: report_of,
            claim,
            since,
            unlisted: None,
        });
        if is_asked_for {
            self.give_name(&report.name, node_id);
        }
        self.changes.push(Change::Node(node_id.clone()));
        for kind in what_happened(before, report) {
            self.node_event(kind, agent_id, report, &report.detail);
        }
        true
    }

    /// An agent does not list a node that it had. `false` where it may yet.
    fn miss(&mut self, node_id: &str, at: Moment) -> bool {
        let Some(node) = self.nodes.get_mut(node_id) else { return true };
        if node.unlisted.is_some_and(|since| at.now.saturating_duration_since(since) < UNLISTED) {
            return false;
        }
        match node.state() {
            NodeState::Lost => {}
            NodeState::Stopped => {
                self.remove_node(node_id);
                self.changes.push(Change::Node(node_id.to_owned()));
            }
            // A start that has failed: its agent has taken all of it back.
            NodeState::Starting if node.report.restarts == 0 => {
                let Some(node) = self.remove_node(node_id) else { return true };
                self.node_event(
                    EventKind::NodeStopped,
                    &node.agent_id,
                    &node.report,
                    "it did not start",
                );
                self.changes.push(Change::Node(node_id.to_owned()));
            }
            _ => {
                node.report.state = NodeState::Lost as u8;
                node.since = at.now;
                node.report.detail = "its agent does not know it any more".into();
                let (agent_id, report) = (node.agent_id.clone(), node.report.clone());
                self.node_event(EventKind::NodeLost, &agent_id, &report, &report.detail);
                self.changes.push(Change::Node(node_id.to_owned()));
            }
        }
        true
    }

    /// Bounds what is kept of an agent's nodes that are no more.
    pub(super) fn forget_the_gone(&mut self, agent_id: &str) {
        let Some(agent) = self.agents.get(agent_id) else { return };
        let is_gone = |id: &&String| self.nodes.get(*id).is_some_and(|node| !node.is_there());
        let gone: Vec<String> = agent.nodes.iter().filter(is_gone).cloned().collect();
        for node_id in gone.iter().take(gone.len().saturating_sub(MAX_AGENT_NODES)) {
            self.remove_node(node_id);
            self.changes.push(Change::Node(node_id.clone()));
        }
    }

    /// Puts a node in the place of what was known of it.
    pub(super) fn put_node(&mut self, node: Node) {
        let node_id = node.report.node_id.clone();
        self.remove_node(&node_id);
        if let Some(agent) = self.agents.get_mut(&node.agent_id) {
            agent.nodes.insert(node_id.clone());
        }
        if !node.report.name.is_empty() {
            self.names.insert((node.report.name.clone(), node_id.clone()));
        }
        self.nodes.insert(node_id, node);
    }

    pub(super) fn remove_node(&mut self, node_id: &str) -> Option<Node> {
        let node = self.nodes.remove(node_id)?;
        if let Some(agent) = self.agents.get_mut(&node.agent_id) {
            agent.nodes.remove(node_id);
        }
        self.names.remove(&(node.report.name.clone(), node_id.to_owned()));
        Some(node)
    }
}

/// What lies between two reports of a node. `before`: its state and restarts, where it was known.
fn what_happened(before: Option<(NodeState, u32)>, report: &NodeReport) -> Vec<EventKind> {
    let state = NodeState::from_number(report.state).unwrap_or_default();
    let mut kinds = Vec::new();
    let Some((was, restarts)) = before else {
        if state != NodeState::Stopped {
            kinds.push(EventKind::NodeSpawned);
        }
        kinds.extend(reached(state));
        return kinds;
    };
    if report.restarts > restarts {
        if was != NodeState::Crashed {
            // It was started again before anybody said that it had ended.
            kinds.push(EventKind::NodeCrashed);
        }
        kinds.push(EventKind::NodeRestarted);
    } else if was == NodeState::Stopped && state == NodeState::Starting {
        kinds.push(EventKind::NodeSpawned);
    }
    if state != was || report.restarts > restarts {
        kinds.extend(reached(state));
    }
    kinds
}

fn reached(state: NodeState) -> Option<EventKind> {
    match state {
        NodeState::Starting | NodeState::Stopping => None,
        NodeState::Running => Some(EventKind::NodeRunning),
        NodeState::Stopped => Some(EventKind::NodeStopped),
        NodeState::Crashed => Some(EventKind::NodeCrashed),
        NodeState::GaveUp => Some(EventKind::NodeGaveUp),
        NodeState::Lost => Some(EventKind::NodeLost),
    }
}
