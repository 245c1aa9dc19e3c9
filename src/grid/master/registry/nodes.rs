//! Nodes that are to be stopped, and what old agents say of theirs.

use sutra_wire::grid::{EventKind, NodeState};
use sutra_wire::limits::MAX_GRID_TEXT;

use super::facts::{Change, Moment};
use super::refused::Refused;
use super::reservations::Contact;
use super::state::Registry;

/// What it takes to stop a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StopTarget {
    /// There is no such node.
    Unknown,
    /// Nothing more: it was stopped already, or is known to nobody but the master, which forgets
    /// it.
    Done,
    /// Its agent is to be asked.
    Ask { agent_id: String, node_id: String, contact: Contact },
}

impl Registry {
    /// What it takes to stop a node, which `on` may say whose it is.
    pub(crate) fn stop(
        &mut self,
        key: &str,
        on: Option<&str>,
        at: Moment,
    ) -> Result<StopTarget, Refused> {
        let Some(node) = self.find(key) else { return Ok(StopTarget::Unknown) };
        let (agent_id, node_id) = (node.agent_id.clone(), node.report.node_id.clone());
        if let Some(asked) = on.filter(|asked| *asked != agent_id) {
            return Err(Refused::OtherAgent { node_id, agent_id, asked: asked.to_owned() });
        }
        match node.state() {
            NodeState::Stopped => Ok(StopTarget::Done),
            NodeState::Lost => {
                self.remove_node(&node_id);
                self.changes.push(Change::Node(node_id));
                Ok(StopTarget::Done)
            }
            _ => Ok(StopTarget::Ask { contact: self.contact(&agent_id, at)?, agent_id, node_id }),
        }
    }

    /// Where the agent is that has this node, if that agent is an old one that can be asked: it
    /// reports nothing by itself.
    pub(crate) fn old_agent_of(&self, key: &str, at: Moment) -> Option<(String, Contact)> {
        let node = self.find(key)?;
        let contact = self.contact(&node.agent_id, at).ok().filter(|contact| contact.is_old)?;
        Some((node.report.node_id.clone(), contact))
    }

    /// The agent has stopped the node.
    pub(crate) fn stopped(&mut self, node_id: &str) {
        let Some(node) = self.nodes.get_mut(node_id).filter(|node| node.is_there()) else { return };
        node.report.state = NodeState::Stopped as u8;
        node.report.pid = 0;
        let (agent_id, report) = (node.agent_id.clone(), node.report.clone());
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            agent.told = None;
        }
        self.changes.push(Change::Node(node_id.to_owned()));
        self.node_event(EventKind::NodeStopped, &agent_id, &report, "");
        self.forget_the_gone(&agent_id);
    }

    /// An old agent has no such node.
    pub(crate) fn denied(&mut self, node_id: &str, message: &str) {
        let Some(node) = self.nodes.get_mut(node_id).filter(|node| node.is_there()) else { return };
        node.report.state = NodeState::Lost as u8;
        node.report.pid = 0;
        node.report.detail = message.chars().take(MAX_GRID_TEXT / 4).collect();
        let (agent_id, report) = (node.agent_id.clone(), node.report.clone());
        self.changes.push(Change::Node(node_id.to_owned()));
        self.node_event(EventKind::NodeLost, &agent_id, &report, &report.detail);
        self.forget_the_gone(&agent_id);
    }

    /// An old agent has said how a node is.
    pub(crate) fn told_of(&mut self, node_id: &str, status: &str, pid: u32) {
        let Some(node) = self.nodes.get_mut(node_id) else { return };
        let known = NodeState::ALL.iter().find(|state| state.name().eq_ignore_ascii_case(status));
        let state = known.map_or(node.report.state, |state| *state as u8);
        let detail = if known.is_some() { String::new() } else { status.to_owned() };
        if (state, pid, &detail) == (node.report.state, node.report.pid, &node.report.detail) {
            return;
        }
        node.report.state = state;
        node.report.pid = pid;
        node.report.detail = detail;
        self.changes.push(Change::Node(node_id.to_owned()));
    }
}
