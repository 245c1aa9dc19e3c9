//! What a vector search asks of the graph, and gets from it: the concepts around one. The features
//! that search vectors and walk the graph know this and not each other.

use sutra_net::ReplyTo;
use sutra_store::NamespaceId;
use sutra_wire::{ConceptId, Status};

use super::names::SearchNumber;

/// A question for the concepts around one.
pub(crate) struct NeighborhoodAsked {
    /// The search that they are for, and the request that waits for it.
    pub(crate) search: SearchNumber,
    pub(crate) to: ReplyTo,
    pub(crate) namespace: NamespaceId,
    pub(crate) around: ConceptId,
    /// At most so many associations away.
    pub(crate) edges: u32,
}

/// The answer.
pub(crate) struct Neighborhood {
    pub(crate) search: SearchNumber,
    /// The concepts, by the core that owns them. Or why they are not known: there are too many, or
    /// nobody waits for the search any more.
    pub(crate) found: Result<Vec<Vec<[u8; 16]>>, (Status, String)>,
}
