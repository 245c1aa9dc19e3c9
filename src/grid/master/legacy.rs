//! The old grid's protocol in front of the master: each message becomes the native request, and each native reply the message that old agents and
//! consoles were written to read.

use sutra_compat::grid::{AgentList, AgentRecord, GridReply, GridRequest};
use sutra_compat::{PREFIX_BYTES, message_length};
use sutra_net::{Answer, Manner, Overlap, Translated, Translator, Wording};
use sutra_wire::grid::{
    AgentHeartbeat, AgentKey, AgentRegistered, AgentRegistration, AgentState, Agents, AgentsRequest, Cluster, ClusterState,
    NodeInfo, NodeKey, NodeState, SpawnNode,
};
use sutra_wire::{Checked, ErrorMessage, FrameBuffer, Opcode, Status, archive};

/// Reads and words the old grid's messages.
pub(crate) struct GridLegacy;

/// A request's opcode; its archive is in `payload`.
fn translate(request: GridRequest, payload: &mut FrameBuffer) -> Opcode {
    match request {
        GridRequest::RegisterAgent { agent_id, hostname, platform, max_storage_nodes, version, agent_endpoint } => {
            let registration = AgentRegistration {
                agent_id,
                hostname,
                platform,
                version,
                endpoint: agent_endpoint,
                max_nodes: max_storage_nodes.min(sutra_wire::limits::MAX_AGENT_NODES as u32),
                ..AgentRegistration::default()
            };
            archive(payload, &registration);
            Opcode::RegisterAgent
        }
        GridRequest::Heartbeat { agent_id, storage_node_count: _, timestamp } => {
            archive(payload, &AgentHeartbeat { agent_id, sent: timestamp, ..AgentHeartbeat::default() });
            Opcode::AgentHeartbeat
        }
        GridRequest::UnregisterAgent { agent_id } => {
            archive(payload, &AgentKey { agent_id });
            Opcode::UnregisterAgent
        }
        GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port } => {
            // The old message's port is where clients of the old protocol go.
            let spawn = SpawnNode { agent_id, storage_path, memory_limit_mb, compat_port: port, ..SpawnNode::default() };
            archive(payload, &spawn);
            Opcode::SpawnNode
        }
        GridRequest::StopStorageNode { agent_id: _, node_id } => {
            archive(payload, &NodeKey { node: node_id });
            Opcode::StopNode
        }
        GridRequest::GetStorageNodeStatus { node_id } => {
            archive(payload, &NodeKey { node: node_id });
            Opcode::Node
        }
        GridRequest::ListAgents => {
            archive(payload, &AgentsRequest::default());
            Opcode::Agents
        }
        GridRequest::GetClusterStatus => Opcode::Cluster,
    }
}

/// What a request may overlap with: old clients send one after the other. What an agent is asked takes its time, and lists may come in several parts.
fn overlap(opcode: Opcode) -> Overlap {
    match opcode {
        Opcode::Node | Opcode::Cluster | Opcode::AgentHeartbeat => Overlap::Reads,
        _ => Overlap::Alone,
    }
}

impl Translator for GridLegacy {
    fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        message_length(*prefix).map(|length| Some(PREFIX_BYTES + length as usize)).map_err(|error| error.to_string())
    }

    fn request(&mut self, message: &[u8], payload: &mut FrameBuffer, reply: &mut Vec<u8>) -> Translated {
        match GridRequest::read(&message[PREFIX_BYTES..]) {
            Ok((request, _)) => {
                let opcode = translate(request, payload);
                Translated::Request { opcode: opcode as u8, manner: Manner::default(), overlap: overlap(opcode) }
            }
            Err(error) => {
                GridReply::Error { message: error.to_string() }.append(None, reply);
                Translated::Answered { manner: Manner::default() }
            }
        }
    }

    fn reply(
        &mut self,
        _: Manner,
        answer: Answer<'_>,
        gathered: &mut Vec<u8>,
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Wording {
        let opcode = Opcode::from_number(answer.opcode);
        if opcode == Some(Opcode::Agents) && !answer.status.is_error() {
            return list(&answer, gathered, payload, reply);
        }
        let worded = match opcode {
            Some(opcode) if !answer.status.is_error() => word(opcode, &answer),
            _ => Err(error_text(&answer)),
        };
        worded.unwrap_or_else(|message| refusal(opcode, message)).append(None, reply);
        Wording::Complete
    }

    fn error(&mut self, _: Manner, message: &str, reply: &mut Vec<u8>) {
        GridReply::Error { message: message.to_owned() }.append(None, reply);
    }
}

fn error_text(answer: &Answer<'_>) -> String {
    Checked::<ErrorMessage>::new(answer.payload)
        .map_or_else(|_| format!("the request failed ({:?})", answer.status), |error| error.message.as_str().to_owned())
}

/// What went wrong, where old clients look for it.
fn refusal(opcode: Option<Opcode>, message: String) -> GridReply {
    match opcode {
        Some(Opcode::RegisterAgent) => GridReply::RegisterAgentOk {
            success: false,
            master_version: env!("CARGO_PKG_VERSION").into(),
            error_message: Some(message),
        },
        Some(Opcode::SpawnNode) => GridReply::SpawnStorageNodeOk {
            node_id: String::new(),
            endpoint: String::new(),
            success: false,
            error_message: Some(message),
        },
        Some(Opcode::StopNode) => GridReply::StopStorageNodeOk { success: false, error_message: Some(message) },
        _ => GridReply::Error { message },
    }
}

/// Where clients of the old protocol reach a node.
fn old_endpoint(node: &NodeInfo) -> String {
    let report = &node.report;
    if report.compat_endpoint.is_empty() { report.endpoint.clone() } else { report.compat_endpoint.clone() }
}

fn word(opcode: Opcode, answer: &Answer<'_>) -> Result<GridReply, String> {
    let is_found = answer.status != Status::NotFound;
    Ok(match opcode {
        Opcode::RegisterAgent => {
            let registered = read::<AgentRegistered>(answer)?;
            GridReply::RegisterAgentOk { success: true, master_version: registered.master_version, error_message: None }
        }
        // The sequence gives the timestamp back, also where there is no such agent: it registers again then.
        Opcode::AgentHeartbeat => GridReply::HeartbeatOk { acknowledged: is_found, timestamp: answer.sequence },
        Opcode::UnregisterAgent if is_found => GridReply::UnregisterAgentOk,
        Opcode::UnregisterAgent => return Err("no agent of this id is registered".into()),
        Opcode::SpawnNode => {
            let node = read::<NodeInfo>(answer)?;
            let endpoint = old_endpoint(&node);
            GridReply::SpawnStorageNodeOk { node_id: node.report.node_id, endpoint, success: true, error_message: None }
        }
        Opcode::StopNode if is_found => GridReply::StopStorageNodeOk { success: true, error_message: None },
        Opcode::StopNode | Opcode::Node if !is_found => return Err("there is no storage node of this id or name".into()),
        Opcode::Node => {
            let node = read::<NodeInfo>(answer)?;
            let status = NodeState::from_number(node.report.state).unwrap_or_default().name().to_owned();
            let endpoint = old_endpoint(&node);
            GridReply::GetStorageNodeStatusOk { node_id: node.report.node_id, status, pid: node.report.pid, endpoint }
        }
        Opcode::Cluster => {
            let cluster = read::<Cluster>(answer)?;
            GridReply::GetClusterStatusOk {
                total_agents: cluster.agents,
                healthy_agents: cluster.healthy,
                total_storage_nodes: cluster.nodes,
                running_storage_nodes: cluster.running,
                status: ClusterState::from_number(cluster.state).unwrap_or_default().name().to_owned(),
            }
        }
        _ => return Err("the old protocol has no words for this answer".into()),
    })
}

fn read<T>(answer: &Answer<'_>) -> Result<T, String>
where
    T: sutra_wire::Payload,
    T::Archived: rkyv::Deserialize<T, rkyv::api::high::HighDeserializer<rkyv::rancor::Error>>,
{
    Checked::<T>::new(answer.payload).map(|checked| checked.to_owned()).map_err(|error| error.to_string())
}

/// Agents come page by page, and are one message in the old protocol: `gathered` holds those so far.
fn list(answer: &Answer<'_>, gathered: &mut Vec<u8>, payload: &mut FrameBuffer, reply: &mut Vec<u8>) -> Wording {
    let page = match read::<Agents>(answer) {
        Ok(page) => page,
        Err(message) => {
            GridReply::Error { message }.append(None, reply);
            return Wording::Complete;
        }
    };
    let last = page.agents.last().map(|agent| agent.agent_id.clone());
    let mut list = AgentList::resume(std::mem::take(gathered));
    for agent in page.agents {
        list.push(&AgentRecord {
            status: AgentState::from_number(agent.state).unwrap_or_default().name().to_owned(),
            agent_id: agent.agent_id,
            hostname: agent.hostname,
            platform: agent.platform,
            max_storage_nodes: agent.max_nodes,
            current_storage_nodes: agent.nodes,
            last_heartbeat: agent.last_heartbeat / 1_000_000,
        });
    }
    match last.filter(|_| page.more) {
        Some(after) => {
            *gathered = list.into_bytes();
            payload.clear();
            archive(payload, &AgentsRequest { after, limit: 0 });
            Wording::Ask { opcode: answer.opcode }
        }
        None => {
            list.finish(reply);
            Wording::Complete
        }
    }
}
