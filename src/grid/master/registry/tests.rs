//! The registry alone, with a clock of the tests' own.
#![allow(clippy::unwrap_used)]

mod admin_ports;
mod agents;
mod names;
mod nodes;
mod proof;
mod well;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use sutra_wire::grid::{
    AgentRegistration, AgentReport, AgentState, ClusterState, EventKind, NodeReport, NodeState,
    SpawnNode,
};

use super::facts::Node;
use super::*;

const DEGRADED: Duration = Duration::from_secs(15);
const OFFLINE: Duration = Duration::from_secs(30);
/// Where agents register from.
const HERE: Option<Origin> = Some(Origin(IpAddr::V4(Ipv4Addr::LOCALHOST)));
const HOUR: u64 = 3_600_000_000;

/// A registry and a time that passes.
struct World {
    registry: Registry,
    at: Moment,
}

impl World {
    fn new() -> Self {
        let patience = Patience { degraded_after: DEGRADED, offline_after: OFFLINE };
        Self { registry: Registry::new(patience), at: Moment { now: Instant::now(), wall: HOUR } }
    }

    /// Lets time pass as a master does that looks at ages all along.
    fn pass(&mut self, time: Duration) {
        let end = self.at.now + time;
        while self.at.now < end {
            let step = Duration::from_millis(250).min(end - self.at.now);
            self.at.now += step;
            self.at.wall += step.as_micros() as u64;
            self.registry.look_at_ages(self.at);
        }
    }

    fn register(
        &mut self,
        id: &str,
        incarnation: u64,
        nodes: Vec<NodeReport>,
    ) -> Result<(), Refused> {
        self.register_all(&registration(id, incarnation, nodes))
    }

    /// One that answers where it says that it is.
    fn register_all(&mut self, registration: &AgentRegistration) -> Result<(), Refused> {
        let answer = if registration.incarnation == 0 {
            Answered::Nodes(Vec::new())
        } else {
            Answered::Itself
        };
        match self.registry.register(registration, HERE, self.at)? {
            Registered::Done => {
                self.answer(|_| answer.clone());
                Ok(())
            }
            Registered::AskFirst(ask) => self.registry.replace(registration, ask, answer, self.at),
        }
    }

    /// Answers all that is asked.
    fn answer(&mut self, answer: impl Fn(&Ask) -> Answered) -> usize {
        let asks = self.registry.take_asks(self.at);
        let count = asks.len();
        for ask in asks {
            let answer = answer(&ask);
            self.registry.answered(ask, answer, self.at);
        }
        count
    }

    fn beat(&mut self, id: &str, incarnation: u64, revision: u64) -> Option<bool> {
        self.registry.heartbeat(id, incarnation, revision, self.at)
    }

    fn report(
        &mut self,
        id: &str,
        incarnation: u64,
        revision: u64,
        nodes: Vec<NodeReport>,
    ) -> bool {
        let report = AgentReport { agent_id: id.into(), incarnation, revision, nodes };
        self.registry.report(&report, self.at)
    }

    fn spawn(&mut self, id: &str, name: &str) -> Result<(u64, Contact), Refused> {
        self.registry.reserve(&spawn(id, name), self.at)
    }

    fn spawned(&mut self, id: &str, name: &str, node_id: &str) {
        let (reservation, _) = self.spawn(id, name).unwrap();
        let spawned = NodeReport {
            node_id: node_id.into(),
            compat_endpoint: "h:2".into(),
            ..NodeReport::default()
        };
        self.registry.spawned(reservation, &spawn(id, name), spawned, self.at).unwrap();
    }

    fn kinds(&mut self) -> Vec<EventKind> {
        self.registry.take_events().into_iter().map(|event| event.kind).collect()
    }

    fn state(&self, id: &str) -> AgentState {
        let page = self.registry.agent_page("", 0, Shown::ByAnswer, self.at);
        let agent = page.agents.iter().find(|agent| agent.agent_id == id).unwrap();
        AgentState::from_number(agent.state).unwrap()
    }

    fn node(&self, key: &str) -> Option<NodeState> {
        self.registry.find(key).map(Node::state)
    }
}

fn registration(id: &str, incarnation: u64, nodes: Vec<NodeReport>) -> AgentRegistration {
    AgentRegistration {
        agent_id: id.into(),
        hostname: format!("host-of-{id}"),
        endpoint: "127.0.0.1:8001".into(),
        incarnation,
        revision: 1,
        max_nodes: 2,
        nodes,
        ..AgentRegistration::default()
    }
}

fn node(id: &str, state: NodeState) -> NodeReport {
    NodeReport {
        node_id: id.into(),
        name: format!("name-of-{id}"),
        state: state as u8,
        ..NodeReport::default()
    }
}

fn spawn(id: &str, name: &str) -> SpawnNode {
    SpawnNode { agent_id: id.into(), name: name.into(), ..SpawnNode::default() }
}
