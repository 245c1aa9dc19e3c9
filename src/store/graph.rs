//! What a shard knows: concepts and associations, as they are looked up and walked.
//!
//! Applied here is what is durable: by a commit that landed, by recovery, or, for in-edges, by the
//! core of an association's source. Applying anything twice, or late, changes nothing: what has the
//! higher sequence stays.

mod neighbors;
mod walk;

use std::collections::HashSet;

use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptRecord, limits};

pub use self::neighbors::NeighborQuery;
pub use self::walk::{NodeNumber, Step, Walk};
use crate::adjacency::Edges;
use crate::log_memory::Location;
use crate::marks::Position;
use crate::namespaces::NamespaceId;
use crate::table::Table;

/// Names an association.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeKey {
    /// The namespace of both ends.
    pub namespace: NamespaceId,
    /// Where it starts.
    pub source: ConceptId,
    /// Where it ends.
    pub target: ConceptId,
    /// An [`sutra_wire::AssociationKind`].
    pub kind: u32,
}

/// An association as the shard of its target is told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InEdge {
    /// Which one.
    pub key: EdgeKey,
    /// From 0 to 1; `None` where it was removed.
    pub confidence: Option<f32>,
    /// The sequence of the log entry that stored or removed it.
    pub sequence: u64,
}

/// The most nodes that one call for a namespace's concepts looks at: about 0.1 ms.
const MAX_NODES_VISITED: u32 = limits::MAX_CONCEPTS;

/// A shard's concepts and associations.
#[derive(Default)]
pub(crate) struct Graph {
    table: Table,
    outgoing: Edges<Location<AssociationRecord>>,
    incoming: Edges<()>,
}

impl Graph {
    /// The concepts, to be looked up.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// The namespaces that have a concept or an association here. Cost: a look at each node and
    /// edge.
    pub(crate) fn namespaces(&self) -> HashSet<NamespaceId> {
        let nodes = 0..self.table.len() as u32;
        let learned = nodes.filter(|node| self.table.location_of(*node).is_some());
        let all = learned.chain(self.outgoing.nodes()).chain(self.incoming.nodes());
        all.map(|node| self.table.namespace_of(node)).collect()
    }

    /// All that is visible of what belongs here: who owns it, its sequence, and where its entry
    /// stands in the log. Cost: a look at each node and edge.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (ConceptId, u64, Position)> + '_ {
        let concepts = self.table.records().map(|(id, sequence, at)| (id, sequence, at.entry()));
        let edges = self.outgoing.records();
        let edges =
            edges.map(|(node, sequence, at)| (self.table.id_of(node), sequence, at.entry()));
        concepts.chain(edges)
    }

    /// Makes a concept's record visible. Its associations stay.
    pub(crate) fn learn(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, ConceptRecord>,
        location: Location<ConceptRecord>,
        sequence: u64,
    ) {
        self.table.learn(
            namespace,
            &ConceptId(record.id),
            sequence,
            location,
            !record.embedding.is_empty(),
        );
    }

    /// Makes a concept's deletion visible, its associations aside. Whether it was there.
    pub(crate) fn delete(&mut self, namespace: NamespaceId, id: &ConceptId, sequence: u64) -> bool {
        self.table.delete(namespace, id, sequence)
    }

    /// Where the record of an association lies, at its source: of this kind, or of the lowest that
    /// there is. Cost: three or four probes; without a kind one look at each association between
    /// the two.
    pub(crate) fn association(
        &self,
        namespace: NamespaceId,
        source: &ConceptId,
        target: &ConceptId,
        kind: Option<u32>,
    ) -> Option<Location<AssociationRecord>> {
        let (source, target) =
            (self.table.find(namespace, source)?, self.table.find(namespace, target)?);
        Some(*self.outgoing.get(source, target, kind)?.record())
    }

    /// Appends the ids of a namespace's concepts to `out`, at most `limit`, from node `first` on;
    /// returns the node to go on with, `None` at the end. Concepts that are there throughout come
    /// exactly once. A call may return fewer than asked for, even none.
    pub(crate) fn concepts(
        &self,
        namespace: NamespaceId,
        first: u32,
        limit: u32,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        let is_wanted = |node| self.table.location_of(node).is_some();
        self.table.list_from(namespace, first, limit, MAX_NODES_VISITED, is_wanted, out)
    }

    /// Appends the ids of a namespace's concepts that are not learned and that associations of this
    /// shard start from; as [`Graph::concepts`] else.
    pub(crate) fn unlearned_sources(
        &self,
        namespace: NamespaceId,
        first: u32,
        limit: u32,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        let is_wanted =
            |node| self.table.location_of(node).is_none() && self.outgoing.has_any(node);
        self.table.list_from(namespace, first, limit, MAX_NODES_VISITED, is_wanted, out)
    }

    /// Makes an association visible at its source; returns what its target's shard needs to know.
    pub(crate) fn associate(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, AssociationRecord>,
        location: Location<AssociationRecord>,
        sequence: u64,
    ) -> InEdge {
        let confidence = Some(record.confidence.to_native());
        self.set_outgoing(namespace, record, confidence, location, sequence).0
    }

    /// Makes the removal of an association visible at its source; returns what its target's shard
    /// needs to know, and whether the association was there.
    pub(crate) fn dissociate(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, AssociationRecord>,
        location: Location<AssociationRecord>,
        sequence: u64,
    ) -> (InEdge, bool) {
        self.set_outgoing(namespace, record, None, location, sequence)
    }

    fn set_outgoing(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, AssociationRecord>,
        confidence: Option<f32>,
        location: Location<AssociationRecord>,
        sequence: u64,
    ) -> (InEdge, bool) {
        let (source, target) = (ConceptId(record.source), ConceptId(record.target));
        let key = EdgeKey { namespace, source, target, kind: record.kind.to_native() };
        let from = self.table.find_or_insert(namespace, &source);
        let to = self.table.find_or_insert(namespace, &target);
        let was_there = self.outgoing.set(from, to, key.kind, confidence, sequence, location);
        (InEdge { key, confidence, sequence }, was_there)
    }

    /// Whether anything is known of a concept that belongs to this shard: that it is learned, or
    /// that an association leads from it or to it. Cost: one probe.
    pub(crate) fn knows(&self, namespace: NamespaceId, id: &ConceptId) -> bool {
        self.table.find(namespace, id).is_some_and(|node| {
            self.table.location_of(node).is_some()
                || self.outgoing.has_any(node)
                || self.incoming.has_any(node)
        })
    }

    /// Makes an association, or its removal, visible at its target.
    pub(crate) fn apply_in_edge(&mut self, edge: &InEdge) {
        let EdgeKey { namespace, source, target, kind } = &edge.key;
        let source = self.table.find_or_insert(*namespace, source);
        let target = self.table.find_or_insert(*namespace, target);
        self.incoming.set(target, source, *kind, edge.confidence, edge.sequence, ());
    }

    /// Associations whose source belongs to this shard.
    pub(crate) fn associations(&self) -> u64 {
        self.outgoing.len() as u64
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> u64 {
        self.table.memory() + self.outgoing.memory() + self.incoming.memory()
    }
}

#[cfg(test)]
mod tests;
