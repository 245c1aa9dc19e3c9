//! The requests that are not records themselves.

use rkyv::{Archive, Deserialize, Serialize};

use crate::checked::{
    check_at_most, check_confidence, check_id, check_kinds, check_namespace, check_one_of,
    check_strength, check_vector,
};
use crate::{Payload, PayloadError, limits};

/// Names a concept: what query and delete take.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ConceptKey {
    /// The 16 bytes of its [`crate::ConceptId`].
    pub id: [u8; 16],
    /// Its namespace; the empty one is the default.
    pub namespace: String,
}

/// Names an association: what reading or removing one takes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct AssociationKey {
    /// The 16 bytes of the source's [`crate::ConceptId`].
    pub source: [u8; 16],
    /// The 16 bytes of the target's [`crate::ConceptId`].
    pub target: [u8; 16],
    /// The namespace of both ends.
    pub namespace: String,
    /// An [`crate::AssociationKind`]. Without it the association of the lowest kind is found; one
    /// that is to be removed needs it.
    pub kind: Option<u32>,
}

/// Asks for the concepts of a namespace, page by page. What is there from the first page to the
/// last is listed exactly once; what is learned or deleted meanwhile may be listed or not.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ConceptsRequest {
    /// The namespace.
    pub namespace: String,
    /// At most this many, 0 for as many as a reply may hold ([`limits::MAX_CONCEPTS`]).
    pub limit: u32,
    /// Where to go on: 0 at first, then the last reply's cursor.
    pub cursor: u64,
}

/// Which way associations are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Direction {
    /// From either end.
    #[default]
    Both = 0,
    /// From source to target.
    Out = 1,
    /// From target to source.
    In = 2,
}

impl Direction {
    /// The direction of this number on the wire, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Both, Self::Out, Self::In].into_iter().find(|direction| *direction as u8 == number)
    }
}

/// Asks for a concept's neighbours.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct NeighborsRequest {
    /// The concept.
    pub id: [u8; 16],
    /// Its namespace.
    pub namespace: String,
    /// Only associations of these kinds; empty for all.
    pub kinds: Vec<u32>,
    /// Only associations of at least this confidence.
    pub minimum_confidence: f32,
    /// At most this many, 0 for as many as a reply may hold ([`limits::MAX_NEIGHBORS`]).
    pub limit: u32,
    /// Where to go on: 0 at first, then the last reply's cursor.
    pub cursor: u64,
    /// A [`Direction`].
    pub direction: u8,
}

/// Which path is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PathMode {
    /// The one with the fewest associations.
    #[default]
    Shortest = 0,
    /// The one whose product of confidences is greatest.
    MostConfident = 1,
}

/// Asks how two concepts are connected.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct PathRequest {
    /// Where to start.
    pub start: [u8; 16],
    /// Where to arrive.
    pub end: [u8; 16],
    /// The namespace of both.
    pub namespace: String,
    /// Only associations of these kinds; empty for all.
    pub kinds: Vec<u32>,
    /// At most this many associations long.
    pub max_depth: u32,
    /// How many paths to return at most; 0 is taken for 1. Alternatives are as short as the
    /// shortest path; there are none to the most confident one.
    pub alternatives: u32,
    /// How many concepts the search may visit, 0 for [`limits::DEFAULT_VISITED`], at most
    /// [`limits::MAX_VISITED`]. A further way to a concept, kept for an alternative or because it
    /// is more confident, counts like a concept.
    pub max_visited: u32,
    /// A [`Direction`].
    pub direction: u8,
    /// A [`PathMode`].
    pub mode: u8,
}

/// A neighbourhood: the concepts within this many associations of one.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct Near {
    /// The id of the concept in the middle of the neighbourhood.
    pub id: [u8; 16],
    /// How many associations the neighbourhood reaches.
    pub edges: u32,
}

/// Asks for the concepts whose embeddings are most like a vector, by cosine similarity.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct SearchRequest {
    /// The namespace to search.
    pub namespace: String,
    /// The vector; as long as the namespace's embeddings.
    pub vector: Vec<f32>,
    /// How many to return.
    pub k: u32,
    /// Width of the index search; the server takes 100 where it is less, 0 included.
    pub ef_search: u32,
    /// Only concepts of at least this strength.
    pub minimum_strength: f32,
    /// Only concepts of at least this confidence.
    pub minimum_confidence: f32,
    /// Only concepts of this neighbourhood.
    pub near: Option<Near>,
    /// Scan every vector instead of asking the index.
    pub exact: bool,
}

impl Payload for ConceptKey {
    const NAME: &'static str = "concept key";

    fn check(key: &ArchivedConceptKey) -> Result<(), PayloadError> {
        check_id("id", &key.id)?;
        check_namespace(&key.namespace)
    }
}

impl Payload for AssociationKey {
    const NAME: &'static str = "association key";

    fn check(key: &ArchivedAssociationKey) -> Result<(), PayloadError> {
        check_id("source", &key.source)?;
        check_id("target", &key.target)?;
        check_namespace(&key.namespace)
    }
}

impl Payload for ConceptsRequest {
    const NAME: &'static str = "concepts request";

    fn check(request: &ArchivedConceptsRequest) -> Result<(), PayloadError> {
        check_namespace(&request.namespace)?;
        check_at_most("limit", request.limit.to_native(), limits::MAX_CONCEPTS)
    }
}

impl Payload for NeighborsRequest {
    const NAME: &'static str = "neighbors request";

    fn check(request: &ArchivedNeighborsRequest) -> Result<(), PayloadError> {
        check_id("id", &request.id)?;
        check_namespace(&request.namespace)?;
        check_kinds(&request.kinds)?;
        check_confidence("minimum_confidence", request.minimum_confidence.to_native())?;
        check_at_most("limit", request.limit.to_native(), limits::MAX_NEIGHBORS)?;
        check_one_of("direction", request.direction, 3)
    }
}

impl Payload for PathRequest {
    const NAME: &'static str = "path request";

    fn check(request: &ArchivedPathRequest) -> Result<(), PayloadError> {
        check_id("start", &request.start)?;
        check_id("end", &request.end)?;
        check_namespace(&request.namespace)?;
        check_kinds(&request.kinds)?;
        check_at_most("alternatives", request.alternatives.to_native(), limits::MAX_ALTERNATIVES)?;
        check_at_most("max_visited", request.max_visited.to_native(), limits::MAX_VISITED)?;
        check_one_of("direction", request.direction, 3)?;
        check_one_of("mode", request.mode, 2)?;
        if request.mode == PathMode::MostConfident as u8 && request.alternatives.to_native() > 1 {
            let message = "must be 1 where the most confident path is asked for: \
                           alternatives are for shortest paths";
            return Err(PayloadError::argument("alternatives", message));
        }
        Ok(())
    }
}

impl Payload for SearchRequest {
    const NAME: &'static str = "search request";

    fn check(request: &ArchivedSearchRequest) -> Result<(), PayloadError> {
        check_namespace(&request.namespace)?;
        check_vector("vector", &request.vector)?;
        check_at_most("k", request.k.to_native(), limits::MAX_RESULTS)?;
        check_at_most("ef_search", request.ef_search.to_native(), limits::MAX_SEARCH_WIDTH)?;
        check_strength("minimum_strength", request.minimum_strength.to_native())?;
        check_confidence("minimum_confidence", request.minimum_confidence.to_native())?;
        request.near.as_ref().map_or(Ok(()), |near| check_id("near", &near.id))
    }
}
