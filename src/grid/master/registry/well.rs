//! Whether the grid is well, and what is not as it should be, in words.
//!
//! Agents that have not answered at their endpoints do not count: anybody may register one.

use std::time::Duration;

use sutra_wire::grid::{AgentState, ClusterState, NodeState};

use super::facts::{Agent, Moment, Node};
use super::state::Registry;

/// How long a node may start, or stop, before something is wrong with it.
const LONG: Duration = Duration::from_secs(15);
/// Problems that are told in words; the others are counted.
const TOLD: usize = 8;
/// The longest of a node's own words that are told.
const WORDS: usize = 200;

/// How well the grid is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) state: ClusterState,
    /// The first of them.
    told: Vec<String>,
    count: usize,
}

impl Problems {
    /// Another one, the worst so far.
    pub(crate) fn add_first(&mut self, problem: String) {
        self.told.insert(0, problem);
        self.count += 1;
        if self.state == ClusterState::Healthy {
            self.state = ClusterState::Degraded;
        }
    }

    fn add(&mut self, problem: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(problem());
        }
    }

    /// "ok", or how it is and why.
    pub(crate) fn words(&self) -> String {
        if self.state == ClusterState::Healthy {
            return "ok".into();
        }
        let more = match self.count - self.told.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        format!("{}: {}{more}", self.state, self.told.join("; "))
    }
}

impl Registry {
    /// What is not as it should be.
    pub(crate) fn problems(&self, at: Moment) -> Problems {
        let mut problems = Problems::default();
        let (mut agents, mut healthy) = (0, 0);
        for (agent_id, agent) in self.agents.iter().filter(|(_, agent)| agent.is_proven()) {
            agents += 1;
            let state = self.state_of(agent, at);
            healthy += usize::from(state == AgentState::Healthy);
            if state != AgentState::Healthy {
                self.add_agent(&mut problems, agent_id, agent, state, at);
            }
        }
        for node in self.nodes.values() {
            if let Some(words) = self.trouble(node, at) {
                problems.add(|| format!("node {} {words}", called(node)));
            }
        }
        for (node, holder) in self.conflicts() {
            problems.add(|| {
                let name = &node.report.name;
                format!(
                    "node {} has the name {name:?} that is node {}'s; start it under another",
                    called(node),
                    called(holder)
                )
            });
        }
        problems.state = if agents > 0 && healthy == 0 {
            ClusterState::Critical
        } else if problems.count > 0 || healthy * 2 < agents {
            ClusterState::Degraded
        } else {
            ClusterState::Healthy
        };
        if problems.count == 0 && problems.state != ClusterState::Healthy {
            problems.add(|| format!("{healthy} of {agents} agents are healthy"));
        }
        problems
    }

    fn add_agent(
        &self,
        problems: &mut Problems,
        agent_id: &str,
        agent: &Agent,
        state: AgentState,
        at: Moment,
    ) {
        let age = agent.age(at).as_secs_f64();
        match state {
            AgentState::Healthy => {}
            AgentState::Degraded => {
                problems
                    .add(|| format!("agent {agent_id:?} is degraded: no heartbeat for {age:.0} s"));
            }
            AgentState::Unknown => {
                problems.add(|| {
                    format!("agent {agent_id:?} has not been heard of since the master's start")
                });
            }
            AgentState::Offline => {
                let wanted = |id: &&String| self.nodes.get(*id).is_some_and(Node::takes_place);
                let nodes = agent.nodes.iter().filter(wanted).count();
                if nodes > 0 {
                    problems.add(|| {
                        let nodes = if nodes == 1 {
                            "its node".to_owned()
                        } else {
                            format!("its {nodes} nodes")
                        };
                        format!(
                            "agent {agent_id:?} is offline, and nobody looks after {nodes}: \
                             no heartbeat for {age:.0} s"
                        )
                    });
                }
            }
        }
    }

    /// What is wrong with a node.
    fn trouble(&self, node: &Node, at: Moment) -> Option<String> {
        let detail: String = node.report.detail.chars().take(WORDS).collect();
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        let time = at.now.saturating_duration_since(node.since);
        match node.state() {
            NodeState::GaveUp | NodeState::Crashed | NodeState::Lost => {
                Some(format!("is {}{detail}", state_words(node)))
            }
            NodeState::Starting | NodeState::Stopping if time >= LONG => {
                Some(format!("has been {} for {:.0} s{detail}", node.state(), time.as_secs_f64()))
            }
            NodeState::Running if !detail.is_empty() => {
                Some(format!("runs, but is not well{detail}"))
            }
            NodeState::Starting | NodeState::Stopping | NodeState::Running | NodeState::Stopped => {
                None
            }
        }
    }
}

fn state_words(node: &Node) -> &'static str {
    match node.state() {
        NodeState::GaveUp => "given up",
        state => state.name(),
    }
}

/// A node by its id, its name and its agent.
fn called(node: &Node) -> String {
    let (id, name, agent) = (&node.report.node_id, &node.report.name, &node.agent_id);
    if name.is_empty() {
        format!("{id:?} of agent {agent:?}")
    } else {
        format!("{name:?} ({id}) of agent {agent:?}")
    }
}
