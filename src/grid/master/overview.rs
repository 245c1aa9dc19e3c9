//! The master as a whole: what it counts, what it tells of itself natively, and what its admin port
//! shows.

use std::time::Duration;

use serde_json::{Value, json};
use sutra_net::Context;
use sutra_wire::grid::{AgentInfo, AgentState, Cluster, ClusterState, NodeInfo, NodeState};
use sutra_wire::{Counter, Durability, Stats};
use tokio::sync::oneshot;

use super::forward::Home;
use super::registry::{Problems, Shown};
use super::service::{MasterService, Message};
use crate::admin::{Metric, Source, View};

/// The core answers within a turn of its loop; a master that takes so long is not well.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// What the admin port shows.
pub(crate) struct Overview {
    cluster: Cluster,
    nodes_by_state: [usize; NodeState::ALL.len()],
    counters: Counters,
    errands_under_way: usize,
    watchers: usize,
    last_event: u64,
    /// Agents that have not answered where they say that they are.
    unproven: usize,
    is_writable: bool,
    problems: Problems,
    /// The first page of each, where they were asked for.
    agents: Vec<AgentInfo>,
    nodes: Vec<NodeInfo>,
}

impl MasterService {
    pub(crate) fn cluster(&self, cx: &Context<'_, Message>, shown: Shown) -> Cluster {
        let cluster = self.registry.cluster(shown, self.moment(cx));
        let state = match self.journal.health() {
            Err(_) if cluster.state == ClusterState::Healthy as u8 => ClusterState::Degraded as u8,
            _ => cluster.state,
        };
        Cluster { version: env!("CARGO_PKG_VERSION").into(), uptime: self.uptime(), state, ..cluster }
    }

    /// What is not as it should be, in the grid and with the master's log.
    pub(crate) fn problems(&self, cx: &Context<'_, Message>) -> Problems {
        let mut problems = self.registry.problems(self.moment(cx));
        if let Err(refusal) = self.journal.health() {
            problems.add_first(format!("changes are refused: {refusal}"));
        }
        problems
    }

    pub(crate) fn overview(&self, cx: &Context<'_, Message>, lists: bool) -> Overview {
        let at = self.moment(cx);
        let agents = if lists { self.registry.agent_page("", 0, Shown::ByAnswer, at).agents } else { Vec::new() };
        let nodes = if lists { self.registry.node_page("", "", 0, at).nodes } else { Vec::new() };
        Overview {
            cluster: self.cluster(cx, Shown::ByAnswer),
            nodes_by_state: self.registry.nodes_by_state(),
            counters: self.counters,
            errands_under_way: self.waiting.len(),
            watchers: self.watchers.count(),
            last_event: self.events.last(),
            unproven: self.registry.unproven(),
            is_writable: self.journal.health().is_ok(),
            problems: self.problems(cx),
            agents,
            nodes,
        }
    }

    /// The answer to a client that asks any server for its counters.
    pub(crate) fn stats(&self, cx: &Context<'_, Message>) -> Stats {
        let shard = self.journal.shard().stats();
        let mut counters = Vec::new();
        cx.counters(&mut counters);
        for (name, value) in [
            ("agents", self.registry.agents() as u64),
            ("nodes", self.registry.nodes() as u64),
            ("watchers", self.watchers.count() as u64),
            ("heartbeats", self.counters.heartbeats),
            ("heartbeats_of_unknown_agents", self.counters.unknown),
            ("refused", self.counters.refused),
            ("errands", self.counters.errands),
            ("errands_failed", self.counters.errands_failed),
            ("events_told", self.counters.events_told),
            ("log_bytes", shard.log_bytes),
        ] {
            counters.push(Counter { name: name.into(), value });
        }
        Stats {
            concepts: shard.concepts,
            written: shard.written,
            pending: shard.pending,
            uptime: self.uptime(),
            cores: 1,
            durability: Durability::Always.to_string(),
            write_path: self.journal.shard().write_path(),
            version: env!("CARGO_PKG_VERSION").into(),
            counters,
            ..Stats::default()
        }
    }
}

/// The master, as the admin thread asks it.
pub(crate) struct MasterSource(pub(crate) Home);

impl Source for MasterSource {
    async fn look(&self, lists: bool) -> Option<View> {
        let (to, overview) = oneshot::channel();
        self.0.get()?.post(Message::Look { lists, to });
        let overview = tokio::time::timeout(PATIENCE, overview).await.ok()?.ok()?;
        Some(overview.view())
    }
}

impl Overview {
    fn view(&self) -> View {
        View {
            healthy: self.problems.state == ClusterState::Healthy,
            status: self.problems.words(),
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
                "first": self.agents.iter().map(agent).collect::<Vec<_>>(),
            },
            "nodes": {
                "total": cluster.nodes,
                "running": cluster.running,
                "first": self.nodes.iter().map(node).collect::<Vec<_>>(),
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
        let Self { cluster, counters, .. } = self;
        let by_agent_state = [cluster.healthy, cluster.degraded, cluster.offline, self.unknown()];
        let agents = AgentState::ALL.iter().zip(by_agent_state).map(|(state, count)| (state.name(), f64::from(count)));
        let nodes = NodeState::ALL.iter().zip(self.nodes_by_state).map(|(state, count)| (state.name(), count as f64));
        let gauge = |name, help, value: f64| Metric::gauge(name, help, value);
        vec![
            Metric::gauges("sutra_grid_agents", "Agents that are registered, by state", "state", agents),
            Metric::gauges("sutra_grid_nodes", "Storage nodes, by state as last reported", "state", nodes),
            Metric::counter("sutra_grid_heartbeats", "Heartbeats received", counters.heartbeats),
            Metric::counter(
                "sutra_grid_unknown",
                "Heartbeats and reports of agents that are to register",
                counters.unknown,
            ),
            Metric::counter("sutra_grid_refused", "Requests refused", counters.refused),
            Metric::counter("sutra_grid_errands", "Requests sent to agents", counters.errands),
            Metric::counter(
                "sutra_grid_errands_failed",
                "Requests that agents did not answer",
                counters.errands_failed,
            ),
            Metric::counter("sutra_grid_events_told", "Events sent to whoever watches", counters.events_told),
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
            gauge("sutra_grid_log_writable", "Whether changes are taken", f64::from(u8::from(self.is_writable))),
            gauge("sutra_grid_uptime_seconds", "Since the master started", (cluster.uptime / 1_000_000) as f64),
        ]
    }
}

fn agent(agent: &AgentInfo) -> Value {
    json!({
        "id": agent.agent_id,
        "host": agent.hostname,
        "endpoint": agent.endpoint,
        "version": agent.version,
        "state": AgentState::from_number(agent.state).unwrap_or_default().name(),
        "heartbeat_age_ms": agent.heartbeat_age_ms,
        "nodes": agent.nodes,
        "running": agent.running,
        "max_nodes": agent.max_nodes,
    })
}

fn node(node: &NodeInfo) -> Value {
    let report = &node.report;
    json!({
        "id": report.node_id,
        "name": report.name,
        "agent": node.agent_id,
        "host": node.hostname,
        "state": NodeState::from_number(report.state).unwrap_or_default().name(),
        "endpoint": report.endpoint,
        "compat_endpoint": report.compat_endpoint,
        "restarts": report.restarts,
        "detail": report.detail,
    })
}
