//! What a shard knows: concepts and associations, as they are looked up and walked.
//!
//! Applied here is what is durable: by a commit that landed, by recovery, or, for in-edges, by the
//! core of an association's source. Applying anything twice, or late, changes nothing: what has the
//! higher sequence stays.

use std::collections::HashSet;

use rkyv::rend::u32_le;
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptRecord, Direction, Neighbor, limits};

use crate::adjacency::{At, Edges};
use crate::namespaces::NamespaceId;
use crate::segments::Location;
use crate::table::{Stored, Table, Version};

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
    fn wants(&self, kind: u32, confidence: f32) -> bool {
        confidence >= self.minimum_confidence
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted.to_native() == kind))
    }
}

/// The most edges that one call looks at, wanted or not, so that a hub's filtered-out edges hold a
/// core no longer than a page of wanted ones: about 0.2 ms.
const MAX_VISITED: u32 = limits::MAX_NEIGHBORS;

/// The most nodes that one call for a namespace's concepts looks at: about 0.1 ms.
const MAX_NODES_VISITED: u32 = limits::MAX_CONCEPTS;

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
    pub(crate) outgoing: Edges<Location<AssociationRecord>>,
    pub(crate) incoming: Edges<()>,
}

impl Graph {
    /// The namespaces that have a concept or an association here. Cost: a look at each node and
    /// edge.
    pub(crate) fn namespaces(&self) -> HashSet<NamespaceId> {
        let nodes = 0..self.table.len() as u32;
        let learned = nodes.filter(|node| self.table.location_of(*node).is_some());
        let all = learned.chain(self.outgoing.nodes()).chain(self.incoming.nodes());
        all.map(|node| self.table.node(node).namespace).collect()
    }

    /// Makes a concept's record visible. Its associations stay.
    pub(crate) fn learn(
        &mut self,
        namespace: NamespaceId,
        record: &Checked<'_, ConceptRecord>,
        location: Location<ConceptRecord>,
        sequence: u64,
    ) {
        let stored = Stored { location, vector: !record.embedding.is_empty() };
        self.table.set(namespace, &ConceptId(record.id), Version { sequence, record: Some(stored) });
    }

    /// Makes a concept's deletion visible, its associations aside. Whether it was there.
    pub(crate) fn delete(&mut self, namespace: NamespaceId, id: &ConceptId, sequence: u64) -> bool {
        self.table.set(namespace, id, Version { sequence, record: None })
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
        let (source, target) = (self.table.find(namespace, source)?, self.table.find(namespace, target)?);
        Some(self.outgoing.get(source, target, kind)?.record)
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
        self.table.concepts_from(namespace, first, limit, MAX_NODES_VISITED, out)
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
            self.table.location_of(node).is_some() || self.outgoing.has_any(node) || self.incoming.has_any(node)
        })
    }

    /// Makes an association, or its removal, visible at its target.
    pub(crate) fn apply_in_edge(&mut self, edge: &InEdge) {
        let EdgeKey { namespace, source, target, kind } = &edge.key;
        let source = self.table.find_or_insert(*namespace, source);
        let target = self.table.find_or_insert(*namespace, target);
        self.incoming.set(target, source, *kind, edge.confidence, edge.sequence, ());
    }

    /// Appends a concept's neighbours to `out`; returns the cursor to go on with, 0 at the end.
    /// Edges that are there throughout come exactly once; ones that are added meanwhile may be
    /// missed. A call may return fewer than asked for, even none, and a cursor. A cursor that makes
    /// no sense ends the walk. An association of the concept with itself is one edge: of both
    /// directions it comes as one that leads out.
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
            let Some(At { peer, kind, confidence, next }) = self.step(node, Place { incoming, edge }) else { return 0 };
            visited += 1;
            let is_seen = incoming && peer == node && query.direction == Direction::Both;
            if let Some(confidence) = confidence.filter(|confidence| !is_seen && query.wants(kind, *confidence)) {
                found += 1;
                out.push(Neighbor {
                    id: self.table.node(peer).id.0,
                    kind,
                    confidence,
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

    /// The edge at a place of a node; `None` where there is none.
    fn step(&self, node: u32, place: Place) -> Option<At> {
        match place.incoming {
            true => self.incoming.walk(node, place.edge),
            false => self.outgoing.walk(node, place.edge),
        }
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HUB: ConceptId = ConceptId([1; 16]);

    fn id(number: u32) -> ConceptId {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&number.to_le_bytes());
        ConceptId(id)
    }

    fn associate(
        graph: &mut Graph,
        source: ConceptId,
        target: ConceptId,
        kind: u32,
        confidence: f32,
        sequence: u64,
    ) -> InEdge {
        let record =
            AssociationRecord { source: source.0, target: target.0, kind, confidence, ..AssociationRecord::default() };
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap();
        // SAFETY: these tests never read what lies there.
        let location = unsafe { Location::new(0, 0, 0) };
        graph.associate(NamespaceId::DEFAULT, &Checked::new(&bytes).unwrap(), location, sequence)
    }

    fn query(id: ConceptId, direction: Direction, limit: u32) -> NeighborQuery<'static> {
        NeighborQuery {
            namespace: NamespaceId::DEFAULT,
            id,
            direction,
            kinds: &[],
            minimum_confidence: 0.0,
            limit,
            cursor: 0,
        }
    }

    /// All pages, and how many there were.
    fn pages(graph: &Graph, mut query: NeighborQuery<'_>) -> (Vec<Neighbor>, usize) {
        let (mut all, mut pages) = (Vec::new(), 0);
        loop {
            query.cursor = graph.neighbors(&query, &mut all);
            pages += 1;
            if query.cursor == 0 {
                return (all, pages);
            }
        }
    }

    #[test]
    fn a_hub_is_read_in_pages_each_edge_once_while_others_are_added() {
        let mut graph = Graph::default();
        for number in 0..1000 {
            let edge = associate(&mut graph, HUB, id(number), 0, 0.5, u64::from(number) + 1);
            let key = EdgeKey { source: edge.key.target, target: edge.key.source, ..edge.key };
            let back = InEdge { key, ..edge };
            graph.apply_in_edge(&back);
        }
        let mut query = query(HUB, Direction::Both, 64);
        let mut seen = Vec::new();
        loop {
            let before = seen.len();
            query.cursor = graph.neighbors(&query, &mut seen);
            assert!(seen.len() - before <= 64);
            if query.cursor == 0 {
                break;
            }
            associate(&mut graph, HUB, id(1_000_000 + seen.len() as u32), 0, 0.5, 1_000_000 + seen.len() as u64);
        }
        for direction in [Direction::Out, Direction::In] {
            let mut ids: Vec<_> =
                seen.iter().filter(|neighbor| neighbor.direction == direction as u8).map(|n| n.id).collect();
            ids.sort_unstable();
            let mut expected: Vec<_> = (0..1000).map(|number| id(number).0).collect();
            expected.sort_unstable();
            assert_eq!(ids, expected, "{direction:?}");
        }
    }

    #[test]
    fn a_page_that_ends_with_the_last_edge_may_be_followed_by_an_empty_one() {
        let mut graph = Graph::default();
        for number in 0..4 {
            associate(&mut graph, HUB, id(number), 0, 0.5, u64::from(number) + 1);
        }
        let (all, pages) = pages(&graph, query(HUB, Direction::Both, 2));
        assert_eq!((all.len(), pages), (4, 2));
    }

    #[test]
    fn edges_are_filtered_by_kind_and_confidence() {
        let mut graph = Graph::default();
        for (number, (kind, confidence)) in (0..).zip([(0, 0.1), (0, 0.9), (3, 0.9), (7, 1.0)]) {
            associate(&mut graph, HUB, id(number), kind, confidence, u64::from(number) + 1);
        }
        let kinds = [u32_le::from_native(0), u32_le::from_native(7)];
        let query = NeighborQuery { kinds: &kinds, minimum_confidence: 0.5, ..query(HUB, Direction::Out, 100) };
        let mut found: Vec<_> =
            pages(&graph, query).0.iter().map(|neighbor| (neighbor.kind, neighbor.confidence)).collect();
        found.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(found, [(0, 0.9), (7, 1.0)]);
    }

    #[test]
    fn one_call_looks_at_a_bounded_number_of_edges() {
        let mut graph = Graph::default();
        for number in 0..MAX_VISITED + 10 {
            let confidence = if number < 5 { 1.0 } else { 0.0 };
            associate(&mut graph, HUB, id(number), 0, confidence, u64::from(number) + 1);
        }
        let query = NeighborQuery { minimum_confidence: 0.5, ..query(HUB, Direction::Out, 100) };
        let mut none = Vec::new();
        assert_ne!(graph.neighbors(&query, &mut none), 0);
        assert_eq!(none, []);
        let (all, pages) = pages(&graph, query);
        assert_eq!((all.len(), pages), (5, 2));
    }

    #[test]
    fn an_association_with_itself_is_one_whichever_way_it_is_looked_at() {
        let mut graph = Graph::default();
        for kind in [2, 7] {
            let edge = associate(&mut graph, HUB, HUB, kind, 0.5, u64::from(kind));
            graph.apply_in_edge(&edge);
        }
        for (asked, shown) in
            [(Direction::Both, Direction::Out), (Direction::Out, Direction::Out), (Direction::In, Direction::In)]
        {
            for limit in [1, 2, 10] {
                let (all, _) = pages(&graph, query(HUB, asked, limit));
                let seen: Vec<_> =
                    all.iter().map(|neighbor| (neighbor.id, neighbor.kind, neighbor.direction)).collect();
                assert_eq!(seen, [7, 2].map(|kind| (HUB.0, kind, shown as u8)), "{asked:?}, {limit}");
            }
        }
    }

    #[test]
    fn known_is_what_is_learned_or_has_an_association_that_was_not_removed() {
        let mut graph = Graph::default();
        let knows = |graph: &Graph, id: &ConceptId| graph.knows(NamespaceId::DEFAULT, id);
        assert!(!knows(&graph, &HUB));
        let edge = associate(&mut graph, HUB, id(1), 2, 0.5, 1);
        assert!(knows(&graph, &HUB) && !graph.knows(NamespaceId::from_number(1), &HUB));
        assert!(!knows(&graph, &id(1)), "its shard was not told yet");
        graph.apply_in_edge(&edge);
        assert!(knows(&graph, &id(1)));
        graph.apply_in_edge(&InEdge { confidence: None, sequence: 2, ..edge });
        assert!(!knows(&graph, &id(1)), "its only association was removed");
    }

    #[test]
    fn an_in_edge_that_comes_again_or_late_changes_nothing() {
        let mut graph = Graph::default();
        let key = EdgeKey { namespace: NamespaceId::DEFAULT, source: id(1), target: HUB, kind: 0 };
        let edge = InEdge { key, confidence: Some(0.75), sequence: 9 };
        graph.apply_in_edge(&edge);
        graph.apply_in_edge(&edge);
        graph.apply_in_edge(&InEdge { confidence: Some(0.1), sequence: 8, ..edge });
        let (all, _) = pages(&graph, query(HUB, Direction::In, 10));
        assert_eq!(all.iter().map(|neighbor| neighbor.confidence).collect::<Vec<_>>(), [0.75]);
        assert_eq!(graph.associations(), 0, "it belongs to the source's shard");
        graph.apply_in_edge(&InEdge { confidence: None, sequence: 10, ..edge });
        graph.apply_in_edge(&edge);
        assert_eq!(pages(&graph, query(HUB, Direction::In, 10)).0, []);
    }

    #[test]
    fn a_cursor_that_makes_no_sense_ends_the_walk() {
        let mut graph = Graph::default();
        associate(&mut graph, HUB, id(1), 0, 0.5, 1);
        associate(&mut graph, id(2), id(1), 0, 0.5, 2);
        for cursor in [2, 3, 1 << 32, (1 << 32) + 1, 1 << 33, u64::MAX] {
            let mut none = Vec::new();
            assert_eq!(graph.neighbors(&NeighborQuery { cursor, ..query(HUB, Direction::Both, 10) }, &mut none), 0);
            assert_eq!(none, [], "cursor {cursor}");
        }
    }
}
