//! The read API of the master's admin port: the grid, what has happened, and what Prometheus is to
//! scrape. Everything is asked of the core, a page at a time.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sutra_admin::{Asked, Code, Refusal, Routes};
use sutra_net::Context;
use sutra_wire::grid::{AgentInfo, ClusterState, EventKind, GridEvent, NodeState};
use sutra_wire::limits::MAX_GRID_PAGE;

use crate::core::MasterCore;
use crate::events::Events;
use crate::message::{Message, Question};
use crate::overview::{agent, node};
use crate::registry::{AdminPort, Shown};
use crate::summary::MasterSource;

/// Targets that are asked for in one turn of the core.
const TARGETS: usize = 1024;
/// Events that an answer has where nothing else is asked for.
const EVENTS: usize = 100;
/// Most events in an answer.
const MOST_EVENTS: usize = 1000;

/// The paths.
pub(crate) fn routes(source: &Arc<MasterSource>) -> Routes {
    let [of_grid, of_events, of_targets] = [(); 3].map(|()| Arc::clone(source));
    Routes::default()
        .get(
            "/api/v1/grid",
            "how the grid is, its agents and its nodes",
            &[
                ("limit", "agents and nodes at most, 1 to 1024; 1024 where it is left out"),
                ("agents_after", "agents whose names come behind this one"),
                ("nodes_after", "nodes whose ids come behind this one"),
            ],
            move |asked| grid(Arc::clone(&of_grid), asked),
        )
        .get(
            "/api/v1/events",
            "what has happened lately, the oldest first",
            &[
                ("after", "only what came behind the event of this sequence; else the latest"),
                ("limit", "events at most, 1 to 1000; 100 where it is left out"),
            ],
            move |asked| events(Arc::clone(&of_events), asked),
        )
        .get(
            "/api/v1/targets",
            "what Prometheus is to scrape, as its http_sd_configs read it",
            &[],
            move |_| targets(Arc::clone(&of_targets)),
        )
}

/// The core's part: answers a question with what it knows now. Nobody waits any more where that
/// can't be sent.
pub(crate) fn answer(core: &MasterCore, cx: &Context<'_, Message>, question: Question) {
    match question {
        Question::Grid { agents_after, nodes_after, limit, to } => {
            let _ = to.send(grid_page(core, cx, &agents_after, &nodes_after, limit));
        }
        Question::Events { after, limit, to } => {
            let _ = to.send(latest(&core.events, after, limit, core.moment(cx).wall));
        }
        Question::AdminPorts { after, limit, to } => {
            // Whoever has just started has not been told: what Prometheus knows is better.
            let is_early = core.is_new() && core.registry.lacks_ports();
            let _ = to.send((!is_early).then(|| core.registry.admin_ports(&after, limit)));
        }
    }
}

async fn grid(source: Arc<MasterSource>, asked: Asked) -> Result<Value, Refusal> {
    let limit = asked.number("limit", MAX_GRID_PAGE, 1..=MAX_GRID_PAGE)?;
    let after = |name| asked.text(name).unwrap_or_default().to_owned();
    let (agents_after, nodes_after) = (after("agents_after"), after("nodes_after"));
    source.ask(|to| Question::Grid { agents_after, nodes_after, limit, to }).await
}

fn grid_page(
    core: &MasterCore,
    cx: &Context<'_, Message>,
    agents_after: &str,
    nodes_after: &str,
    limit: u32,
) -> Value {
    let (registry, at) = (&core.registry, core.moment(cx));
    let (cluster, problems) = (core.cluster(cx, Shown::ByAnswer), core.problems(cx));
    let agents = registry.agent_page(agents_after, limit, Shown::ByAnswer, at);
    let nodes = registry.node_page("", nodes_after, limit, at);
    let of_agent = |info: &AgentInfo| agent(info, registry.admin_of_agent(&info.agent_id));
    let states = NodeState::ALL.iter().zip(registry.nodes_by_state());
    let states: Map<String, Value> =
        states.map(|(state, count)| (state.name().to_owned(), count.into())).collect();
    let cursor = |last: Option<&String>, more: bool| last.filter(|_| more).cloned();
    let last_agent = agents.agents.last().map(|agent| &agent.agent_id);
    let last_node = nodes.nodes.last().map(|node| &node.report.node_id);
    json!({
        "healthy": problems.state == ClusterState::Healthy,
        "status": problems.words(),
        "state": problems.state.name(),
        "version": cluster.version,
        "uptime_us": cluster.uptime,
        "counts": {
            "agents": {
                "total": cluster.agents,
                "healthy": cluster.healthy,
                "degraded": cluster.degraded,
                "offline": cluster.offline,
                "unproven": registry.unproven(),
            },
            "nodes": states,
        },
        "agents_cursor": cursor(last_agent, agents.more),
        "agents": agents.agents.iter().map(of_agent).collect::<Vec<_>>(),
        "nodes_cursor": cursor(last_node, nodes.more),
        "nodes": nodes.nodes.iter().map(|info| node(info, registry)).collect::<Vec<_>>(),
        "sequence": core.events.last(),
    })
}

async fn events(source: Arc<MasterSource>, asked: Asked) -> Result<Value, Refusal> {
    let limit = asked.number("limit", EVENTS, 1..=MOST_EVENTS)?;
    // Whoever has seen none wants the latest.
    let after = asked.read("after")?.filter(|after| *after > 0);
    source.ask(|to| Question::Events { after, limit, to }).await
}

fn latest(events: &Events, after: Option<u64>, limit: usize, wall: u64) -> Value {
    let last = events.last();
    // One that asks for what has not been yet has seen a master that is no more.
    let mut seen = after.unwrap_or_else(|| events.before_latest(limit)).min(last);
    let mut told = Vec::new();
    while told.len() < limit
        && let Some(event) = events.after(seen, wall)
    {
        seen = event.number;
        told.push(shown(&event));
    }
    json!({ "events": told, "sequence": last })
}

fn shown(event: &GridEvent) -> Value {
    json!({
        "sequence": event.number,
        "at_us": event.at,
        "kind": EventKind::from_number(event.kind).map(EventKind::name),
        "agent": event.agent_id,
        "node": event.node_id,
        "name": event.name,
        "text": event.detail,
    })
}

async fn targets(source: Arc<MasterSource>) -> Result<Value, Refusal> {
    let mut targets = vec![source.own_target()];
    let mut next = Some(String::new());
    while let Some(after) = next {
        let page = source.ask(|to| Question::AdminPorts { after, limit: TARGETS, to }).await?;
        let Some((ports, last)) = page else {
            let message = "the master has just started, and not all agents have told where they \
                           and their nodes are; ask again in a moment";
            return Err(Refusal::new(Code::Unavailable, message));
        };
        targets.extend(ports.into_iter().map(target));
        next = last;
    }
    Ok(targets.into())
}

fn target(port: AdminPort) -> Value {
    let AdminPort { address, agent_id, hostname, node } = port;
    let mut labels = json!({ "kind": "agent", "agent": agent_id, "host": hostname });
    if let Some(node) = node {
        labels["kind"] = "server".into();
        labels["node"] = node.into();
    }
    json!({ "targets": [address], "labels": labels })
}
