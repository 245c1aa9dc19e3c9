//! What is refused of the grid's messages: names that are none, numbers out of their range, lists
//! that are too long.

use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;

use super::{
    AdminPorts, AgentHeartbeat, AgentKey, AgentRegistration, AgentReport, AgentsRequest,
    ArchivedAdminPorts, ArchivedAgentHeartbeat, ArchivedAgentKey, ArchivedAgentRegistration,
    ArchivedAgentReport, ArchivedAgentsRequest, ArchivedNodeKey, ArchivedNodeReport,
    ArchivedNodesRequest, ArchivedSpawnNode, ArchivedWatchRequest, NodeKey, NodeState,
    NodesRequest, SpawnNode, WatchRequest,
};
use crate::checked::{check_at_most, check_length, check_one_of};
use crate::{Payload, PayloadError, limits};

/// Names go into tables, file names and addresses: letters, digits, `-`, `_` and `.`, and no `.` in
/// front.
fn check_label(
    field: &'static str,
    text: &ArchivedString,
    may_be_empty: bool,
) -> Result<(), PayloadError> {
    check_letters(field, text, may_be_empty, "")
}

/// Ids of agents and nodes are names, too; those that agents of the old protocol gave themselves
/// may be addresses as well.
fn check_id(
    field: &'static str,
    text: &ArchivedString,
    may_be_empty: bool,
) -> Result<(), PayloadError> {
    check_letters(field, text, may_be_empty, ":@")
}

fn check_letters(
    field: &'static str,
    text: &ArchivedString,
    may_be_empty: bool,
    more: &str,
) -> Result<(), PayloadError> {
    if text.is_empty() && !may_be_empty {
        return Err(PayloadError::argument(field, "is empty; give a name"));
    }
    check_length(field, text.len(), limits::MAX_LABEL, "bytes")?;
    let fits = |letter: char| {
        letter.is_ascii_alphanumeric() || "-_.".contains(letter) || more.contains(letter)
    };
    if text.starts_with('.') || !text.chars().all(fits) {
        let more: String = more.chars().map(|letter| format!("'{letter}', ")).collect();
        let message = format!(
            "is {:?}; use letters, digits, {more}'-', '_' and '.', and begin with no '.'",
            text.as_str()
        );
        return Err(PayloadError::argument(field, message));
    }
    Ok(())
}

fn check_text(field: &'static str, text: &ArchivedString) -> Result<(), PayloadError> {
    check_length(field, text.len(), limits::MAX_GRID_TEXT, "bytes")
}

fn check_port(field: &'static str, port: u32) -> Result<(), PayloadError> {
    check_at_most(field, port, u32::from(u16::MAX))
}

fn check_report(report: &ArchivedNodeReport) -> Result<(), PayloadError> {
    check_label("node_id", &report.node_id, false)?;
    check_label("name", &report.name, true)?;
    check_one_of("state", report.state, NodeState::ALL.len() as u8)?;
    for (field, text) in [
        ("endpoint", &report.endpoint),
        ("compat_endpoint", &report.compat_endpoint),
        ("storage_path", &report.storage_path),
        ("detail", &report.detail),
        ("cores", &report.cores),
        ("memory_enforcement", &report.memory_enforcement),
    ] {
        check_text(field, text)?;
    }
    Ok(())
}

fn check_reports(reports: &ArchivedVec<ArchivedNodeReport>) -> Result<(), PayloadError> {
    check_length("nodes", reports.len(), limits::MAX_AGENT_NODES, "nodes")?;
    reports.iter().try_for_each(check_report)
}

impl Payload for AgentRegistration {
    const NAME: &'static str = "agent registration";

    fn check(registration: &ArchivedAgentRegistration) -> Result<(), PayloadError> {
        check_id("agent_id", &registration.agent_id, false)?;
        for (field, text) in [
            ("hostname", &registration.hostname),
            ("platform", &registration.platform),
            ("version", &registration.version),
            ("endpoint", &registration.endpoint),
        ] {
            check_text(field, text)?;
        }
        check_at_most(
            "max_nodes",
            registration.max_nodes.to_native(),
            limits::MAX_AGENT_NODES as u32,
        )?;
        check_reports(&registration.nodes)
    }
}

impl Payload for AgentHeartbeat {
    const NAME: &'static str = "agent heartbeat";

    fn check(heartbeat: &ArchivedAgentHeartbeat) -> Result<(), PayloadError> {
        check_id("agent_id", &heartbeat.agent_id, false)
    }
}

impl Payload for AgentReport {
    const NAME: &'static str = "agent report";

    fn check(report: &ArchivedAgentReport) -> Result<(), PayloadError> {
        check_id("agent_id", &report.agent_id, false)?;
        check_reports(&report.nodes)
    }
}

impl Payload for AdminPorts {
    const NAME: &'static str = "report of admin ports";

    fn check(ports: &ArchivedAdminPorts) -> Result<(), PayloadError> {
        check_id("agent_id", &ports.agent_id, false)?;
        check_text("admin", &ports.admin)?;
        check_length("nodes", ports.nodes.len(), limits::MAX_AGENT_NODES, "nodes")?;
        ports.nodes.iter().try_for_each(|node| {
            check_label("node_id", &node.node_id, false)?;
            check_text("admin", &node.admin)
        })
    }
}

impl Payload for AgentKey {
    const NAME: &'static str = "agent key";

    fn check(key: &ArchivedAgentKey) -> Result<(), PayloadError> {
        check_id("agent_id", &key.agent_id, false)
    }
}

impl Payload for SpawnNode {
    const NAME: &'static str = "spawn request";

    fn check(spawn: &ArchivedSpawnNode) -> Result<(), PayloadError> {
        check_id("agent_id", &spawn.agent_id, false)?;
        check_label("name", &spawn.name, true)?;
        check_text("storage_path", &spawn.storage_path)?;
        check_text("cores", &spawn.cores)?;
        check_port("port", spawn.port.to_native())?;
        check_port("compat_port", spawn.compat_port.to_native())
    }
}

impl Payload for NodeKey {
    const NAME: &'static str = "node key";

    fn check(key: &ArchivedNodeKey) -> Result<(), PayloadError> {
        check_id("node", &key.node, false)
    }
}

impl Payload for NodesRequest {
    const NAME: &'static str = "nodes request";

    fn check(request: &ArchivedNodesRequest) -> Result<(), PayloadError> {
        check_id("agent_id", &request.agent_id, true)?;
        check_id("after", &request.after, true)?;
        check_at_most("limit", request.limit.to_native(), limits::MAX_GRID_PAGE)
    }
}

impl Payload for AgentsRequest {
    const NAME: &'static str = "agents request";

    fn check(request: &ArchivedAgentsRequest) -> Result<(), PayloadError> {
        check_id("after", &request.after, true)?;
        check_at_most("limit", request.limit.to_native(), limits::MAX_GRID_PAGE)
    }
}

impl Payload for WatchRequest {
    const NAME: &'static str = "watch request";

    fn check(_: &ArchivedWatchRequest) -> Result<(), PayloadError> {
        Ok(())
    }
}
