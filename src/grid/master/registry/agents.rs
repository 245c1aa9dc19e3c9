//! Agents come, are heard of, and go.

use sutra_wire::grid::{AgentRegistration, AgentState, EventKind, NodeState};

use super::{Agent, AgentFacts, Change, MAX_AGENTS, Moment, Refused, Registry};

impl Registry {
    /// An agent takes up its work, or comes back to it.
    ///
    /// # Errors
    /// Another agent has its name and is not offline; or there are too many.
    pub(crate) fn register(&mut self, registration: AgentRegistration, at: Moment) -> Result<(), Refused> {
        let AgentRegistration { agent_id, revision, nodes, .. } = &registration;
        let facts = AgentFacts {
            hostname: registration.hostname.clone(),
            platform: registration.platform.clone(),
            version: registration.version.clone(),
            endpoint: registration.endpoint.clone(),
            incarnation: registration.incarnation,
            memory_mb: registration.memory_mb,
            max_nodes: registration.max_nodes,
            cores: registration.cores,
            registered: at.wall,
        };
        let known = self.agents.get(agent_id);
        let is_same = known.is_some_and(|known| is_same(&known.facts, &facts));
        if let Some(known) = known.filter(|_| !is_same) {
            let age = known.age(at);
            if self.state_at(age) != AgentState::Offline {
                let AgentFacts { hostname, endpoint, .. } = known.facts.clone();
                return Err(Refused::Taken { agent_id: agent_id.clone(), hostname, endpoint, age });
            }
        }
        if known.is_none() && self.agents.len() >= MAX_AGENTS {
            return Err(Refused::TooManyAgents { limit: MAX_AGENTS });
        }
        if self.agents.is_empty() {
            // Nobody has looked while there was nothing to look at.
            self.looked = Some(at.now);
        }
        let detail = format!("host {}, reached at {}", facts.hostname, facts.endpoint);
        let is_old = facts.is_old();
        let agent = Agent {
            facts,
            heard: at.now,
            heard_wall: at.wall,
            state: AgentState::Healthy,
            revision: None,
            told: None,
            nodes: self.agents.remove(agent_id).map(|known| known.nodes).unwrap_or_default(),
        };
        self.agents.insert(agent_id.clone(), agent);
        self.changes.push(Change::Agent(agent_id.clone()));
        self.agent_event(EventKind::AgentRegistered, agent_id, detail);
        if !is_old || !is_same {
            self.reconcile(agent_id, nodes, *revision, at);
        }
        Ok(())
    }

    /// An agent is there. Says whether its nodes are to be reported; `None` where it is to register.
    pub(crate) fn heartbeat(&mut self, agent_id: &str, incarnation: u64, revision: u64, at: Moment) -> Option<bool> {
        let agent = self.agents.get_mut(agent_id).filter(|agent| agent.facts.incarnation == incarnation)?;
        let silence = at.now.saturating_duration_since(agent.heard);
        agent.heard = at.now;
        agent.heard_wall = at.wall;
        let wants_report = if agent.facts.is_old() {
            agent.told = Some(u32::try_from(revision).unwrap_or(u32::MAX));
            false
        } else {
            agent.revision != Some(revision)
        };
        if agent.state != AgentState::Healthy {
            agent.state = AgentState::Healthy;
            let detail = format!("after {:.1} s", silence.as_secs_f64());
            self.agent_event(EventKind::AgentRecovered, agent_id, detail);
        }
        Some(wants_report)
    }

    /// An agent takes its leave, and what it kept is not kept any more; `false` where there is no such agent. With an incarnation only that one leaves.
    pub(crate) fn unregister(&mut self, agent_id: &str, incarnation: u64) -> bool {
        if self.agents.get(agent_id).is_some_and(|known| ![0, known.facts.incarnation].contains(&incarnation)) {
            return false;
        }
        let Some(agent) = self.agents.remove(agent_id) else { return false };
        self.changes.push(Change::Agent(agent_id.to_owned()));
        for node_id in &agent.nodes {
            let Some(node) = self.remove_node(node_id) else { continue };
            self.changes.push(Change::Node(node_id.clone()));
            if !matches!(node.state(), NodeState::Stopped | NodeState::Lost) {
                let detail = "its agent has left the grid; its process is not stopped";
                self.node_event(EventKind::NodeLost, agent_id, &node.report, detail);
            }
        }
        self.agent_event(EventKind::AgentUnregistered, agent_id, String::new());
        true
    }
}

/// Whether an agent that registers is the one that is known. An old one has nothing but its place to be known by; a new one's incarnation is of its folder and
/// its place, so that this holds for its heartbeats as well.
fn is_same(known: &AgentFacts, new: &AgentFacts) -> bool {
    let same_place = known.hostname == new.hostname && known.endpoint == new.endpoint;
    known.incarnation == new.incarnation && (!new.is_old() || same_place)
}
