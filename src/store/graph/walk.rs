//! Walking many nodes' associations at once, for paths over the graph.
//!
//! Edges are linked lists over a slab, so walking one node after the other waits for memory at
//! every edge. Here the lists of a window of nodes are walked side by side, an edge of each in
//! turn: their loads do not depend on each other and overlap.

use sutra_wire::Direction;

use super::Graph;

/// A node's number: an id that this shard has heard of. Numbers count up from 0 and never change.
pub type NodeNumber = u32;

/// An association, seen from a node that is walked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What the caller calls the node.
    pub from: u32,
    /// The other end.
    pub peer: NodeNumber,
    /// An [`sutra_wire::AssociationKind`].
    pub kind: u32,
    /// From 0 to 1.
    pub confidence: f32,
    /// Whether the node is the source.
    pub is_outgoing: bool,
}

/// Where a list goes on.
#[derive(Clone, Copy)]
struct Cursor {
    from: u32,
    edge: u32,
}

/// Lists that are being walked. It holds no more than was put into it, and names edges that stay
/// where they are, so it may rest while the graph changes.
#[derive(Default)]
pub struct Walk {
    outgoing: Vec<Cursor>,
    incoming: Vec<Cursor>,
}

impl Walk {
    /// Whether every edge of every node that was put in has been seen.
    pub fn is_over(&self) -> bool {
        self.outgoing.is_empty() && self.incoming.is_empty()
    }

    /// Forgets what is left.
    pub fn clear(&mut self) {
        self.outgoing.clear();
        self.incoming.clear();
    }
}

impl Graph {
    /// Puts a node's edges of this direction into a walk; `from` is what steps will call it.
    pub(crate) fn begin_walk(
        &self,
        walk: &mut Walk,
        from: u32,
        node: NodeNumber,
        direction: Direction,
    ) {
        if direction != Direction::In {
            walk.outgoing.extend(self.outgoing.first(node).map(|edge| Cursor { from, edge }));
        }
        if direction != Direction::Out {
            walk.incoming.extend(self.incoming.first(node).map(|edge| Cursor { from, edge }));
        }
    }

    /// Goes on with a walk until it is over or about `limit` edges were looked at. It may look at
    /// more, but at no more than one for each list. Appends those of the wanted kinds, all where
    /// none is named.
    pub(crate) fn continue_walk(
        &self,
        walk: &mut Walk,
        kinds: &[u32],
        limit: usize,
        out: &mut Vec<Step>,
    ) {
        let mut seen = 0;
        while seen < limit && !walk.is_over() {
            for is_outgoing in [true, false] {
                let cursors = if is_outgoing { &mut walk.outgoing } else { &mut walk.incoming };
                seen += cursors.len();
                cursors.retain_mut(|cursor| {
                    let edge = match is_outgoing {
                        true => self.outgoing.at(cursor.edge),
                        false => self.incoming.at(cursor.edge),
                    };
                    if let Some(confidence) = edge.confidence
                        && (kinds.is_empty() || kinds.contains(&edge.kind))
                    {
                        let (peer, kind) = (edge.peer, edge.kind);
                        out.push(Step { from: cursor.from, peer, kind, confidence, is_outgoing });
                    }
                    edge.next.is_some_and(|next| {
                        cursor.edge = next;
                        true
                    })
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sutra_wire::ConceptId;

    use super::*;
    use crate::NamespaceId;
    use crate::graph::{EdgeKey, InEdge};

    fn id(number: u32) -> ConceptId {
        ConceptId(u128::from(number + 1).to_le_bytes())
    }

    /// In-edges `number` → `target`, the sequence being the number.
    fn graph(edges: &[(u32, u32, u32)]) -> Graph {
        let mut graph = Graph::default();
        for (sequence, (source, target, kind)) in (1..).zip(edges) {
            let (source, target, kind) = (id(*source), id(*target), *kind);
            let key = EdgeKey { namespace: NamespaceId::DEFAULT, source, target, kind };
            graph.apply_in_edge(&InEdge { key, confidence: Some(0.5), sequence });
        }
        graph
    }

    fn node(graph: &Graph, number: u32) -> NodeNumber {
        graph.table.find(NamespaceId::DEFAULT, &id(number)).unwrap_or(NodeNumber::MAX)
    }

    #[test]
    fn a_walk_sees_every_edge_of_the_wanted_kinds_once_in_parts_of_bounded_size() {
        let hub = (1..=1000).map(|number| (number, 0, number % 3));
        let edges: Vec<_> = hub.chain([(5, 2000, 0), (6, 2000, 1), (2000, 2001, 2)]).collect();
        let graph = graph(&edges);
        for (kinds, expected) in [(&[][..], 1003), (&[0], 334), (&[1, 2], 669), (&[9], 0)] {
            let mut walk = Walk::default();
            for (from, number) in [(70, 0), (71, 2000), (72, 2001), (73, 1)] {
                graph.begin_walk(&mut walk, from, node(&graph, number), Direction::Both);
            }
            let mut all = Vec::new();
            while !walk.is_over() {
                let before = all.len();
                graph.continue_walk(&mut walk, kinds, 50, &mut all);
                assert!(all.len() - before <= 50 + 2 * 4);
            }
            assert_eq!(all.len(), expected);
            for step in &all {
                let peer = graph.table.id_of(step.peer);
                let target = [0, 2000, 2001][step.from as usize - 70];
                assert!(
                    edges
                        .iter()
                        .any(|edge| (id(edge.0), edge.1, edge.2) == (peer, target, step.kind)),
                    "{step:?}"
                );
                assert!(!step.is_outgoing);
            }
            let mut peers: Vec<_> = all.iter().map(|step| (step.from, step.peer)).collect();
            peers.sort_unstable();
            peers.dedup();
            assert_eq!(peers.len(), expected, "each once");
        }
    }

    #[test]
    fn a_removed_edge_is_not_seen_and_a_walk_that_rested_on_it_goes_on() {
        let mut graph = graph(&[(1, 0, 0), (2, 0, 0), (3, 0, 0)]);
        let mut walk = Walk::default();
        graph.begin_walk(&mut walk, 0, node(&graph, 0), Direction::In);
        let mut seen = Vec::new();
        graph.continue_walk(&mut walk, &[], 1, &mut seen);
        let key =
            EdgeKey { namespace: NamespaceId::DEFAULT, source: id(2), target: id(0), kind: 0 };
        graph.apply_in_edge(&InEdge { key, confidence: None, sequence: 9 });
        graph.continue_walk(&mut walk, &[], 10, &mut seen);
        let ids: Vec<_> = seen.iter().map(|step| graph.table.id_of(step.peer)).collect();
        assert_eq!((ids, walk.is_over()), (vec![id(3), id(1)], true));
        let mut none = Walk::default();
        graph.begin_walk(&mut none, 0, node(&graph, 0), Direction::Out);
        assert!(none.is_over(), "it has no edges of that direction");
    }
}
