//! Clients of the old protocol: what they can ask for, as they word it, and what they read.
//!
//! The messages are written and read by the libraries that old clients use, over enums as theirs
//! are. So the product's own reader and writer (`sutra-compat`) are not what checks them.

use rmp_serde::to_vec;
use rmp_serde::to_vec_named;
use serde::{Deserialize, Serialize};
use sutra_wire::{
    AssociationRecord, ConceptId, ConceptRecord, Direction, Health, PathMode, Status,
};

use crate::operation::{Concept, Edge, Likeness, Operation, Wanted, Way};
use crate::plan::Plan;
use crate::random::Random;
use crate::reply::Reply;

/// Bytes of the length before a message.
const PREFIX: usize = 4;

/// How a client's messages are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// MessagePack with fields by name, as the Python clients do.
    Named,
    /// MessagePack with fields in order.
    Arrays,
    /// bincode, as some Rust clients do.
    Bincode,
}

/// In the order of bincode's numbers; the last three have none.
#[derive(Serialize)]
enum Request<'a> {
    LearnConcept {
        concept_id: &'a str,
        content: &'a str,
        embedding: &'a [f32],
        strength: f32,
        confidence: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    LearnAssociation {
        source_id: &'a str,
        target_id: &'a str,
        assoc_type: u32,
        confidence: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    QueryConcept {
        concept_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetNeighbors {
        concept_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    FindPath {
        start_id: &'a str,
        end_id: &'a str,
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
        id: &'a str,
    },
    GetAssociation {
        source_id: &'a str,
        target_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
    GetAllConceptIds {
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
    },
}

/// Likewise.
#[derive(Deserialize)]
enum Answer {
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

impl Shape {
    pub(crate) fn draw(random: &mut Random) -> Shape {
        *random.pick(&[Shape::Named, Shape::Named, Shape::Arrays, Shape::Bincode])
    }

    /// What becomes of an operation where this client asks for it: old clients know no times, no
    /// pages and no directions, and most of them no namespaces.
    pub(crate) fn adapt(self, plan: &Plan, operation: Operation) -> Operation {
        let space = |space| if self == Shape::Named { space } else { 0 };
        let concept = |of: Concept| Concept { space: space(of.space), ..of };
        match operation {
            Operation::Learn(of, mut record) => {
                if space(of.space) != of.space {
                    record.namespace.clone_from(&plan.spaces[0].name);
                    // Which may be of another length there.
                    record.embedding.clear();
                }
                if !plan.is_named(of.id) {
                    record.name.clear();
                }
                (record.created, record.updated) = (0, 0);
                Operation::Learn(concept(of), record)
            }
            Operation::Associate(edge, mut record) => {
                let edge = Edge { space: space(edge.space), ..edge };
                record.namespace.clone_from(&plan.spaces[edge.space].name);
                (record.created, record.updated) = (0, 0);
                Operation::Associate(edge, record)
            }
            Operation::Delete { concept: of, .. } if self == Shape::Bincode => {
                Operation::Query(concept(of))
            }
            Operation::Delete { concept: of, .. } => {
                Operation::Delete { concept: concept(of), is_counted: false }
            }
            Operation::Query(of) => Operation::Query(concept(of)),
            Operation::Association { edge, .. } if self == Shape::Bincode => {
                self.neighbors(Concept { space: edge.space, id: edge.source })
            }
            Operation::Association { edge, .. } => Operation::Association {
                edge: Edge { space: space(edge.space), ..edge },
                any_kind: true,
            },
            Operation::Neighbors(wanted) => self.neighbors(wanted.concept),
            Operation::Concepts { .. } if self == Shape::Bincode => Operation::Stats,
            Operation::Concepts { space: of, .. } => {
                Operation::Concepts { space: space(of), limit: 0 }
            }
            Operation::Path(way) => Operation::Path(Way {
                space: space(way.space),
                direction: Direction::Both,
                alternatives: 1,
                mode: PathMode::Shortest,
                ..way
            }),
            Operation::Search(likeness) if space(likeness.space) != likeness.space => {
                Operation::Stats
            }
            Operation::Search(likeness) => {
                Operation::Search(Likeness { exact: false, near: None, ..likeness })
            }
            Operation::Cut => Operation::Health,
            Operation::Stats | Operation::Flush | Operation::Health => operation,
        }
    }

    fn neighbors(self, of: Concept) -> Operation {
        let space = if self == Shape::Named { of.space } else { 0 };
        Operation::Neighbors(Wanted {
            concept: Concept { space, ..of },
            direction: Direction::Both,
            kinds: Vec::new(),
            minimum_confidence: 0.0,
            limit: 0,
        })
    }

    /// The message of an operation that was adapted.
    pub(crate) fn message(self, plan: &Plan, operation: &Operation) -> Vec<u8> {
        let name = |space: usize| {
            (self == Shape::Named && space > 0).then(|| plan.spaces[space].name.as_str())
        };
        let text = |id: usize| match plan.is_named(id) {
            true => Plan::name(id),
            false => digits(&plan.ids[id]),
        };
        let (one, other);
        let request = match operation {
            Operation::Learn(of, record) => {
                one = text(of.id);
                Request::LearnConcept {
                    concept_id: &one,
                    content: &record.content,
                    embedding: &record.embedding,
                    strength: record.strength,
                    confidence: record.confidence,
                    namespace: name(of.space),
                }
            }
            Operation::Associate(edge, record) => {
                (one, other) = (text(edge.source), text(edge.target));
                Request::LearnAssociation {
                    source_id: &one,
                    target_id: &other,
                    assoc_type: record.kind,
                    confidence: record.confidence,
                    namespace: name(edge.space),
                }
            }
            Operation::Delete { concept, .. } => {
                one = text(concept.id);
                let namespace = name(concept.space).unwrap_or_default();
                Request::DeleteConcept { namespace, id: &one }
            }
            Operation::Query(concept) => {
                one = text(concept.id);
                Request::QueryConcept { concept_id: &one, namespace: name(concept.space) }
            }
            Operation::Association { edge, .. } => {
                (one, other) = (text(edge.source), text(edge.target));
                let namespace = name(edge.space);
                Request::GetAssociation { source_id: &one, target_id: &other, namespace }
            }
            Operation::Neighbors(Wanted { concept, .. }) => {
                one = text(concept.id);
                Request::GetNeighbors { concept_id: &one, namespace: name(concept.space) }
            }
            Operation::Concepts { space, .. } => {
                Request::GetAllConceptIds { namespace: name(*space) }
            }
            Operation::Path(way) => {
                (one, other) = (text(way.start), text(way.end));
                Request::FindPath {
                    start_id: &one,
                    end_id: &other,
                    max_depth: way.max_depth,
                    namespace: name(way.space),
                }
            }
            Operation::Search(likeness) => Request::VectorSearch {
                query_vector: &likeness.vector,
                k: likeness.k,
                ef_search: 0,
                namespace: name(likeness.space),
            },
            Operation::Stats => Request::GetStats,
            Operation::Flush => Request::Flush,
            Operation::Health | Operation::Cut => Request::HealthCheck,
        };
        let body = match self {
            Shape::Named => to_vec_named(&request).map_err(|error| error.to_string()),
            Shape::Arrays => to_vec(&request).map_err(|error| error.to_string()),
            Shape::Bincode => bincode::serialize(&request).map_err(|error| error.to_string()),
        };
        let body = body.expect("texts and numbers can be written into memory");
        let length = u32::try_from(body.len()).expect("a request has some kilobytes");
        [&length.to_be_bytes()[..], &body].concat()
    }

    /// The reply that these bytes begin with, where it has come whole, and its length.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], usize)> {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        Some((bytes.get(PREFIX..PREFIX + length)?, PREFIX + length))
    }

    /// Reads the reply to an operation that was adapted.
    pub(crate) fn read(
        self,
        plan: &Plan,
        operation: &Operation,
        message: &[u8],
    ) -> Result<Reply, String> {
        let answer: Answer = match self {
            Shape::Named | Shape::Arrays => {
                rmp_serde::from_slice(message).map_err(|error| error.to_string())
            }
            Shape::Bincode => bincode::deserialize(message).map_err(|error| error.to_string()),
        }
        .map_err(|error| format!("an old client can't read the reply to {operation}: {error}"))?;
        reply_of(plan, operation, answer)
    }
}

fn reply_of(plan: &Plan, operation: &Operation, answer: Answer) -> Result<Reply, String> {
    let all = |texts: Vec<String>| texts.iter().map(|text| id(text)).collect::<Result<Vec<_>, _>>();
    Ok(match (operation, answer) {
        // It names no status. What is wrong with the disk explains it, or nothing does.
        (_, Answer::Error { message }) => Reply::Refused(Status::StorageFull, message),
        (Operation::Learn(..), Answer::LearnConceptOk { sequence })
        | (Operation::Associate(..), Answer::LearnAssociationOk { sequence }) => {
            Reply::Done(Some(sequence))
        }
        (Operation::Delete { .. }, Answer::DeleteConceptOk { deleted: true })
        | (Operation::Flush, Answer::FlushOk) => Reply::Done(None),
        (Operation::Delete { .. }, Answer::DeleteConceptOk { deleted: false })
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
                Ok::<_, String>(sutra_wire::SearchHit { id: id(&text)?, similarity })
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

fn digits(id: &[u8; 16]) -> String {
    ConceptId(*id).to_string()
}

fn id(text: &str) -> Result<[u8; 16], String> {
    let id = ConceptId::from_digits(text).ok_or_else(|| format!("{text:?} is not an id"))?;
    Ok(id.0)
}
