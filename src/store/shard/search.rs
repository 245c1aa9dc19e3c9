//! A shard's vector searches, and the jobs on its indexes.
//!
//! The caller runs what [`Shard::next_index_job`] gives on a worker thread, and brings back its
//! end. It drives a search slice by slice, with other work in between.

use std::sync::Arc;

use super::Shard;
use crate::vectors::{IndexJob, Indexed, Records, SearchProgress, VectorQuery, VectorSearch};

impl<T> Shard<T> {
    /// Begins a search for the concepts of this shard whose embeddings are most like a vector.
    /// `allowed`: only these concepts, of which those of other shards are passed over. Finds
    /// nothing where the namespace has no vectors here, or ones of another dimension.
    /// Cost: a copy of the vector; with filters a look at 256 records.
    pub fn begin_search(
        &self,
        query: Arc<VectorQuery>,
        allowed: Option<Vec<[u8; 16]>>,
    ) -> VectorSearch {
        self.vectors.begin(query, allowed, Records::of(self.graph.table(), &self.memory))
    }

    /// Does a slice of a search: about 0.15 ms of scanning, or an index search, which is one piece.
    /// After [`SearchProgress::Waits`] it is to be called again after the next [`Shard::indexed`].
    pub fn advance_search(&mut self, search: &mut VectorSearch) -> SearchProgress {
        let records = Records::of(self.graph.table(), &self.memory);
        self.vectors.advance(search, records, &*self.clock)
    }

    /// The next job on the vector indexes, if there is one and none is under way; its end goes to
    /// [`Shard::indexed`]. Where the store is `stopping`, these are only checkpoints that are worth
    /// it, to be run until there are no more. Cost: what is to be inserted is copied, some 20 µs.
    pub fn next_index_job(&mut self, stopping: bool) -> Option<IndexJob> {
        let records = Records::of(self.graph.table(), &self.memory);
        self.vectors.next_job(&records, &self.clock, self.last_sequence, stopping)
    }

    /// The end of an [`IndexJob`].
    pub fn indexed(&mut self, indexed: Indexed) {
        self.vectors.indexed(indexed, &*self.clock);
    }

    /// Whether an [`IndexJob`] is under way.
    pub fn is_indexing(&self) -> bool {
        self.vectors.is_working()
    }

    /// Whether that is one that writes a checkpoint, which may take seconds.
    pub fn is_saving_index(&self) -> bool {
        self.vectors.is_saving()
    }
}
