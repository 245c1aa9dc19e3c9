//! Associations as they are walked: out-edges and in-edges of nodes.
//!
//! Edges are 32 bytes each (40 where they say where their record lies), linked per node, newest first, and found by (node, peer, kind) in an index, so that learning one again
//! costs the same at a hub as anywhere. The two directions are two [`Edges`].

use crate::index::Index;
use crate::slab::Slab;

/// No edge.
const END: u32 = u32::MAX;

/// One association seen from one of its ends, and what is kept of it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge<R> {
    /// The end that it is seen from.
    pub(crate) node: u32,
    /// The other one.
    pub(crate) peer: u32,
    pub(crate) kind: u32,
    pub(crate) confidence: f32,
    /// Of the entry that said so last.
    pub(crate) sequence: u64,
    /// The node's next edge.
    next: u32,
    pub(crate) record: R,
}

/// All edges of one direction.
pub(crate) struct Edges<R> {
    edges: Slab<Edge<R>>,
    /// A node's newest edge; nodes beyond have none.
    first: Slab<u32>,
    index: Index,
}

impl<R> Default for Edges<R> {
    fn default() -> Self {
        Self { edges: Slab::default(), first: Slab::default(), index: Index::default() }
    }
}

impl<R> Edges<R> {
    /// The number of an edge. Cost: one hash, one probe.
    fn find(&self, node: u32, peer: u32, kind: u32) -> Option<u32> {
        self.index.find(self.index.hash(&(node, peer, kind)), |edge| {
            let edge = &self.edges[edge];
            (edge.node, edge.peer, edge.kind) == (node, peer, kind)
        })
    }

    /// An edge, if there is one. Cost: one hash, one probe.
    pub(crate) fn get(&self, node: u32, peer: u32, kind: u32) -> Option<&Edge<R>> {
        self.find(node, peer, kind).map(|edge| &self.edges[edge])
    }

    /// Adds an edge or brings it up to date, unless what is known is newer. Allocates only as it grows.
    pub(crate) fn set(&mut self, node: u32, peer: u32, kind: u32, confidence: f32, sequence: u64, record: R) {
        if let Some(edge) = self.find(node, peer, kind).map(|edge| &mut self.edges[edge]) {
            if edge.sequence < sequence {
                (edge.confidence, edge.sequence, edge.record) = (confidence, sequence, record);
            }
            return;
        }
        while self.first.len() <= node as usize {
            self.first.push(END);
        }
        let edge = self.edges.push(Edge { node, peer, kind, confidence, sequence, next: self.first[node], record });
        self.first[node] = edge;
        self.index.insert(self.index.hash(&(node, peer, kind)), edge);
    }

    /// The number of the node's newest edge.
    pub(crate) fn first(&self, node: u32) -> Option<u32> {
        self.first.get(node).copied().filter(|edge| *edge != END)
    }

    /// An edge of the node, and the number of its next one. `None` where this edge is not there or belongs to another node.
    pub(crate) fn walk(&self, node: u32, edge: u32) -> Option<(&Edge<R>, Option<u32>)> {
        let edge = self.edges.get(edge).filter(|edge| edge.node == node)?;
        Some((edge, Some(edge.next).filter(|next| *next != END)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// Bytes of memory that they hold.
    pub(crate) fn memory(&self) -> u64 {
        self.edges.memory() + self.first.memory() + self.index.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(edges: &Edges<()>, node: u32) -> Vec<(u32, u32, f32)> {
        let mut at = edges.first(node);
        let mut all = Vec::new();
        while let Some((edge, next)) = at.and_then(|at| edges.walk(node, at)) {
            all.push((edge.peer, edge.kind, edge.confidence));
            at = next;
        }
        all
    }

    #[test]
    fn an_edge_takes_32_bytes_and_40_with_its_records_place() {
        assert_eq!(size_of::<Edge<()>>(), 32);
        assert_eq!(size_of::<Edge<crate::segments::Location<sutra_wire::AssociationRecord>>>(), 40);
    }

    #[test]
    fn the_same_association_again_changes_its_confidence_and_an_older_one_nothing() {
        let mut edges = Edges::default();
        edges.set(3, 7, 0, 0.5, 10, ());
        edges.set(3, 7, 0, 0.75, 12, ());
        edges.set(3, 7, 0, 0.25, 11, ());
        edges.set(3, 7, 1, 1.0, 13, ());
        edges.set(9, 7, 0, 1.0, 14, ());
        assert_eq!(all(&edges, 3), [(7, 1, 1.0), (7, 0, 0.75)]);
        assert_eq!((all(&edges, 4), edges.first(100), edges.len()), (vec![], None, 3));
    }

    #[test]
    fn an_edge_of_another_node_ends_the_walk() {
        let mut edges = Edges::default();
        edges.set(1, 2, 0, 0.5, 1, ());
        assert!(edges.walk(2, 0).is_none() && edges.walk(1, 77).is_none());
        assert!(edges.walk(1, 0).is_some_and(|(_, next)| next.is_none()));
    }
}
