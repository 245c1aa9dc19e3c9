//! What the agent's admin port shows: its nodes, whether it is on good terms with its master, and
//! what does not go as it should.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sutra_wire::grid::{NodeReport, NodeState};

use crate::core::AgentCore;
use crate::identity::AgentIdentity;
use crate::standing::Standing;
use sutra_admin::{Detail, Host, Metric, Readiness, Routes, Series, Source, View, build_info};

/// Shows an agent.
pub(crate) struct AgentSource {
    who: Arc<AgentIdentity>,
    core: Arc<AgentCore>,
    standing: Arc<Standing>,
    started: Instant,
}

impl AgentSource {
    pub(crate) fn new(
        who: Arc<AgentIdentity>,
        core: Arc<AgentCore>,
        standing: Arc<Standing>,
    ) -> Self {
        Self { who, core, standing, started: Instant::now() }
    }
}

/// The read API of the agent's admin port.
pub(crate) fn routes(source: &Arc<AgentSource>) -> Routes {
    let source = Arc::clone(source);
    Routes::default().get(
        "/api/v1/nodes",
        "the agent, how it is, and its nodes with where they serve HTTP",
        &[],
        move |_| {
            let page = source.page();
            async { Ok(page) }
        },
    )
}

/// What there is to tell of an agent now.
struct Seen {
    nodes: Vec<NodeReport>,
    revision: u64,
    is_registered: bool,
    problems: Vec<String>,
}

impl Seen {
    fn status(&self) -> String {
        if self.problems.is_empty() { "ok".to_owned() } else { self.problems.join("; ") }
    }
}

impl AgentSource {
    fn see(&self) -> Seen {
        let (revision, nodes) = self.core.nodes().report();
        let trouble = self.standing.trouble();
        let mut problems = problems(&nodes, trouble.as_deref(), self.core.nodes().is_unsaved());
        for (node, time) in self.core.nodes().silent(self.core.timings().silent) {
            problems.push(format!(
                "{node}: its health has not answered for {:.0} s",
                time.as_secs_f64()
            ));
        }
        Seen { nodes, revision, is_registered: trouble.is_none(), problems }
    }

    fn page(&self) -> Value {
        self.page_of(&self.see(), true)
    }

    fn page_of(&self, seen: &Seen, lists: bool) -> Value {
        let ports = self.core.nodes().admin_ports();
        let admin = |id: &str| ports.iter().find(|port| port.node_id == id).map(|port| &port.admin);
        let nodes = seen.nodes.iter().filter(|_| lists);
        let nodes: Vec<_> = nodes.map(|report| node(report, admin(&report.node_id))).collect();
        json!({
            "agent_id": self.who.id, "master": self.who.master, "admin": self.who.admin,
            "registered": seen.is_registered, "healthy": seen.problems.is_empty(),
            "version": env!("CARGO_PKG_VERSION"), "status": seen.status(),
            "uptime_seconds": self.started.elapsed().as_secs(), "revision": seen.revision,
            "max_nodes": self.who.max_nodes, "nodes": nodes,
        })
    }
}

impl Source for AgentSource {
    const KIND: &'static str = "agent";

    async fn look(&self, Detail { lists, .. }: Detail) -> Option<View> {
        let seen = self.see();
        let (nodes, healthy) = (&seen.nodes, seen.problems.is_empty());
        let by_state = NodeState::ALL.iter().map(|state| (state.name(), count(nodes, *state)));
        let restarts = nodes
            .iter()
            .map(|node| (node.node_id.clone(), Series::Counter(f64::from(node.restarts))));
        let mut metrics = vec![
            build_info(),
            Metric::gauge(
                "sutra_agent_healthy",
                "Whether all is well; the status says what is not",
                f64::from(u8::from(healthy)),
            ),
            Metric::gauge(
                "sutra_agent_uptime_seconds",
                "Since the agent started",
                self.started.elapsed().as_secs_f64(),
            ),
            Metric::gauges("sutra_agent_nodes", "Storage nodes by state", "state", by_state),
            Metric::labelled(
                "sutra_agent_node_restarts",
                "How often a node was started again",
                "node",
                restarts,
            ),
            Metric::gauge(
                "sutra_agent_registered",
                "Whether the master knows this agent",
                f64::from(u8::from(seen.is_registered)),
            ),
            Metric::gauge(
                "sutra_agent_max_nodes",
                "Storage nodes at most",
                f64::from(self.who.max_nodes),
            ),
        ];
        metrics.extend(Host::read(self.core.nodes().root()).metrics());
        let readiness = Readiness::Ready;
        let page = self.page_of(&seen, lists);
        Some(View { healthy, status: seen.status(), readiness, page, metrics })
    }
}

#[expect(clippy::cast_precision_loss, reason = "an agent has 256 nodes at most")]
fn count(nodes: &[NodeReport], state: NodeState) -> f64 {
    nodes.iter().filter(|node| node.state == state as u8).count() as f64
}

fn problems(nodes: &[NodeReport], trouble: Option<&str>, is_unsaved: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(trouble) = trouble {
        problems.push(format!("not registered with the master: {trouble}"));
    }
    if is_unsaved {
        problems.push("the list of nodes can't be written; the agent's log says why".to_owned());
    }
    for node in nodes {
        if [NodeState::GaveUp, NodeState::Crashed].iter().any(|state| node.state == *state as u8) {
            problems.push(format!("{}: {}", node.node_id, node.detail));
        }
    }
    problems
}

fn node(node: &NodeReport, admin: Option<&String>) -> Value {
    json!({
        "node_id": node.node_id, "name": node.name,
        "state": NodeState::from_number(node.state).unwrap_or_default().name(),
        "endpoint": node.endpoint, "compat_endpoint": node.compat_endpoint, "admin": admin,
        "storage_path": node.storage_path, "cores": node.cores,
        "memory_limit_mb": node.memory_limit_mb, "memory_enforcement": node.memory_enforcement,
        "pid": (node.pid > 0).then_some(node.pid), "restarts": node.restarts, "detail": node.detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_said() {
        assert!(problems(&[], None, false).is_empty());
        let gave_up = NodeReport {
            node_id: "n".into(),
            detail: "why".into(),
            state: NodeState::GaveUp as u8,
            ..NodeReport::default()
        };
        let words =
            problems(&[gave_up, NodeReport::default()], Some("it is away"), true).join("; ");
        assert!(
            ["registered with the master: it is away", "list of nodes", "n: why"]
                .iter()
                .all(|part| words.contains(part)),
            "{words}"
        );
    }
}
