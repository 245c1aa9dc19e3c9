//! The best candidates of a search so far.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use foldhash::{HashSet, HashSetExt};

/// A concept that may be among a search's results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) similarity: f32,
    pub(super) id: [u8; 16],
    pub(super) node: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// The better one is the greater: the more similar, then the lower id.
    fn cmp(&self, other: &Self) -> Ordering {
        self.similarity.total_cmp(&other.similarity).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best candidates of all that were offered, up to a number, each node once.
pub(super) struct Nearest {
    heap: BinaryHeap<Reverse<Candidate>>,
    /// The nodes of the candidates in the heap.
    nodes: HashSet<u32>,
    most: usize,
}

impl Nearest {
    pub(super) fn new(most: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(most), nodes: HashSet::with_capacity(most), most }
    }

    /// Whether a candidate as similar as this could be among the best.
    pub(super) fn is_open_to(&self, similarity: f32) -> bool {
        self.heap.len() < self.most
            || self.heap.peek().is_some_and(|Reverse(worst)| worst.similarity <= similarity)
    }

    /// Cost: a comparison for most; for one of the best a look into a table, and its place among
    /// the others.
    pub(super) fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() == self.most
            && self.heap.peek().is_none_or(|Reverse(worst)| candidate <= *worst)
        {
            return;
        }
        if !self.nodes.insert(candidate.node) {
            return;
        }
        if self.heap.len() == self.most
            && let Some(Reverse(worst)) = self.heap.pop()
        {
            self.nodes.remove(&worst.node);
        }
        self.heap.push(Reverse(candidate));
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// How similar the best of this rank is, from 1 on; `None` where there are fewer. Cost: a look
    /// at each.
    pub(super) fn similarity(&self, rank: usize) -> Option<f32> {
        let at = self.heap.len().checked_sub(rank)?;
        let mut all: Vec<_> =
            self.heap.iter().map(|Reverse(candidate)| candidate.similarity).collect();
        (rank > 0).then(|| *all.select_nth_unstable_by(at, f32::total_cmp).1)
    }

    /// Their nodes; none are left.
    pub(super) fn take_nodes(&mut self) -> Vec<u32> {
        self.nodes.clear();
        self.heap.drain().map(|Reverse(candidate)| candidate.node).collect()
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.nodes.clear();
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = Candidate> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(candidate)| candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order_ties_by_id_each_node_once() {
        let mut nearest = Nearest::new(3);
        for (similarity, id, node) in
            [(0.5, 9, 1), (0.5, 3, 2), (0.1, 1, 3), (0.5, 3, 2), (0.9, 7, 4), (0.5, 5, 5)]
        {
            nearest.offer(Candidate { similarity, id: [id; 16], node });
        }
        assert!(nearest.is_open_to(0.5) && !nearest.is_open_to(0.4));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|rank| nearest.similarity(rank)),
            [None, Some(0.9), Some(0.5), Some(0.5), None]
        );
        let nodes: Vec<_> = nearest.into_sorted().map(|candidate| candidate.node).collect();
        assert_eq!(nodes, [4, 2, 5]);
    }

    #[test]
    fn none_are_kept_where_none_are_wanted() {
        let mut nearest = Nearest::new(0);
        nearest.offer(Candidate { similarity: 1.0, id: [1; 16], node: 1 });
        assert_eq!(nearest.into_sorted().count(), 0);
    }
}
