//! The master as its admin port shows it, and what it counts.

use serde_json::{Value, json};
use sutra_wire::grid::{AgentInfo, AgentState, Cluster, ClusterState, NodeInfo, NodeState};

use crate::registry::{Problems, Registry};
use sutra_admin::{Metric, Readiness, View, build_info};

/// What the master has done since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) heartbeats: u64,
    /// Heartbeats and reports of agents that are to register.
    pub(crate) unknown: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// What agents were asked.
    pub(crate) errands: u64,
    pub(crate) errands_failed: u64,
    pub(crate) events_told: u64,
}

impl Counters {
    fn metrics(&self) -> [Metric; 6] {
        let counter = Metric::counter;
        [
            counter("sutra_grid_heartbeats", "Heartbeats received", self.heartbeats),
            counter(
                "sutra_grid_unknown",
                "Heartbeats and reports of agents that are to register",
                self.unknown,
            ),
            counter("sutra_grid_refused", "Requests refused", self.refused),
            counter("sutra_grid_errands", "Requests sent to agents", self.errands),
            counter(
                "sutra_grid_errands_failed",
                "Requests that agents did not answer",
                self.errands_failed,
            ),
            counter("sutra_grid_events_told", "Events sent to whoever watches", self.events_told),
        ]
    }
}

/// What the admin port shows.
pub(crate) struct Overview {
    pub(crate) cluster: Cluster,
    pub(crate) nodes_by_state: [usize; NodeState::ALL.len()],
    pub(crate) counters: Counters,
    pub(crate) errands_under_way: usize,
    pub(crate) watchers: usize,
    pub(crate) last_event: u64,
    /// Agents that have not answered where they say that they are.
    pub(crate) unproven: usize,
    pub(crate) is_writable: bool,
    pub(crate) problems: Problems,
    /// The first page of each, where they were asked for.
    pub(crate) agents: Vec<Value>,
    pub(crate) nodes: Vec<Value>,
}

impl Overview {
    pub(crate) fn view(&self) -> View {
        View {
            healthy: self.problems.state == ClusterState::Healthy,
            status: self.problems.words(),
            readiness: Readiness::Ready,
            page: self.page(),
            metrics: self.metrics(),
        }
    }

    fn page(&self) -> Value {
        let cluster = &self.cluster;
        json!({
            "version": cluster.version,
            "uptime_seconds": cluster.uptime / 1_000_000,
            "state": ClusterState::from_number(cluster.state).unwrap_or_default().name(),
            "status": self.problems.words(),
            "agents": {
                "total": cluster.agents,
                "healthy": cluster.healthy,
                "degraded": cluster.degraded,
                "offline": cluster.offline,
                "unknown": self.unknown(),
                "unproven": self.unproven,
                "first": self.agents,
            },
            "nodes": {
                "total": cluster.nodes,
                "running": cluster.running,
                "first": self.nodes,
            },
            "last_event": self.last_event,
        })
    }

    /// Agents that have not been heard of since the master's start.
    fn unknown(&self) -> u32 {
        let Cluster { agents, healthy, degraded, offline, .. } = &self.cluster;
        agents - healthy - degraded - offline
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![build_info()];
        metrics.extend(self.by_state());
        metrics.extend(self.counters.metrics());
        metrics.extend(self.gauges());
        metrics
    }

    fn by_state(&self) -> [Metric; 2] {
        let Cluster { healthy, degraded, offline, .. } = self.cluster;
        let by_agent_state = [healthy, degraded, offline, self.unknown()];
        let agents = AgentState::ALL
            .iter()
            .zip(by_agent_state)
            .map(|(state, count)| (state.name(), f64::from(count)));
        let nodes = NodeState::ALL
            .iter()
            .zip(self.nodes_by_state)
            .map(|(state, count)| (state.name(), count as f64));
        [
            Metric::gauges(
                "sutra_grid_agents",
                "Agents that are registered, by state",
                "state",
                agents,
            ),
            Metric::gauges(
                "sutra_grid_nodes",
                "Storage nodes, by state as last reported",
                "state",
                nodes,
            ),
        ]
    }

    fn gauges(&self) -> [Metric; 6] {
        let gauge = |name, help, value: f64| Metric::gauge(name, help, value);
        [
            gauge(
                "sutra_grid_errands_under_way",
                "Requests that agents have not answered yet",
                self.errands_under_way as f64,
            ),
            gauge(
                "sutra_grid_agents_unproven",
                "Agents that have not answered at their endpoints",
                self.unproven as f64,
            ),
            gauge(
                "sutra_grid_healthy",
                "Whether all is well",
                f64::from(u8::from(self.problems.state == ClusterState::Healthy)),
            ),
            gauge("sutra_grid_watchers", "Clients that watch", self.watchers as f64),
            gauge(
                "sutra_grid_log_writable",
                "Whether changes are taken, and its disk writes them",
                f64::from(u8::from(self.is_writable)),
            ),
            gauge(
                "sutra_grid_uptime_seconds",
                "Since the master started",
                (self.cluster.uptime / 1_000_000) as f64,
            ),
        ]
    }
}

/// An agent, with where it serves HTTP.
pub(crate) fn agent(agent: &AgentInfo, admin: &str) -> Value {
    json!({
        "id": agent.agent_id,
        "host": agent.hostname,
        "endpoint": agent.endpoint,
        "admin": admin,
        "version": agent.version,
        "state": AgentState::from_number(agent.state).unwrap_or_default().name(),
        "heartbeat_age_ms": agent.heartbeat_age_ms,
        "nodes": agent.nodes,
        "running": agent.running,
        "max_nodes": agent.max_nodes,
    })
}

/// A node, with where it serves HTTP.
pub(crate) fn node(node: &NodeInfo, registry: &Registry) -> Value {
    let report = &node.report;
    json!({
        "id": report.node_id,
        "name": report.name,
        "agent": node.agent_id,
        "host": node.hostname,
        "state": NodeState::from_number(report.state).unwrap_or_default().name(),
        "endpoint": report.endpoint,
        "compat_endpoint": report.compat_endpoint,
        "admin": registry.admin_of_node(&node.agent_id, &report.node_id),
        "restarts": report.restarts,
        "detail": report.detail,
    })
}
