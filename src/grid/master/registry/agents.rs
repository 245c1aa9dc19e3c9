//! Agents register, send heartbeats, and leave.

use sutra_wire::grid::{AgentRegistration, AgentState, EventKind, NodeState};

use super::facts::{Agent, AgentFacts, Answered, Ask, Change, Moment, Origin, Proof};
use super::proof;
use super::refused::Refused;
use super::state::Registry;

/// What becomes of a registration.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub(crate) enum Registered {
    /// The registration is taken.
    Done,
    /// Another agent has the name. This one is to be asked back first, and then given to
    /// [`Registry::replace`].
    AskFirst(Ask),
}

impl Registry {
    /// An agent registers, for the first time or again. A new one is asked back, and is only listed
    /// until it has answered.
    ///
    /// # Errors
    /// Another agent has its name and is not offline; or there are too many.
    pub(crate) fn register(
        &mut self,
        registration: &AgentRegistration,
        origin: Option<Origin>,
        at: Moment,
    ) -> Result<Registered, Refused> {
        let agent_id = &registration.agent_id;
        let facts = facts(registration, origin, at);
        let known = self.agents.get(agent_id);
        if let Some(known) = known.filter(|known| !is_same(&known.facts, &facts)) {
            // One that has not answered keeps nobody out. One that has keeps its name until it is
            // offline.
            if known.is_proven() && self.state_of(known, at) != AgentState::Offline {
                return Err(self.taken(agent_id, known, at));
            }
            let ask = self.ask_first(registration, origin).ok_or(Refused::Crowded { agents: 0 })?;
            return Ok(Registered::AskFirst(ask));
        }
        let proof = match known {
            Some(known) if known.is_proven() || known.facts.endpoint == facts.endpoint => {
                known.proof.clone()
            }
            Some(_) => Proof::Unproven { since: at.now, failures: 0, ask_at: Some(at.now) },
            None => {
                self.make_room(origin, at)?;
                Proof::Unproven { since: at.now, failures: 0, ask_at: Some(at.now) }
            }
        };
        self.enter(registration, facts, proof, at);
        let is_known = self.agents.get(agent_id).is_some_and(Agent::is_proven);
        if self.vouches(agent_id) {
            self.reconcile(agent_id, &registration.nodes, registration.revision, at);
        } else if !is_known || registration.incarnation != 0 {
            self.ask_back(proof::ask(registration, origin));
        }
        Ok(Registered::Done)
    }

    /// An agent that was asked back first has answered, or has not: where it has, it takes the
    /// other's place.
    ///
    /// # Errors
    /// It has not answered, or the other one has come back meanwhile.
    pub(crate) fn replace(
        &mut self,
        registration: &AgentRegistration,
        ask: Ask,
        answer: Answered,
        at: Moment,
    ) -> Result<(), Refused> {
        let agent_id = &registration.agent_id;
        let known = self.agents.get(agent_id);
        let facts = facts(registration, ask.origin, at);
        let is_in_the_way = |known: &&Agent| {
            !is_same(&known.facts, &facts)
                && known.is_proven()
                && self.state_of(known, at) != AgentState::Offline
        };
        let refused = match (&answer, known.filter(is_in_the_way)) {
            (Answered::No(why), _) => {
                let (endpoint, why) = (registration.endpoint.clone(), why.clone());
                Some(Refused::Unanswered { agent_id: agent_id.clone(), endpoint, why })
            }
            (_, Some(known)) => Some(self.taken(agent_id, known, at)),
            _ => None,
        };
        if let Some(refused) = refused {
            self.not_asked(&ask, at);
            return Err(refused);
        }
        let proof = Proof::Unproven { since: at.now, failures: 0, ask_at: None };
        let is_old = facts.is_old();
        self.enter(registration, facts, proof, at);
        self.answered(ask, answer, at);
        if is_old {
            // An old agent lists no nodes: they become known as it is asked for them.
            self.reconcile(agent_id, &[], 0, at);
        }
        Ok(())
    }

    fn taken(&self, agent_id: &str, known: &Agent, at: Moment) -> Refused {
        let AgentFacts { hostname, endpoint, .. } = known.facts.clone();
        Refused::Taken { agent_id: agent_id.to_owned(), hostname, endpoint, age: known.age(at) }
    }

    /// Adds an agent, with the nodes that the one with its id had.
    fn enter(
        &mut self,
        registration: &AgentRegistration,
        facts: AgentFacts,
        proof: Proof,
        at: Moment,
    ) {
        if self.agents.is_empty() {
            // Ages were not looked at while there were no agents.
            self.looked = Some(at.now);
        }
        let agent_id = &registration.agent_id;
        let detail = format!("host {}, reached at {}", facts.hostname, facts.endpoint);
        let known = self.take_agent(agent_id);
        let vouches = known.as_ref().is_some_and(|known| known.facts.vouches);
        // It tells its ports again in a moment; until then they are where they were.
        let is_same = |known: &&Agent| known.facts.incarnation == facts.incarnation;
        let ports = known.as_ref().filter(is_same).and_then(|known| known.ports.clone());
        let agent = Agent {
            facts: AgentFacts { vouches, ..facts },
            heard: at.now,
            heard_wall: at.wall,
            is_heard: true,
            state: AgentState::Healthy,
            revision: None,
            told: None,
            nodes: known.map(|known| known.nodes).unwrap_or_default(),
            proof,
            ports,
        };
        if agent.is_proven() {
            self.changes.push(Change::Agent(agent_id.clone()));
        }
        self.put_agent(agent_id.clone(), agent);
        self.agent_event(EventKind::AgentRegistered, agent_id, detail);
    }

    /// An agent has sent a heartbeat. Whether it is to report its nodes; `None` where it is to
    /// register first.
    pub(crate) fn heartbeat(
        &mut self,
        agent_id: &str,
        incarnation: u64,
        revision: u64,
        at: Moment,
    ) -> Option<bool> {
        let agent =
            self.agents.get_mut(agent_id).filter(|agent| agent.facts.incarnation == incarnation)?;
        let silence = at.now.saturating_duration_since(agent.heard);
        agent.heard = at.now;
        agent.heard_wall = at.wall;
        agent.is_heard = true;
        let wants_report = if agent.facts.is_old() {
            agent.told = Some(u32::try_from(revision).unwrap_or(u32::MAX));
            false
        } else {
            agent.is_proven() && agent.revision != Some(revision)
        };
        let was = std::mem::replace(&mut agent.state, AgentState::Healthy);
        // Nobody was told that an agent in state unknown was away.
        if !matches!(was, AgentState::Healthy | AgentState::Unknown) {
            let detail = format!("after {:.1} s", silence.as_secs_f64());
            self.agent_event(EventKind::AgentRecovered, agent_id, detail);
        }
        Some(wants_report)
    }

    /// An agent leaves, and its nodes are forgotten; `false` where there is no such agent. With an
    /// incarnation only the agent that has it leaves.
    pub(crate) fn unregister(&mut self, agent_id: &str, incarnation: u64) -> bool {
        if self
            .agents
            .get(agent_id)
            .is_some_and(|known| ![0, known.facts.incarnation].contains(&incarnation))
        {
            return false;
        }
        let Some(agent) = self.take_agent(agent_id) else { return false };
        if agent.is_proven() {
            self.changes.push(Change::Agent(agent_id.to_owned()));
        }
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

fn facts(registration: &AgentRegistration, origin: Option<Origin>, at: Moment) -> AgentFacts {
    AgentFacts {
        hostname: registration.hostname.clone(),
        platform: registration.platform.clone(),
        version: registration.version.clone(),
        endpoint: registration.endpoint.clone(),
        incarnation: registration.incarnation,
        memory_mb: registration.memory_mb,
        max_nodes: registration.max_nodes,
        cores: registration.cores,
        registered: at.wall,
        vouches: false,
        origin,
    }
}

/// Whether an agent that registers is the one that is known. Old agents are told apart by host and
/// endpoint alone. A new one has an incarnation, which its heartbeats name as well.
fn is_same(known: &AgentFacts, new: &AgentFacts) -> bool {
    let same_place = known.hostname == new.hostname && known.endpoint == new.endpoint;
    known.incarnation == new.incarnation && (!new.is_old() || same_place)
}
