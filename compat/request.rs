//! A legacy request, whatever encoding it came in, and the archive of the native request that it
//! becomes. Texts and vectors still lie in the message and go into the archive from there.

pub(crate) mod bincode;
pub(crate) mod msgpack;

use sutra_wire::{
    AssociationKeyRef, AssociationRecordRef, ConceptId, ConceptKeyRef, ConceptRecordRef,
    ConceptsRequestRef, Direction, FrameBuffer, IdRule, NeighborsRequestRef, Numbers, Opcode,
    PathMode, PathRequestRef, SearchRequestRef, archive, limits,
};

use crate::error::CompatError;
use crate::ids;
use crate::vector::Vector;

/// What old clients get where they don't say: their own defaults.
pub(crate) const STRENGTH: f32 = 1.0;
pub(crate) const CONFIDENCE: f32 = 1.0;
pub(crate) const MAX_DEPTH: u32 = 6;
pub(crate) const K: u32 = 10;
pub(crate) const EF_SEARCH: u32 = 50;

/// An operation that is served, with its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    LearnConcept {
        concept_id: &'a str,
        content: &'a str,
        embedding: Vector<'a>,
        strength: f32,
        confidence: f32,
    },
    LearnAssociation {
        source_id: &'a str,
        target_id: &'a str,
        assoc_type: u32,
        confidence: f32,
    },
    QueryConcept {
        concept_id: &'a str,
    },
    GetNeighbors {
        concept_id: &'a str,
    },
    FindPath {
        start_id: &'a str,
        end_id: &'a str,
        max_depth: u32,
    },
    VectorSearch {
        query_vector: Vector<'a>,
        k: u32,
        ef_search: u32,
    },
    DeleteConcept {
        id: &'a str,
    },
    DeleteAssociation {
        source_id: &'a str,
        target_id: &'a str,
        assoc_type: u32,
    },
    GetAssociation {
        source_id: &'a str,
        target_id: &'a str,
    },
    GetAllConceptIds,
    GetStats,
    Flush,
    HealthCheck,
}

/// The nearest number that a record may have. The old servers took any, and services compute theirs
/// in floats, whose sums pass a bound by a little. What is not finite stays, and is refused with
/// the record.
fn nearest(number: f32, most: f32) -> f32 {
    if number.is_finite() { number.clamp(0.0, most) } else { number }
}

/// Makes room for an archive at once, rather than in steps that double.
fn reserve(out: &mut FrameBuffer, texts: usize, vector: &Vector<'_>) {
    // More than any root and its padding take.
    const ROOT: usize = 256;
    out.reserve_exact(texts + vector.count() * size_of::<f32>() + ROOT);
}

impl Request<'_> {
    /// Appends the native request's archive to `out`, which is empty.
    pub(crate) fn archive(
        &self,
        namespace: &str,
        rule: IdRule,
        out: &mut FrameBuffer,
    ) -> Result<Opcode, CompatError> {
        match *self {
            Request::LearnConcept { concept_id, content, embedding, strength, confidence } => {
                let id = ids::read(rule, "concept_id", concept_id)?;
                let name =
                    if ConceptId::from_digits(concept_id).is_some() { "" } else { concept_id };
                let (created, updated) = (0, 0);
                let record = ConceptRecordRef {
                    id,
                    namespace,
                    name,
                    content,
                    embedding,
                    strength: nearest(strength, f32::MAX),
                    confidence: nearest(confidence, 1.0),
                    created,
                    updated,
                };
                reserve(out, namespace.len() + name.len() + content.len(), &embedding);
                archive(out, &record);
                Ok(Opcode::Learn)
            }
            Request::LearnAssociation { source_id, target_id, assoc_type: kind, confidence } => {
                let (source, target) = (
                    ids::read(rule, "source_id", source_id)?,
                    ids::read(rule, "target_id", target_id)?,
                );
                let (confidence, created, updated) = (nearest(confidence, 1.0), 0, 0);
                archive(
                    out,
                    &AssociationRecordRef {
                        source,
                        target,
                        namespace,
                        kind,
                        confidence,
                        created,
                        updated,
                    },
                );
                Ok(Opcode::Associate)
            }
            Request::QueryConcept { concept_id } => {
                archive(
                    out,
                    &ConceptKeyRef { id: ids::read(rule, "concept_id", concept_id)?, namespace },
                );
                Ok(Opcode::Query)
            }
            Request::DeleteConcept { id: text } => {
                archive(out, &ConceptKeyRef { id: ids::read(rule, "id", text)?, namespace });
                Ok(Opcode::Delete)
            }
            Request::DeleteAssociation { source_id, target_id, assoc_type } => {
                let (source, target) = (
                    ids::read(rule, "source_id", source_id)?,
                    ids::read(rule, "target_id", target_id)?,
                );
                let kind = Some(assoc_type);
                archive(out, &AssociationKeyRef { source, target, namespace, kind });
                Ok(Opcode::Dissociate)
            }
            Request::GetAssociation { source_id, target_id } => {
                let (source, target) = (
                    ids::read(rule, "source_id", source_id)?,
                    ids::read(rule, "target_id", target_id)?,
                );
                archive(out, &AssociationKeyRef { source, target, namespace, kind: None });
                Ok(Opcode::Association)
            }
            Request::GetAllConceptIds => {
                archive(out, &ConceptsRequestRef { namespace, limit: 0, cursor: 0 });
                Ok(Opcode::Concepts)
            }
            Request::GetNeighbors { concept_id } => {
                let request = NeighborsRequestRef {
                    id: ids::read(rule, "concept_id", concept_id)?,
                    namespace,
                    kinds: &[],
                    minimum_confidence: 0.0,
                    limit: 0,
                    cursor: 0,
                    direction: Direction::Both as u8,
                };
                archive(out, &request);
                Ok(Opcode::Neighbors)
            }
            Request::FindPath { start_id, end_id, max_depth } => {
                let request = PathRequestRef {
                    start: ids::read(rule, "start_id", start_id)?,
                    end: ids::read(rule, "end_id", end_id)?,
                    namespace,
                    kinds: &[],
                    max_depth,
                    alternatives: 1,
                    max_visited: 0,
                    direction: Direction::Both as u8,
                    mode: PathMode::Shortest as u8,
                };
                archive(out, &request);
                Ok(Opcode::Path)
            }
            Request::VectorSearch { query_vector, k, ef_search } => {
                let request = SearchRequestRef {
                    namespace,
                    vector: query_vector,
                    k,
                    // A width and no result: wider than the widest is answered by the widest.
                    ef_search: ef_search.min(limits::MAX_SEARCH_WIDTH),
                    minimum_strength: 0.0,
                    minimum_confidence: 0.0,
                    near: None,
                    exact: false,
                };
                reserve(out, namespace.len(), &query_vector);
                archive(out, &request);
                Ok(Opcode::Search)
            }
            Request::GetStats => Ok(Opcode::Stats),
            Request::Flush => Ok(Opcode::Flush),
            Request::HealthCheck => Ok(Opcode::Health),
        }
    }
}
