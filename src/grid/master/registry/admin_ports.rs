//! Where agents and their nodes serve HTTP, as they have told since the master's start.
//!
//! None of it is logged: whoever is here tells it again. It is believed of agents that were asked
//! back, as what they say of their nodes is.

use std::ops::Bound;

use sutra_wire::grid::{AdminPorts, NodeAdminPort};

use super::facts::{Agent, AgentPorts};
use super::state::Registry;

/// What becomes of what an agent tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Told {
    Noted,
    /// The agent has not been asked back yet: it is to tell it again.
    TooEarly,
    /// It is to register.
    Unknown,
}

/// Something that serves HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminPort {
    pub(crate) address: String,
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    /// A node by its name, or its id where it has none; `None` for the agent itself.
    pub(crate) node: Option<String>,
}

impl Registry {
    /// An agent tells where it and its nodes serve HTTP.
    pub(crate) fn tell_ports(&mut self, told: AdminPorts) -> Told {
        let AdminPorts { agent_id, incarnation, admin, nodes } = told;
        let vouches = self.vouches(&agent_id);
        let agent = self.agents.get_mut(&agent_id);
        let Some(agent) = agent.filter(|agent| agent.facts.incarnation == incarnation) else {
            return Told::Unknown;
        };
        if !vouches {
            return Told::TooEarly;
        }
        let nodes = nodes.into_iter().map(|NodeAdminPort { node_id, admin }| (node_id, admin));
        agent.ports = Some(AgentPorts { admin, nodes: nodes.collect() });
        Told::Noted
    }

    /// Whether an agent that could tell has not yet.
    pub(crate) fn lacks_ports(&self) -> bool {
        let lacks =
            |agent: &Agent| agent.is_proven() && !agent.facts.is_old() && agent.ports.is_none();
        self.agents.values().any(lacks)
    }

    /// Where an agent serves HTTP; empty where it does not, or is not known to.
    pub(crate) fn admin_of_agent(&self, agent_id: &str) -> &str {
        let ports = self.agents.get(agent_id).and_then(|agent| agent.ports.as_ref());
        ports.map(|ports| ports.admin.as_str()).unwrap_or_default()
    }

    /// Where a node does, by its agent and its id.
    pub(crate) fn admin_of_node(&self, agent_id: &str, node_id: &str) -> &str {
        let ports = self.agents.get(agent_id).and_then(|agent| agent.ports.as_ref());
        ports.and_then(|ports| ports.nodes.get(node_id)).map(String::as_str).unwrap_or_default()
    }

    /// All admin ports of the agents behind `after`, by their names, and of their nodes: so many
    /// agents that they have about `limit`. The last agent that was looked at, where there are
    /// more.
    pub(crate) fn admin_ports(
        &self,
        after: &str,
        limit: usize,
    ) -> (Vec<AdminPort>, Option<String>) {
        let rest = self.agents.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut found = Vec::new();
        for (agent_id, agent) in rest {
            let Some(ports) = agent.ports.as_ref().filter(|_| agent.is_proven()) else { continue };
            let port = |address: &str, node| AdminPort {
                address: address.to_owned(),
                agent_id: agent_id.clone(),
                hostname: agent.facts.hostname.clone(),
                node,
            };
            if !ports.admin.is_empty() {
                found.push(port(&ports.admin, None));
            }
            // One that was stopped is no more, whenever its agent says so.
            let there = |(id, _): &(&String, _)| {
                self.nodes
                    .get(*id)
                    .is_some_and(|node| node.agent_id == *agent_id && node.is_there())
            };
            for (node_id, address) in ports.nodes.iter().filter(there) {
                let name = self.nodes.get(node_id).map(|node| node.report.name.as_str());
                let name = name.filter(|name| !name.is_empty()).unwrap_or(node_id);
                found.push(port(address, Some(name.to_owned())));
            }
            if found.len() >= limit {
                return (found, Some(agent_id.clone()));
            }
        }
        (found, None)
    }
}
