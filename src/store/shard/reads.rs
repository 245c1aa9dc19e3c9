//! What a shard is asked, vectors aside: concepts, associations, neighbours, walks.

use sutra_runtime::RegionSlice;
use sutra_wire::{
    ArchivedAssociationRecord, AssociationRecord, Checked, ConceptId, ConceptRecord, Direction,
    Neighbor,
};

use super::Shard;
use crate::graph::{NeighborQuery, NodeNumber, Step, Walk};
use crate::namespaces::NamespaceId;

impl<T> Shard<T> {
    /// A concept's stored archive. Cost: one table lookup, one count on the segment; no copy.
    pub fn concept(&self, namespace: NamespaceId, id: &ConceptId) -> Option<RegionSlice> {
        self.memory.slice(self.graph.table().location(namespace, id)?)
    }

    /// A concept's record, read in place. Cost: one table lookup.
    pub fn record(
        &self,
        namespace: NamespaceId,
        id: &ConceptId,
    ) -> Option<Checked<'_, ConceptRecord>> {
        self.memory.record(self.graph.table().location(namespace, id)?)
    }

    /// The stored archive of an association whose source belongs to this shard: of this kind, or of
    /// the lowest that there is between the two.
    /// Cost: three or four probes, without a kind one look at each association between the two; one
    /// count on the segment; no copy.
    pub fn association(
        &self,
        namespace: NamespaceId,
        source: &ConceptId,
        target: &ConceptId,
        kind: Option<u32>,
    ) -> Option<RegionSlice> {
        self.memory.slice(self.graph.association(namespace, source, target, kind)?)
    }

    /// Appends the ids of a namespace's concepts to `out`, at most `limit`; returns where to go on
    /// (0 is the beginning), `None` at the end. Concepts that are there throughout come exactly
    /// once. A call looks at a bounded number of concepts, so it may return fewer than asked for,
    /// even none.
    pub fn concepts(
        &self,
        namespace: NamespaceId,
        from: u32,
        limit: u32,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        self.graph.concepts(namespace, from, limit, out)
    }

    /// Appends the ids of a namespace's concepts that are not learned and that associations whose
    /// source belongs to this shard start from. As [`Shard::concepts`] else.
    pub fn unlearned_sources(
        &self,
        namespace: NamespaceId,
        from: u32,
        limit: u32,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        self.graph.unlearned_sources(namespace, from, limit, out)
    }

    /// The visible version of an association, read in place.
    pub(super) fn association_record(
        &self,
        namespace: NamespaceId,
        of: &ArchivedAssociationRecord,
    ) -> Option<Checked<'_, AssociationRecord>> {
        let (source, target) = (ConceptId(of.source), ConceptId(of.target));
        self.memory.record(self.graph.association(
            namespace,
            &source,
            &target,
            Some(of.kind.to_native()),
        )?)
    }

    /// Appends a concept's neighbours to `out`; returns the cursor to go on with, 0 at the end.
    /// Edges that are there throughout come exactly once; ones that are added meanwhile may be
    /// missed. A call looks at a bounded number of edges, so it may return fewer than asked for,
    /// even none, and a cursor.
    pub fn neighbors(&self, query: &NeighborQuery<'_>, out: &mut Vec<Neighbor>) -> u64 {
        self.graph.neighbors(query, out)
    }

    /// Whether anything is known of a concept that belongs to this shard: that it is learned, or
    /// that an association leads from it or to it. Cost: one probe.
    pub fn knows(&self, namespace: NamespaceId, id: &ConceptId) -> bool {
        self.graph.knows(namespace, id)
    }

    /// How many ids the shard has heard of: the numbers of its nodes are those below.
    pub fn nodes(&self) -> NodeNumber {
        u32::try_from(self.graph.table().len()).expect("nodes are numbered by 32 bits")
    }

    /// The node of an id, if the shard has heard of it. Cost: one hash, one probe.
    pub fn node(&self, namespace: NamespaceId, id: &ConceptId) -> Option<NodeNumber> {
        self.graph.table().find(namespace, id)
    }

    /// The id of a node, which must be one of this shard's.
    pub fn node_id(&self, node: NodeNumber) -> ConceptId {
        self.graph.table().id_of(node)
    }

    /// Puts a node's associations of this direction into a walk; `from` is what steps will call it.
    /// Only nodes of concepts that belong to this shard have all of theirs.
    pub fn begin_walk(&self, walk: &mut Walk, from: u32, node: NodeNumber, direction: Direction) {
        self.graph.begin_walk(walk, from, node, direction);
    }

    /// Goes on with a walk until it is over or about `limit` associations were looked at. It may
    /// look at more, but at no more than two for each of the walk's nodes. Appends those of the
    /// wanted kinds, all where none is named.
    pub fn continue_walk(&self, walk: &mut Walk, kinds: &[u32], limit: usize, out: &mut Vec<Step>) {
        self.graph.continue_walk(walk, kinds, limit, out);
    }
}
