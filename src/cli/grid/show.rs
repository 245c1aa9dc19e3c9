//! How agents, nodes and events are shown: rows for people, JSON for programs. A number from a
//! newer master that means nothing here is shown as it is.

use std::time::Duration;

use serde_json::{Value, json};
use sutra_wire::grid::{AgentInfo, AgentState, GridEvent, NodeInfo, NodeState};

use super::table::Table;
use crate::printable::name;
use crate::words::{duration, local_time, utc_time};

pub(super) fn agents(agents: &[AgentInfo]) -> String {
    let mut table = Table::new(&[
        "AGENT",
        "HOST",
        "HEALTH",
        "NODES",
        "CORES",
        "MEMORY",
        "LAST HEARTBEAT",
        "ENDPOINT",
        "VERSION",
    ]);
    for agent in agents {
        table.row(vec![
            agent.agent_id.clone(),
            agent.hostname.clone(),
            agent_state(agent.state),
            format!("{} of {} ({} running)", agent.nodes, agent.max_nodes, agent.running),
            number(agent.cores),
            mebibytes(agent.memory_mb),
            format!("{} ago", duration(Duration::from_millis(agent.heartbeat_age_ms))),
            agent.endpoint.clone(),
            agent.version.clone(),
        ]);
    }
    table.lines()
}

pub(super) fn nodes(nodes: &[NodeInfo]) -> String {
    let mut table = Table::new(&[
        "NODE", "NAME", "AGENT", "STATE", "NATIVE", "COMPAT", "CORES", "MEMORY", "RESTARTS",
        "DETAIL",
    ]);
    for node in nodes {
        let report = &node.report;
        let unknown = [AgentState::Offline as u8, AgentState::Unknown as u8];
        let is_known = !unknown.contains(&node.agent_state);
        let state = node_state(report.state);
        table.row(vec![
            report.node_id.clone(),
            report.name.clone(),
            node.agent_id.clone(),
            // What an agent said before it was lost may be true no longer.
            if is_known { state } else { format!("{state}?") },
            report.endpoint.clone(),
            report.compat_endpoint.clone(),
            report.cores.trim_end_matches(',').to_owned(),
            memory_limit(node),
            number(report.restarts),
            report.detail.clone(),
        ]);
    }
    table.lines()
}

/// One node, in words.
pub(super) fn node(node: &NodeInfo) -> String {
    let report = &node.report;
    let mut lines = vec![format!(
        "{}{} is {} on {}",
        name(&report.node_id),
        if report.name.is_empty() { String::new() } else { format!(" ({})", name(&report.name)) },
        node_state(report.state),
        name(&node.agent_id)
    )];
    for (what, text) in [
        ("native", &report.endpoint),
        ("compat", &report.compat_endpoint),
        ("data", &report.storage_path),
        ("memory", &memory_limit(node)),
    ] {
        if !text.is_empty() {
            lines.push(format!("{what:<8} {}", name(text)));
        }
    }
    lines.join("\n")
}

pub(super) fn event(event: &GridEvent) -> String {
    let kind = kind(event.kind);
    let mut line = format!("{}  {kind:<18}  {}", local_time(event.at), name(&event.agent_id));
    for text in [&event.node_id, &event.name, &event.detail] {
        if !text.is_empty() {
            line = line + "  " + &name(text);
        }
    }
    line
}

pub(super) fn agent_json(agent: &AgentInfo) -> Value {
    json!({
        "agent_id": agent.agent_id, "hostname": agent.hostname, "platform": agent.platform,
        "version": agent.version, "endpoint": agent.endpoint, "state": agent_state(agent.state),
        "max_nodes": agent.max_nodes, "nodes": agent.nodes, "running": agent.running,
        "cores": agent.cores, "memory_mb": agent.memory_mb,
        "registered": utc_time(agent.registered), "last_heartbeat": utc_time(agent.last_heartbeat),
        "heartbeat_age_ms": agent.heartbeat_age_ms,
    })
}

pub(super) fn node_json(node: &NodeInfo) -> Value {
    let report = &node.report;
    json!({
        "node_id": report.node_id, "name": report.name, "agent_id": node.agent_id,
        "hostname": node.hostname, "state": node_state(report.state),
        "agent_state": agent_state(node.agent_state), "endpoint": report.endpoint,
        "compat_endpoint": report.compat_endpoint, "storage_path": report.storage_path,
        "cores": report.cores, "memory_limit_mb": report.memory_limit_mb,
        "memory_enforcement": report.memory_enforcement,
        "pid": (report.pid > 0).then_some(report.pid),
        "started": (report.started > 0).then(|| utc_time(report.started)),
        "restarts": report.restarts, "detail": report.detail,
    })
}

pub(super) fn event_json(event: &GridEvent) -> Value {
    json!({
        "number": event.number, "at": utc_time(event.at), "event": kind(event.kind),
        "agent_id": event.agent_id, "node_id": event.node_id, "name": event.name,
        "detail": event.detail,
    })
}

fn agent_state(state: u8) -> String {
    AgentState::from_number(state)
        .map_or_else(|| format!("state {state}"), |state| state.name().into())
}

pub(super) fn node_state(state: u8) -> String {
    NodeState::from_number(state)
        .map_or_else(|| format!("state {state}"), |state| state.name().into())
}

fn kind(kind: u8) -> String {
    let known = sutra_wire::grid::EventKind::from_number(kind);
    known.map_or_else(|| format!("event of kind {kind}"), |kind| kind.name().into())
}

/// Nothing for 0, which is: none, or not told.
fn number(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn mebibytes(size: u64) -> String {
    match size {
        0 => String::new(),
        1..10_240 => format!("{size} MiB"),
        _ => format!("{} GiB", size / 1024),
    }
}

fn memory_limit(node: &NodeInfo) -> String {
    let report = &node.report;
    let is_kept = !report.memory_enforcement.starts_with("unenforced");
    let limit = mebibytes(report.memory_limit_mb);
    if limit.is_empty() || is_kept { limit } else { limit + " (unenforced)" }
}
