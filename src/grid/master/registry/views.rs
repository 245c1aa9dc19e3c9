//! What the registry shows of itself.

use std::ops::Bound;

use sutra_wire::grid::{AgentInfo, AgentState, Agents, Cluster, NodeInfo, NodeState, Nodes};
use sutra_wire::limits::MAX_GRID_PAGE;

use super::facts::{Agent, Moment, Node};
use super::state::Registry;

/// A page ends when its texts have about so many bytes, whatever was asked for: a quarter of the
/// longest reply.
const PAGE_BYTES: usize = 4 << 20;

/// How agents are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Of one that has not answered at its endpoint nothing is known, as anybody may register it.
    ByAnswer,
    /// By its heartbeats, as the old protocol has it.
    ByHeartbeat,
}

impl Registry {
    pub(crate) fn node_info(&self, node: &Node, at: Moment) -> NodeInfo {
        let agent = self.agents.get(&node.agent_id);
        NodeInfo {
            agent_id: node.agent_id.clone(),
            hostname: agent.map(|agent| agent.facts.hostname.clone()).unwrap_or_default(),
            report: node.report.clone(),
            agent_state: agent.map_or(AgentState::Offline, |agent| self.state_of(agent, at)) as u8,
        }
    }

    fn agent_info(&self, agent_id: &str, agent: &Agent, shown: Shown, at: Moment) -> AgentInfo {
        let nodes = || agent.nodes.iter().filter_map(|id| self.nodes.get(id));
        let facts = &agent.facts;
        let age = agent.age(at);
        let there = count(nodes().filter(|node| node.is_there()).count());
        AgentInfo {
            agent_id: agent_id.to_owned(),
            hostname: facts.hostname.clone(),
            platform: facts.platform.clone(),
            version: facts.version.clone(),
            endpoint: facts.endpoint.clone(),
            registered: facts.registered,
            last_heartbeat: agent.heard_wall,
            heartbeat_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            memory_mb: facts.memory_mb,
            max_nodes: facts.max_nodes,
            nodes: agent.told.unwrap_or(there),
            running: count(nodes().filter(|node| node.state() == NodeState::Running).count()),
            cores: facts.cores,
            state: self.shown_state(agent, shown, at) as u8,
        }
    }

    fn shown_state(&self, agent: &Agent, shown: Shown, at: Moment) -> AgentState {
        match shown {
            Shown::ByAnswer if !agent.is_proven() => AgentState::Unknown,
            _ => self.state_of(agent, at),
        }
    }

    /// A page of agents, by name, behind `after`.
    pub(crate) fn agent_page(&self, after: &str, limit: u32, shown: Shown, at: Moment) -> Agents {
        let rest = self.agents.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let infos = rest.map(|(agent_id, agent)| self.agent_info(agent_id, agent, shown, at));
        let (agents, more) = page(infos, limit, |agent| {
            agent.hostname.len() + agent.platform.len() + agent.version.len() + agent.endpoint.len()
        });
        Agents { agents, more }
    }

    /// A page of nodes, by id, behind `after`; of one agent where one is named.
    pub(crate) fn node_page(&self, agent_id: &str, after: &str, limit: u32, at: Moment) -> Nodes {
        let rest = self
            .nodes
            .range::<str, _>((Bound::Excluded(after), Bound::Unbounded))
            .map(|(_, node)| node);
        let wanted = rest.filter(|node| agent_id.is_empty() || node.agent_id == agent_id);
        let infos = wanted.map(|node| self.node_info(node, at));
        let (nodes, more) = page(infos, limit, |node| {
            let report = &node.report;
            let texts = [
                &report.endpoint,
                &report.compat_endpoint,
                &report.storage_path,
                &report.detail,
                &report.cores,
            ];
            texts.iter().map(|text| text.len()).sum::<usize>()
                + report.memory_enforcement.len()
                + node.hostname.len()
        });
        Nodes { nodes, more }
    }

    /// The grid as a whole. The caller knows its version and since when it runs.
    pub(crate) fn cluster(&self, shown: Shown, at: Moment) -> Cluster {
        let mut by_state = [0_usize; AgentState::ALL.len()];
        for agent in self.agents.values() {
            by_state[self.shown_state(agent, shown, at) as usize] += 1;
        }
        let [healthy, degraded, offline, _] = by_state;
        let agents = self.agents.len();
        let state = self.problems(at).state;
        let states = self.nodes_by_state();
        Cluster {
            agents: count(agents),
            healthy: count(healthy),
            degraded: count(degraded),
            offline: count(offline),
            nodes: count(self.nodes.values().filter(|node| node.is_there()).count()),
            running: count(states[NodeState::Running as usize]),
            state: state as u8,
            ..Cluster::default()
        }
    }

    /// How many nodes are in each state.
    pub(crate) fn nodes_by_state(&self) -> [usize; NodeState::ALL.len()] {
        let mut states = [0; NodeState::ALL.len()];
        for node in self.nodes.values() {
            states[node.state() as usize] += 1;
        }
        states
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The first of the rest, and whether there are more.
fn page<T>(
    rest: impl Iterator<Item = T>,
    limit: u32,
    bytes: impl Fn(&T) -> usize,
) -> (Vec<T>, bool) {
    let limit = if limit == 0 { MAX_GRID_PAGE } else { limit.min(MAX_GRID_PAGE) };
    let mut taken = Vec::new();
    let mut held = 0;
    for item in rest {
        if taken.len() >= limit as usize || held >= PAGE_BYTES {
            return (taken, true);
        }
        held += bytes(&item);
        taken.push(item);
    }
    (taken, false)
}
