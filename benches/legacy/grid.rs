//! The old grid master, as far as heartbeats need it: agents register and report, in bincode.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
enum Request {
    RegisterAgent {
        agent_id: String,
        _hostname: String,
        _platform: String,
        max_storage_nodes: u32,
        _version: String,
        _agent_endpoint: String,
    },
    Heartbeat {
        agent_id: String,
        storage_node_count: u32,
        timestamp: u64,
    },
}

#[derive(Serialize)]
enum Response {
    RegisterAgentOk { success: bool, master_version: String, error_message: Option<String> },
    HeartbeatOk { acknowledged: bool, timestamp: u64 },
}

/// What is known of an agent.
#[derive(Default)]
struct Agent {
    max_storage_nodes: u32,
    storage_nodes: u32,
    last_heartbeat: u64,
}

#[derive(Default)]
pub(super) struct Agents(Mutex<HashMap<String, Agent>>);

impl Agents {
    /// The encoded answer; none to what is not understood, which the client takes for a lost
    /// connection.
    pub(super) fn answer(&self, message: &[u8]) -> Vec<u8> {
        let Ok(request) = bincode::deserialize::<Request>(message) else { return Vec::new() };
        let Ok(mut agents) = self.0.lock() else { return Vec::new() };
        let response = match request {
            Request::RegisterAgent { agent_id, max_storage_nodes, .. } => {
                agents.insert(agent_id, Agent { max_storage_nodes, ..Agent::default() });
                Response::RegisterAgentOk {
                    success: true,
                    master_version: env!("CARGO_PKG_VERSION").into(),
                    error_message: None,
                }
            }
            Request::Heartbeat { agent_id, storage_node_count, timestamp } => {
                // Unknown agents are taken in: the bincode master did not mind.
                let agent = agents.entry(agent_id).or_default();
                agent.storage_nodes = storage_node_count.min(agent.max_storage_nodes.max(storage_node_count));
                agent.last_heartbeat = timestamp;
                Response::HeartbeatOk { acknowledged: true, timestamp: agent.last_heartbeat }
            }
        };
        bincode::serialize(&response).unwrap_or_default()
    }
}
