//! The old storage protocol's nine calls.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(super) enum Request {
    LearnConcept {
        concept_id: String,
        content: String,
        embedding: Vec<f32>,
        strength: f32,
        confidence: f32,
    },
    LearnAssociation {
        source_id: String,
        target_id: String,
        assoc_type: u32,
        confidence: f32,
    },
    QueryConcept {
        concept_id: String,
    },
    GetNeighbors {
        concept_id: String,
    },
    FindPath {
        start_id: String,
        end_id: String,
        max_depth: u32,
    },
    VectorSearch {
        query_vector: Vec<f32>,
        k: u32,
        #[serde(rename = "ef_search")]
        _ef_search: u32,
    },
    GetStats,
    Flush,
    HealthCheck,
}

impl Request {
    /// Whether it must be in the log before it is answered.
    pub(super) fn is_write(&self) -> bool {
        matches!(self, Request::LearnConcept { .. } | Request::LearnAssociation { .. } | Request::Flush)
    }
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) enum Response {
    LearnConceptOk {
        sequence: u64,
    },
    LearnAssociationOk {
        sequence: u64,
    },
    QueryConceptOk {
        found: bool,
        concept_id: String,
        content: String,
        strength: f32,
        confidence: f32,
    },
    GetNeighborsOk {
        neighbor_ids: Vec<String>,
    },
    FindPathOk {
        found: bool,
        path: Vec<String>,
    },
    VectorSearchOk {
        results: Vec<(String, f32)>,
    },
    StatsOk {
        concepts: u64,
        edges: u64,
        written: u64,
        dropped: u64,
        pending: u64,
        reconciliations: u64,
        uptime_seconds: u64,
    },
    FlushOk,
    HealthCheckOk {
        healthy: bool,
        status: String,
        uptime_seconds: u64,
    },
    Error {
        message: String,
    },
}
