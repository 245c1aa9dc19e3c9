//! The old grid master, as far as heartbeats need it. Messages are bincode.

use std::collections::HashMap;
use std::sync::Mutex;

use super::messages::{GridRequest, GridResponse};

/// What is known of an agent.
#[derive(Default)]
struct Agent {
    storage_nodes: u32,
    last_heartbeat: u64,
}

#[derive(Default)]
pub(super) struct Agents(Mutex<HashMap<String, Agent>>);

impl Agents {
    /// The encoded answer. It is empty for a message that can't be decoded, which no client takes
    /// for an answer. A heartbeat of an unknown agent adds the agent, as on the old master.
    pub(super) fn answer(&self, message: &[u8]) -> Vec<u8> {
        let Ok(GridRequest::Heartbeat { agent_id, storage_node_count, timestamp }) =
            bincode::deserialize(message)
        else {
            return Vec::new();
        };
        let Ok(mut agents) = self.0.lock() else { return Vec::new() };
        let agent = agents.entry(agent_id).or_default();
        (agent.storage_nodes, agent.last_heartbeat) = (storage_node_count, timestamp);
        let response =
            GridResponse::HeartbeatOk { acknowledged: true, timestamp: agent.last_heartbeat };
        bincode::serialize(&response).unwrap_or_default()
    }
}
