//! The calls of the old storage protocol and of the old grid's that are measured. Names and order
//! are the old ones, as encodings depend on them.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    LearnConcept {
        concept_id: String,
        content: String,
        embedding: Vec<f32>,
        strength: f32,
        confidence: f32,
    },
    QueryConcept {
        concept_id: String,
    },
    VectorSearch {
        query_vector: Vec<f32>,
        k: u32,
        #[serde(rename = "ef_search")]
        _ef_search: u32,
    },
    HealthCheck,
}

impl Request {
    /// Whether it must be in the log before it is answered.
    pub(super) fn is_write(&self) -> bool {
        matches!(self, Request::LearnConcept { .. })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    LearnConceptOk {
        sequence: u64,
    },
    QueryConceptOk {
        found: bool,
        concept_id: String,
        content: String,
        strength: f32,
        confidence: f32,
    },
    VectorSearchOk {
        results: Vec<(String, f32)>,
    },
    HealthCheckOk {
        healthy: bool,
        status: String,
        uptime_seconds: u64,
    },
    Error {
        message: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GridRequest {
    /// Never sent here. It keeps the place of the first call, as a heartbeat is the second.
    RegisterAgent,
    Heartbeat {
        agent_id: String,
        storage_node_count: u32,
        timestamp: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GridResponse {
    RegisterAgentOk,
    HeartbeatOk { acknowledged: bool, timestamp: u64 },
}
