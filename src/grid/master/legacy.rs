//! The old grid's protocol (crate `sutra-compat`, `grid`) in front of the master, as `net` asks for
//! a translator.
//!
//! Every message becomes the request that a native client would have sent. What an old client reads
//! where a native one is told "not found": a heartbeat of an unknown agent is not acknowledged (old
//! agents then register again), leaving twice is done, and a node that is not there is an error in
//! words. Requests of one connection are done one after the other, as old clients expect.

use rkyv::{Archive, Deserialize, Serialize};
use sutra_compat::grid::{AgentList, AgentRecord, GridReply, GridRequest};
use sutra_compat::{MAX_MESSAGE, PREFIX_BYTES};
use sutra_net::{Answer, Manner, Overlap, Translated, Translator, Wording};
use sutra_wire::grid::{
    AgentHeartbeat, AgentInfo, AgentKey, AgentRegistered, AgentRegistration, AgentState, Agents,
    AgentsRequest, Cluster, ClusterState, HeartbeatAck, NodeInfo, NodeState, SpawnNode,
};
use sutra_wire::{
    Checked, ErrorMessage, FrameBuffer, Opcode, Payload, PayloadError, Status, archive, limits,
};

/// Stops a node of an agent: as [`Opcode::StopNode`], but that a node of another agent is refused.
/// The old message names both. No native client is told of this number; one that sends it gets what
/// it asks for.
pub(crate) const STOP: u8 = 0xf5;
/// Asks for a node, and asks its agent where that is an old one.
pub(crate) const STATUS: u8 = 0xf6;
/// A list of agents as the old protocol knows them: by their heartbeats alone.
pub(crate) const LIST: u8 = 0xf7;
/// The grid as a whole, agents counted in the same way.
pub(crate) const CLUSTER: u8 = 0xf8;

/// Names a node as old messages do, whose ids are any text.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub(crate) struct NodeOfAgent {
    /// Empty where the message names none.
    pub(crate) agent_id: String,
    pub(crate) node: String,
}

impl Payload for NodeOfAgent {
    const NAME: &'static str = "node of an agent";

    fn check(key: &ArchivedNodeOfAgent) -> Result<(), PayloadError> {
        if key.node.is_empty() {
            let problem = "is empty; name a node".to_owned();
            return Err(PayloadError::Argument { field: "node_id", problem });
        }
        Ok(())
    }
}

/// Reads and words the old grid's messages.
pub(crate) struct GridLegacy;

impl Translator for GridLegacy {
    fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        sutra_compat::measure(bytes).map_err(|error| error.to_string())
    }

    fn request(
        &mut self,
        message: &[u8],
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Translated {
        let manner = Manner::default();
        match GridRequest::read(&message[PREFIX_BYTES..]) {
            Ok((request, _)) => {
                let opcode = native(request, payload);
                Translated::Request { opcode, manner, overlap: Overlap::Alone }
            }
            Err(error) => {
                GridReply::Error { message: error.to_string() }.append(None, reply);
                Translated::Answered { manner }
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
        if answer.opcode == LIST && answer.status == Status::Ok {
            return list(&answer, gathered, payload, reply).unwrap_or_else(|error| {
                GridReply::Error { message: error }.append(None, reply);
                Wording::Complete
            });
        }
        let worded = if answer.status.is_error() {
            Ok(refused(answer.opcode, error_of(&answer)))
        } else if answer.status == Status::NotFound {
            not_found(answer.opcode, payload)
        } else {
            done(&answer)
        };
        worded
            .unwrap_or_else(|error| GridReply::Error { message: error.to_string() })
            .append(None, reply);
        Wording::Complete
    }

    fn error(&mut self, _: Manner, message: &str, reply: &mut Vec<u8>) {
        GridReply::Error { message: message.to_owned() }.append(None, reply);
    }
}

/// Writes the native request that a message stands for, and returns its operation.
fn native(request: GridRequest, payload: &mut FrameBuffer) -> u8 {
    match request {
        GridRequest::RegisterAgent {
            agent_id,
            hostname,
            platform,
            max_storage_nodes,
            version,
            agent_endpoint,
        } => {
            let max_nodes = max_storage_nodes.min(limits::MAX_AGENT_NODES as u32);
            let endpoint = agent_endpoint;
            let registration = AgentRegistration {
                agent_id,
                hostname,
                platform,
                version,
                endpoint,
                max_nodes,
                ..AgentRegistration::default()
            };
            archive(payload, &registration);
            Opcode::RegisterAgent as u8
        }
        GridRequest::Heartbeat { agent_id, storage_node_count, timestamp } => {
            let revision = u64::from(storage_node_count);
            archive(
                payload,
                &AgentHeartbeat { agent_id, incarnation: 0, revision, sent: timestamp },
            );
            Opcode::AgentHeartbeat as u8
        }
        GridRequest::UnregisterAgent { agent_id } => {
            archive(payload, &AgentKey { agent_id, incarnation: 0 });
            Opcode::UnregisterAgent as u8
        }
        GridRequest::SpawnStorageNode { agent_id, storage_path, memory_limit_mb, port } => {
            // The port of an old message is where the old protocol is to be spoken.
            let spawn = SpawnNode {
                agent_id,
                storage_path,
                memory_limit_mb,
                compat_port: port,
                ..SpawnNode::default()
            };
            archive(payload, &spawn);
            Opcode::SpawnNode as u8
        }
        GridRequest::StopStorageNode { agent_id, node_id } => {
            archive(payload, &NodeOfAgent { agent_id, node: node_id });
            STOP
        }
        GridRequest::GetStorageNodeStatus { node_id } => {
            archive(payload, &NodeOfAgent { agent_id: String::new(), node: node_id });
            STATUS
        }
        GridRequest::ListAgents => {
            archive(payload, &AgentsRequest::default());
            LIST
        }
        GridRequest::GetClusterStatus => CLUSTER,
    }
}

fn error_of(answer: &Answer<'_>) -> String {
    match Checked::<ErrorMessage>::new(answer.payload) {
        Ok(error) => error.message.to_string(),
        Err(_) => format!("refused: {}", answer.status.name()),
    }
}

/// A refusal, where the old reply has a place for it.
fn refused(opcode: u8, message: String) -> GridReply {
    match (Opcode::from_number(opcode), opcode) {
        (Some(Opcode::RegisterAgent), _) => {
            let master_version = env!("CARGO_PKG_VERSION").to_owned();
            GridReply::RegisterAgentOk {
                success: false,
                master_version,
                error_message: Some(message),
            }
        }
        (Some(Opcode::SpawnNode), _) => {
            let (node_id, endpoint) = (String::new(), String::new());
            GridReply::SpawnStorageNodeOk {
                node_id,
                endpoint,
                success: false,
                error_message: Some(message),
            }
        }
        (_, STOP) => GridReply::StopStorageNodeOk { success: false, error_message: Some(message) },
        _ => GridReply::Error { message },
    }
}

fn not_found(opcode: u8, asked: &FrameBuffer) -> Result<GridReply, PayloadError> {
    match (Opcode::from_number(opcode), opcode) {
        (Some(Opcode::AgentHeartbeat), _) => {
            let timestamp = Checked::<AgentHeartbeat>::new(asked)?.sent.to_native();
            Ok(GridReply::HeartbeatOk { acknowledged: false, timestamp })
        }
        (Some(Opcode::UnregisterAgent), _) => Ok(GridReply::UnregisterAgentOk),
        (_, STOP | STATUS) => {
            let node = Checked::<NodeOfAgent>::new(asked)?.to_owned().node;
            Ok(refused(
                opcode,
                format!("no node {node:?} is known here; `sutra grid nodes` lists them"),
            ))
        }
        _ => Ok(GridReply::Error { message: "there is no such thing".into() }),
    }
}

fn done(answer: &Answer<'_>) -> Result<GridReply, PayloadError> {
    let payload = answer.payload;
    let reply = match (Opcode::from_number(answer.opcode), answer.opcode) {
        (Some(Opcode::RegisterAgent), _) => {
            let master_version =
                Checked::<AgentRegistered>::new(payload)?.master_version.to_string();
            GridReply::RegisterAgentOk { success: true, master_version, error_message: None }
        }
        (Some(Opcode::AgentHeartbeat), _) => {
            let timestamp = Checked::<HeartbeatAck>::new(payload)?.sent.to_native();
            GridReply::HeartbeatOk { acknowledged: true, timestamp }
        }
        (Some(Opcode::UnregisterAgent), _) => GridReply::UnregisterAgentOk,
        (Some(Opcode::SpawnNode), _) => {
            let report = Checked::<NodeInfo>::new(payload)?.to_owned().report;
            let (node_id, endpoint) = (report.node_id, report.compat_endpoint);
            GridReply::SpawnStorageNodeOk { node_id, endpoint, success: true, error_message: None }
        }
        (_, STOP) => GridReply::StopStorageNodeOk { success: true, error_message: None },
        (_, STATUS) => {
            let report = Checked::<NodeInfo>::new(payload)?.to_owned().report;
            GridReply::GetStorageNodeStatusOk {
                node_id: report.node_id,
                status: NodeState::from_number(report.state).unwrap_or_default().name().to_owned(),
                pid: report.pid,
                endpoint: report.compat_endpoint,
            }
        }
        (_, CLUSTER) => {
            let cluster = Checked::<Cluster>::new(payload)?.to_owned();
            GridReply::GetClusterStatusOk {
                total_agents: cluster.agents,
                healthy_agents: cluster.healthy,
                total_storage_nodes: cluster.nodes,
                running_storage_nodes: cluster.running,
                status: ClusterState::from_number(cluster.state)
                    .unwrap_or_default()
                    .name()
                    .to_owned(),
            }
        }
        _ => GridReply::Error {
            message: "the master gave an answer that the old protocol has no words for".into(),
        },
    };
    Ok(reply)
}

/// Adds a page of agents to the list, and words it when it was the last. What is gathered is the
/// list so far.
fn list(
    answer: &Answer<'_>,
    gathered: &mut Vec<u8>,
    payload: &mut FrameBuffer,
    reply: &mut Vec<u8>,
) -> Result<Wording, String> {
    let page =
        Checked::<Agents>::new(answer.payload).map_err(|error| error.to_string())?.to_owned();
    let last = page.agents.last().map(|agent| agent.agent_id.clone());
    let mut all = AgentList::resume(std::mem::take(gathered));
    page.agents.into_iter().for_each(|agent| all.push(&record(agent)));
    let Some(after) = last.filter(|_| page.more) else {
        all.finish(reply);
        return Ok(Wording::Complete);
    };
    *gathered = all.into_bytes();
    if gathered.len() > MAX_MESSAGE as usize {
        return Err("there are more agents than one message of the old protocol holds; \
                    use `sutra grid agents`"
            .into());
    }
    payload.clear();
    archive(payload, &AgentsRequest { after, limit: 0 });
    Ok(Wording::Ask { opcode: answer.opcode })
}

fn record(agent: AgentInfo) -> AgentRecord {
    AgentRecord {
        agent_id: agent.agent_id,
        hostname: agent.hostname,
        platform: agent.platform,
        status: AgentState::from_number(agent.state).unwrap_or_default().name().to_owned(),
        max_storage_nodes: agent.max_nodes,
        current_storage_nodes: agent.nodes,
        last_heartbeat: agent.last_heartbeat / 1_000_000,
    }
}
