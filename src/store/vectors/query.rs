//! What a vector search asks for.

use sutra_wire::{ArchivedConceptRecord, limits};

use crate::namespaces::NamespaceId;

/// The default width of an index search, and the least. At this width every entry was looked for by
/// its own copy (`checks.rs`). At 50, one in 36 of 8,000 vectors with an offset of 20 in each of
/// 128 dimensions was not found by itself.
pub(super) const LEAST_WIDTH: usize = 100;

/// Asks for the concepts of a namespace whose embeddings are most like a vector. All shards share
/// it.
#[derive(Clone, Debug)]
pub struct VectorQuery {
    /// Which namespace.
    pub namespace: NamespaceId,
    /// Finite numbers, as many as the namespace's embeddings have: otherwise nothing is found.
    pub vector: Vec<f32>,
    /// How many to find, at most [`limits::MAX_RESULTS`].
    pub k: u32,
    /// Width of the index search; at least 100 and `k`, and at most [`limits::MAX_SEARCH_WIDTH`] is
    /// taken.
    pub ef: u32,
    /// Only concepts of at least this strength.
    pub minimum_strength: f32,
    /// Only concepts of at least this confidence.
    pub minimum_confidence: f32,
    /// Look at every vector instead of asking the index.
    pub exact: bool,
}

impl VectorQuery {
    pub(super) fn is_filtered(&self) -> bool {
        self.minimum_strength > 0.0 || self.minimum_confidence > 0.0
    }

    pub(super) fn wants(&self, record: &ArchivedConceptRecord) -> bool {
        record.strength.to_native() >= self.minimum_strength
            && record.confidence.to_native() >= self.minimum_confidence
    }

    pub(super) fn k(&self) -> usize {
        self.k.min(limits::MAX_RESULTS) as usize
    }

    pub(super) fn width(&self) -> usize {
        (self.ef.min(limits::MAX_SEARCH_WIDTH) as usize).max(LEAST_WIDTH).max(self.k())
    }

    /// How many of the index's candidates are ordered again by their true vectors: reading one
    /// takes longer than finding it. Of all of WordNet's nearest ten, copies order nearly all among
    /// their first twenty.
    pub(super) fn shortlist(&self) -> usize {
        (2 * self.k()).max(self.width() / 5).min(self.width())
    }
}
