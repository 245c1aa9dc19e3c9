//! What old clients ask for, as theirs is laid out.

use serde::Serialize;
use sutra_wire::ConceptId;

use crate::operation::{Operation, Wanted};
use crate::plan::Plan;

/// In the order of bincode's numbers, as far as it has any.
#[derive(Serialize)]
pub(super) enum Request<'a> {
    LearnConcept {
        concept_id: String,
        content: &'a str,
        embedding: &'a [f32],
        strength: f32,
        confidence: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    LearnAssociation {
        source_id: String,
        target_id: String,
        assoc_type: u32,
        confidence: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    QueryConcept {
        concept_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetNeighbors {
        concept_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    FindPath {
        start_id: String,
        end_id: String,
        max_depth: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    VectorSearch {
        query_vector: &'a [f32],
        k: u32,
        ef_search: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetStats,
    Flush,
    HealthCheck,
    DeleteConcept {
        namespace: &'a str,
        id: String,
    },
    DeleteAssociation {
        source_id: String,
        target_id: String,
        assoc_type: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetAssociation {
        source_id: String,
        target_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetAllConceptIds {
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
}

impl<'a> Request<'a> {
    /// That of an operation; with its namespace, where the client knows of any.
    pub(super) fn of(
        plan: &'a Plan,
        operation: &'a Operation,
        has_namespaces: bool,
    ) -> Request<'a> {
        let name =
            |space: usize| (has_namespaces && space > 0).then(|| plan.spaces[space].name.as_str());
        let text = |id: usize| match plan.is_named(id) {
            true => Plan::name(id),
            false => ConceptId(plan.ids[id]).to_string(),
        };
        match operation {
            Operation::Learn(of, record) => Request::LearnConcept {
                concept_id: text(of.id),
                content: &record.content,
                embedding: &record.embedding,
                strength: record.strength,
                confidence: record.confidence,
                namespace: name(of.space),
            },
            Operation::Associate(edge, record) => Request::LearnAssociation {
                source_id: text(edge.source),
                target_id: text(edge.target),
                assoc_type: record.kind,
                confidence: record.confidence,
                namespace: name(edge.space),
            },
            Operation::Delete { concept, .. } => Request::DeleteConcept {
                namespace: name(concept.space).unwrap_or_default(),
                id: text(concept.id),
            },
            Operation::Query(concept) => Request::QueryConcept {
                concept_id: text(concept.id),
                namespace: name(concept.space),
            },
            Operation::Association { edge, .. } => Request::GetAssociation {
                source_id: text(edge.source),
                target_id: text(edge.target),
                namespace: name(edge.space),
            },
            Operation::Dissociate(edge) => Request::DeleteAssociation {
                source_id: text(edge.source),
                target_id: text(edge.target),
                assoc_type: edge.kind,
                namespace: name(edge.space),
            },
            Operation::Neighbors(Wanted { concept, .. }) => Request::GetNeighbors {
                concept_id: text(concept.id),
                namespace: name(concept.space),
            },
            Operation::Concepts { space, .. } => {
                Request::GetAllConceptIds { namespace: name(*space) }
            }
            Operation::Path(way) => Request::FindPath {
                start_id: text(way.start),
                end_id: text(way.end),
                max_depth: way.max_depth,
                namespace: name(way.space),
            },
            Operation::Search(likeness) => Request::VectorSearch {
                query_vector: &likeness.vector,
                k: likeness.k,
                ef_search: 0,
                namespace: name(likeness.space),
            },
            Operation::Stats => Request::GetStats,
            Operation::Flush => Request::Flush,
            Operation::Health | Operation::Cut => Request::HealthCheck,
        }
    }
}
