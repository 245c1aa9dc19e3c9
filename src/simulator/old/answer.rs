//! What old clients read, as theirs is laid out.

use serde::Deserialize;
use sutra_wire::{AssociationRecord, ConceptId, ConceptRecord, Health, SearchHit, Status};

use crate::operation::Operation;
use crate::plan::Plan;
use crate::reply::Reply;

/// In the order of bincode's numbers, as far as it has any.
#[derive(Deserialize)]
pub(super) enum Answer {
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
        #[serde(rename = "written")]
        _written: u64,
        dropped: u64,
        #[serde(rename = "pending")]
        _pending: u64,
        #[serde(rename = "reconciliations")]
        _reconciliations: u64,
        #[serde(rename = "uptime_seconds")]
        _uptime_seconds: u64,
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
    DeleteConceptOk {
        deleted: bool,
    },
    DeleteAssociationOk {
        deleted: bool,
    },
    GetAssociationOk {
        found: bool,
        source_id: String,
        target_id: String,
        assoc_type: u32,
        confidence: f32,
    },
    GetAllConceptIdsOk {
        concept_ids: Vec<String>,
    },
}

/// What it says; an error where it is the reply to something else.
pub(super) fn reply_of(
    plan: &Plan,
    operation: &Operation,
    answer: Answer,
) -> Result<Reply, String> {
    let all = |texts: Vec<String>| texts.iter().map(|text| id(text)).collect::<Result<Vec<_>, _>>();
    Ok(match (operation, answer) {
        // It names no status. What is wrong with the disk explains it, or nothing does.
        (_, Answer::Error { message }) => Reply::Refused(Status::StorageFull, message),
        (Operation::Learn(..), Answer::LearnConceptOk { sequence })
        | (Operation::Associate(..), Answer::LearnAssociationOk { sequence }) => {
            Reply::Done(Some(sequence))
        }
        (Operation::Delete { .. }, Answer::DeleteConceptOk { deleted: true })
        | (Operation::Dissociate(_), Answer::DeleteAssociationOk { deleted: true })
        | (Operation::Flush, Answer::FlushOk) => Reply::Done(None),
        (Operation::Delete { .. }, Answer::DeleteConceptOk { deleted: false })
        | (Operation::Dissociate(_), Answer::DeleteAssociationOk { deleted: false })
        | (Operation::Query(_), Answer::QueryConceptOk { found: false, .. })
        | (Operation::Association { .. }, Answer::GetAssociationOk { found: false, .. })
        | (Operation::Path(_), Answer::FindPathOk { found: false, .. }) => Reply::NotFound,
        (
            Operation::Query(_),
            Answer::QueryConceptOk { concept_id, content, strength, confidence, .. },
        ) => {
            let id = id(&concept_id)?;
            Reply::OldConcept(Box::new(ConceptRecord {
                id,
                content,
                strength,
                confidence,
                ..ConceptRecord::default()
            }))
        }
        (
            Operation::Association { edge, .. },
            Answer::GetAssociationOk { source_id, target_id, assoc_type, confidence, .. },
        ) => Reply::OldAssociation(Box::new(AssociationRecord {
            source: id(&source_id)?,
            target: id(&target_id)?,
            namespace: plan.spaces[edge.space].name.clone(),
            kind: assoc_type,
            confidence,
            created: 0,
            updated: 0,
        })),
        (Operation::Neighbors(_), Answer::GetNeighborsOk { neighbor_ids }) => {
            Reply::OldNeighbors(all(neighbor_ids)?)
        }
        (Operation::Concepts { .. }, Answer::GetAllConceptIdsOk { concept_ids }) => {
            Reply::Concepts(all(concept_ids)?)
        }
        (Operation::Path(_), Answer::FindPathOk { path, .. }) => Reply::OldPath(all(path)?),
        (Operation::Search(_), Answer::VectorSearchOk { results }) => {
            let hit = |(text, similarity): (String, f32)| {
                Ok::<_, String>(SearchHit { id: id(&text)?, similarity })
            };
            Reply::Hits(results.into_iter().map(hit).collect::<Result<_, _>>()?)
        }
        (Operation::Stats, Answer::StatsOk { concepts, edges, dropped: 0, .. }) => {
            Reply::OldStats { concepts, associations: edges }
        }
        (
            Operation::Health | Operation::Cut,
            Answer::HealthCheckOk { healthy, status, uptime_seconds },
        ) => Reply::Health(Health { healthy, status, uptime: uptime_seconds * 1_000_000 }),
        (operation, _) => return Err(format!("{operation} has the reply of something else")),
    })
}

fn id(text: &str) -> Result<[u8; 16], String> {
    let id = ConceptId::from_digits(text).ok_or_else(|| format!("{text:?} is not an id"))?;
    Ok(id.0)
}
