//! Associations as they are walked: out-edges and in-edges of nodes.
//!
//! Edges are 32 bytes each (48 where they say where their record lies), linked per node, newest
//! first. The first edge between two nodes is found by (node, peer) in one index. Those of further
//! kinds are found by (node, peer, kind) in another. So learning one again or asking for one costs
//! the same at a hub as anywhere. The two directions are two [`Edges`].
//!
//! An edge that is removed stays where it is, unseen. So a walk that stopped there goes on, and an
//! older version that comes late finds the removal's sequence. Learning the association again makes
//! the edge visible again.

use crate::hash_index::HashIndex;
use crate::slab::Slab;

/// No edge.
const END: u32 = u32::MAX;
/// What stands for the confidence of an edge that was removed: others are 0 to 1.
const REMOVED: f32 = -1.0;

/// One association seen from one of its ends, and what is kept of it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge<R> {
    /// The end that it is seen from.
    node: u32,
    /// The other one.
    peer: u32,
    kind: u32,
    confidence: f32,
    /// Of the entry that said so last.
    sequence: u64,
    /// The node's next edge.
    next: u32,
    /// An edge of another kind between the same two.
    sibling: u32,
    record: R,
}

impl<R> Edge<R> {
    /// Where its record lies, or whatever else is kept of it.
    pub(crate) fn record(&self) -> &R {
        &self.record
    }

    /// Its confidence; `None` where it was removed.
    fn confidence(&self) -> Option<f32> {
        Some(self.confidence).filter(|confidence| *confidence != REMOVED)
    }
}

/// What a walk needs of an edge, whatever else is kept of it.
pub(crate) struct At {
    pub(crate) peer: u32,
    pub(crate) kind: u32,
    /// `None` where it was removed.
    pub(crate) confidence: Option<f32>,
    /// The node's next edge.
    pub(crate) next: Option<u32>,
}

impl At {
    fn of<R>(edge: &Edge<R>) -> Self {
        let next = Some(edge.next).filter(|next| *next != END);
        Self { peer: edge.peer, kind: edge.kind, confidence: edge.confidence(), next }
    }
}

/// What a node has of one direction.
#[derive(Clone, Copy)]
struct Head {
    /// The node's newest edge of this direction.
    first: u32,
    /// How many are there, removed ones not counted.
    count: u32,
}

/// All edges of one direction.
pub(crate) struct Edges<R> {
    edges: Slab<Edge<R>>,
    /// Of each node; nodes beyond have no edges.
    heads: Slab<Head>,
    /// The first edge between two nodes.
    pairs: HashIndex,
    /// The edges of further kinds between them.
    further: HashIndex,
    /// Edges that are not removed.
    count: usize,
}

impl<R> Default for Edges<R> {
    fn default() -> Self {
        Self {
            edges: Slab::default(),
            heads: Slab::default(),
            pairs: HashIndex::default(),
            further: HashIndex::default(),
            count: 0,
        }
    }
}

impl<R> Edges<R> {
    /// The first edge between two nodes. Cost: one hash, one probe.
    fn between(&self, node: u32, peer: u32) -> Option<u32> {
        self.pairs.find(self.pairs.hash(&(node, peer)), |edge| {
            let edge = &self.edges[edge];
            (edge.node, edge.peer) == (node, peer)
        })
    }

    /// The edge of this kind between the same two nodes as `pair`, their first. Cost: one hash and
    /// one probe where there are several.
    fn of_kind(&self, pair: u32, kind: u32) -> Option<u32> {
        let &Edge { node, peer, kind: first, sibling, .. } = &self.edges[pair];
        if first == kind || sibling == END {
            return Some(pair).filter(|_| first == kind);
        }
        self.further.find(self.further.hash(&(node, peer, kind)), |edge| {
            let edge = &self.edges[edge];
            (edge.node, edge.peer, edge.kind) == (node, peer, kind)
        })
    }

    /// An edge, if there is one: of this kind, or of the lowest that there is. Cost: a probe or
    /// two; without a kind one look at each edge between the two.
    pub(crate) fn get(&self, node: u32, peer: u32, kind: Option<u32>) -> Option<&Edge<R>> {
        let pair = self.between(node, peer)?;
        if let Some(kind) = kind {
            return self
                .of_kind(pair, kind)
                .map(|edge| &self.edges[edge])
                .filter(|edge| edge.confidence().is_some());
        }
        let siblings =
            std::iter::successors(self.edges.get(pair), |edge| self.edges.get(edge.sibling));
        siblings.filter(|edge| edge.confidence().is_some()).min_by_key(|edge| edge.kind)
    }

    /// Adds an edge, brings it up to date or, without a confidence, removes it, unless what is
    /// known is newer. Whether it was there before. Allocates only as it grows.
    pub(crate) fn set(
        &mut self,
        node: u32,
        peer: u32,
        kind: u32,
        confidence: Option<f32>,
        sequence: u64,
        record: R,
    ) -> bool {
        let is_there = confidence.is_some();
        let confidence = confidence.unwrap_or(REMOVED);
        let pair = self.between(node, peer);
        if let Some(edge) =
            pair.and_then(|pair| self.of_kind(pair, kind)).map(|edge| &mut self.edges[edge])
        {
            let was_there = edge.confidence != REMOVED;
            if edge.sequence < sequence {
                (edge.confidence, edge.sequence, edge.record) = (confidence, sequence, record);
                self.count = self.count - usize::from(was_there) + usize::from(is_there);
                if was_there != is_there {
                    let count = &mut self.heads[node].count;
                    *count = *count - u32::from(was_there) + u32::from(is_there);
                }
            }
            return was_there;
        }
        while self.heads.len() <= node as usize {
            self.heads.push(Head { first: END, count: 0 });
        }
        self.count += usize::from(is_there);
        let next = self.heads[node].first;
        let sibling = pair.map_or(END, |pair| self.edges[pair].sibling);
        let edge =
            self.edges.push(Edge { node, peer, kind, confidence, sequence, next, sibling, record });
        let head = &mut self.heads[node];
        *head = Head { first: edge, count: head.count + u32::from(is_there) };
        match pair {
            None => self.pairs.insert(self.pairs.hash(&(node, peer)), edge),
            Some(pair) => {
                self.edges[pair].sibling = edge;
                self.further.insert(self.further.hash(&(node, peer, kind)), edge);
            }
        }
        false
    }

    /// The number of the node's newest edge.
    pub(crate) fn first(&self, node: u32) -> Option<u32> {
        self.heads.get(node).map(|head| head.first).filter(|edge| *edge != END)
    }

    /// Whether the node has any that is not removed.
    pub(crate) fn has_any(&self, node: u32) -> bool {
        self.heads.get(node).is_some_and(|head| head.count > 0)
    }

    /// An edge of the node. `None` where this edge is not there or belongs to another node.
    pub(crate) fn walk(&self, node: u32, edge: u32) -> Option<At> {
        self.edges.get(edge).filter(|edge| edge.node == node).map(At::of)
    }

    /// An edge that is known to be there.
    pub(crate) fn at(&self, edge: u32) -> At {
        At::of(&self.edges[edge])
    }

    fn all(&self) -> impl Iterator<Item = &Edge<R>> {
        let edges = (0..self.edges.len() as u32).map(|edge| &self.edges[edge]);
        edges.filter(|edge| edge.confidence().is_some())
    }

    /// The node of each, removed ones left out.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = u32> {
        self.all().map(|edge| edge.node)
    }

    /// Of each its node, its sequence and what is kept of it, removed ones left out.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, u64, &R)> {
        self.all().map(|edge| (edge.node, edge.sequence, &edge.record))
    }

    /// How many there are, removed ones not counted.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of memory that they hold.
    pub(crate) fn memory(&self) -> u64 {
        self.edges.memory() + self.heads.memory() + self.pairs.memory() + self.further.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(edges: &Edges<()>, node: u32) -> Vec<(u32, u32, f32)> {
        let mut at = edges.first(node);
        let mut all = Vec::new();
        while let Some(edge) = at.and_then(|at| edges.walk(node, at)) {
            all.extend(edge.confidence.map(|confidence| (edge.peer, edge.kind, confidence)));
            at = edge.next;
        }
        all
    }

    #[test]
    fn an_edge_takes_32_bytes_and_48_with_its_records_place() {
        assert_eq!(size_of::<Edge<()>>(), 32);
        assert_eq!(
            size_of::<Edge<crate::log_memory::Location<sutra_wire::AssociationRecord>>>(),
            48
        );
    }

    #[test]
    fn the_same_association_again_changes_its_confidence_and_an_older_one_nothing() {
        let mut edges = Edges::default();
        edges.set(3, 7, 0, Some(0.5), 10, ());
        edges.set(3, 7, 0, Some(0.75), 12, ());
        edges.set(3, 7, 0, Some(0.25), 11, ());
        edges.set(3, 7, 1, Some(1.0), 13, ());
        edges.set(9, 7, 0, Some(1.0), 14, ());
        assert_eq!(all(&edges, 3), [(7, 1, 1.0), (7, 0, 0.75)]);
        assert_eq!((all(&edges, 4), edges.first(100), edges.len()), (vec![], None, 3));
    }

    #[test]
    fn an_edge_is_found_by_its_kind_or_as_the_lowest_between_its_ends() {
        let mut edges = Edges::default();
        for (sequence, (node, peer, kind)) in
            (1..).zip([(1, 2, 9), (1, 3, 0), (1, 2, 4), (2, 1, 1), (1, 2, 6), (1, 2, 4)])
        {
            edges.set(node, peer, kind, Some(0.5), sequence, sequence);
        }
        let record = |node, peer, kind| edges.get(node, peer, kind).map(|edge| edge.record);
        assert_eq!(
            [9, 4, 6, 5].map(|kind| record(1, 2, Some(kind))),
            [Some(1), Some(6), Some(5), None]
        );
        assert_eq!(
            [(1, 2), (1, 3), (2, 1), (3, 1)].map(|(node, peer)| record(node, peer, None)),
            [Some(6), Some(2), Some(4), None]
        );
        assert_eq!(edges.len(), 5);
    }

    #[test]
    fn a_removed_edge_is_not_seen_until_something_newer_brings_it_back() {
        let mut edges = Edges::default();
        for (kind, sequence) in [(0, 1), (1, 2), (2, 3)] {
            edges.set(3, 7, kind, Some(0.5), sequence, ());
        }
        let middle = edges.first(3).and_then(|edge| edges.walk(3, edge)).and_then(|edge| edge.next);
        edges.set(3, 7, 1, None, 10, ());
        edges.set(3, 7, 1, Some(0.75), 9, ());
        edges.set(3, 7, 0, None, 11, ());
        assert_eq!((all(&edges, 3), edges.len(), edges.has_any(3)), (vec![(7, 2, 0.5)], 1, true));
        assert!(edges.get(3, 7, Some(1)).is_none());
        assert_eq!(edges.get(3, 7, None).map(|edge| edge.kind), Some(2));
        let rest = middle.and_then(|edge| edges.walk(3, edge)).and_then(|edge| edge.next);
        assert!(rest.is_some(), "a walk that stopped at it goes on behind it");
        edges.set(3, 7, 1, Some(0.25), 12, ());
        edges.set(3, 7, 2, None, 13, ());
        assert_eq!((all(&edges, 3), edges.len()), (vec![(7, 1, 0.25)], 1));
        // Heard of late, when it was removed already.
        edges.set(4, 7, 0, None, 20, ());
        edges.set(4, 7, 0, Some(1.0), 19, ());
        assert_eq!((all(&edges, 4), edges.len()), (vec![], 1));
        assert!(!edges.has_any(4) && !edges.has_any(7) && !edges.has_any(1000));
        assert!(edges.set(3, 7, 1, None, 21, ()), "it was there");
        assert!(!edges.set(3, 7, 1, None, 22, ()), "it was removed before");
        assert_eq!((all(&edges, 3), edges.len(), edges.has_any(3)), (vec![], 0, false));
    }

    #[test]
    fn an_edge_of_another_node_ends_the_walk() {
        let mut edges = Edges::default();
        edges.set(1, 2, 0, Some(0.5), 1, ());
        assert!(edges.walk(2, 0).is_none() && edges.walk(1, 77).is_none());
        assert!(edges.walk(1, 0).is_some_and(|edge| edge.next.is_none()));
    }
}
