//! What a shard knows: concepts and associations, as they are looked up and walked.
//!
//! Applied here is what is durable: by a commit that landed, by recovery, or, for in-edges, by the core of an association's source.
//! Applying anything twice, or late, changes nothing: what has the higher sequence stays.

use rkyv::rend::u32_le;
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptRecord, Direction, Neighbor, limits};

use crate::adjacency::{Edge, Edges};
use crate::namespaces::NamespaceId;
use crate::segments::Location;
use crate::table::{Table, Version};

/// An association as its target's shard is told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InEdge {
    /// The namespace of both ends.
    pub namespace: NamespaceId,
    /// Where it starts.
    pub source: ConceptId,
    /// Where it ends; belongs to the shard that is told.
    pub target: ConceptId,
    /// An [`sutra_wire::AssociationKind`].
    pub kind: u32,
    /// From 0 to 1.
    pub confidence: f32,
    /// The entry's.
    pub sequence: u64,
}

/// Asks for a concept's neighbours.
#[derive(Clone, Copy, Debug)]
pub struct NeighborQuery<'a> {
    /// The concept's namespace.
    pub namespace: NamespaceId,
    /// The concept, which need not be learned.
    pub id: ConceptId,
    /// Which associations.
    pub direction: Direction,
    /// Only these kinds; empty for all.
    pub kinds: &'a [u32_le],
    /// Only associations of at least this confidence.
    pub minimum_confidence: f32,
    /// At most so many.
    pub limit: u32,
    /// Where to go on: 0 at first, then what the last call returned.
    pub cursor: u64,
}

impl NeighborQuery<'_> {
    fn wants(&self, edge: &Edge) -> bool {
        edge.confidence >= self.minimum_confidence
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.to_native() == edge.kind))
    }
}

/// The most edges that one call looks at, wanted or not, so that a hub's filtered-out edges can't hold a core for long: about 2 ms.
const MAX_VISITED: u32 = limits::MAX_NEIGHBORS;

/// A place in a node's edges: the out-edges come first. As a cursor it is never 0.
#[derive(Clone, Copy)]
struct Place {
    incoming: bool,
    edge: u32,
}

impl Place {
    fn from_cursor(cursor: u64) -> Option<Self> {
        let place = cursor.checked_sub(1)?;
        (place >> 33 == 0).then_some(Self { incoming: place >> 32 == 1, edge: place as u32 })
    }

    fn cursor(self) -> u64 {
        (u64::from(self.incoming) << 32 | u64::from(self.edge)) + 1
    }
}

/// A shard's concepts and associations.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) table: Table,
    outgoing: Edges,
    incoming: Edges,
}

impl Graph {
    /// Makes a concept's record visible. Its associations stay.
    pub(crate) fn learn(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, ConceptRecord>,
        location: Location<ConceptRecord>,
        sequence: u64,
    ) {
        let version = Version { location, sequence, vector: !record.embedding.is_empty() };
        self.table.set(namespace, &ConceptId(record.id), version);
    }

    /// Makes an association visible at its source; returns what its target's shard needs to know.
    pub(crate) fn associate(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, AssociationRecord>,
        sequence: u64,
    ) -> InEdge {
        let edge = InEdge {
            namespace,
            source: ConceptId(record.source),
            target: ConceptId(record.target),
            kind: record.kind.to_native(),
            confidence: record.confidence.to_native(),
            sequence,
        };
        let source = self.table.find_or_insert(namespace, &edge.source);
        let target = self.table.find_or_insert(namespace, &edge.target);
        self.outgoing.set(source, target, edge.kind, edge.confidence, sequence);
        edge
    }

    /// Makes an association visible at its target.
    pub(crate) fn apply_in_edge(&mut self, edge: &InEdge) {
        let source = self.table.find_or_insert(edge.namespace, &edge.source);
        let target = self.table.find_or_insert(edge.namespace, &edge.target);
        self.incoming.set(target, source, edge.kind, edge.confidence, edge.sequence);
    }

    /// Appends a concept's neighbours to `out`; returns the cursor to go on with, 0 at the end. Edges that are there throughout come exactly
    /// once; ones that are added meanwhile may be missed. A call may return fewer than asked for, even none, and a cursor. A
    /// cursor that makes no sense ends the walk.
    pub(crate) fn neighbors(&self, query: &NeighborQuery<'_>, out: &mut Vec<Neighbor>) -> u64 {
        let Some(node) = self.table.find(query.namespace, &query.id) else { return 0 };
        let at = |incoming: bool, edge: Option<u32>| edge.map(|edge| Place { incoming, edge });
        let first_incoming = || match query.direction {
            Direction::Out => None,
            Direction::Both | Direction::In => at(true, self.incoming.first(node)),
        };
        let mut place = match (query.cursor, query.direction) {
            (0, Direction::In) => first_incoming(),
            (0, _) => at(false, self.outgoing.first(node)).or_else(first_incoming),
            (cursor, _) => Place::from_cursor(cursor),
        };
        let mut found = 0;
        let mut visited = 0;
        while let Some(Place { incoming, edge }) = place {
            if found == query.limit.min(limits::MAX_NEIGHBORS) || visited == MAX_VISITED {
                return Place { incoming, edge }.cursor();
            }
            let edges = if incoming { &self.incoming } else { &self.outgoing };
            let Some((edge, next)) = edges.walk(node, edge) else { return 0 };
            visited += 1;
            if query.wants(edge) {
                found += 1;
                out.push(Neighbor {
                    id: self.table.node(edge.peer).id.0,
                    kind: edge.kind,
                    confidence: edge.confidence,
                    direction: if incoming { Direction::In } else { Direction::Out } as u8,
                });
            }
            place = match at(incoming, next) {
                None if !incoming => first_incoming(),
                next => next,
            };
        }
        0
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
