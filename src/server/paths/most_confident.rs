//! The path whose product of confidences is greatest, of at most so many edges: by levels of edges,
//! each path a label that is followed only where it is better than every path to the same concept
//! before it (a label-correcting search: Bellman 1958, Moore 1959). Knows concepts by number and is
//! told the edges.
//!
//! A path's cost is the sum of −ln of its confidences: infinite where one of them is 0, and then
//! still a path, worse than any other. Of paths that cost the same the one with fewer edges is
//! best. A path's cost never falls as it grows, so one that costs as much as the best to the end is
//! dropped.

use sutra_store::Slab;

use super::shortest::{Found, Hop};

const NONE: u32 = u32::MAX;
const START: u32 = 0;
const END: u32 = 1;

/// A path from the start, by its last concept and the path up to there.
struct Label {
    cost: f64,
    concept: u32,
    before: u32,
    level: u32,
    hop: Hop,
}

/// A search for the most confident path from concept 0 to concept 1. Its levels' units are labels;
/// the first is label 0.
pub(super) struct MostConfident {
    max_depth: u32,
    /// How many labels may be kept.
    max_visited: usize,
    labels: Slab<Label>,
    /// The best label of each concept.
    best: Slab<u32>,
    /// Edges of the labels that are being made.
    level: u32,
    is_exceeded: bool,
}

impl MostConfident {
    pub(super) fn new(max_depth: u32, max_visited: usize) -> Self {
        let (mut labels, mut best) = (Slab::default(), Slab::default());
        let hop = Hop { kind: 0, confidence: 1.0, is_forward: true };
        best.push(labels.push(Label { cost: 0.0, concept: START, before: NONE, level: 0, hop }));
        best.push(NONE);
        Self { max_depth, max_visited, labels, best, level: 0, is_exceeded: false }
    }

    /// Begins the next level, where there are so many labels to go on from; `false` at the search's
    /// end.
    pub(super) fn begin_level(&mut self, size: usize) -> bool {
        let goes_on = size > 0 && self.level < self.max_depth;
        self.level += u32::from(goes_on);
        goes_on
    }

    /// The concept at which a label ends.
    pub(super) fn concept(&self, label: u32) -> u32 {
        self.labels[label].concept
    }

    /// Takes an edge from a label of the last level. Returns a label of this level to go on from,
    /// each once.
    pub(super) fn take(&mut self, before: u32, to: u32, hop: Hop) -> Option<u32> {
        if to as usize == self.best.len() {
            self.best.push(NONE);
        }
        let cost = self.labels[before].cost - f64::from(hop.confidence).ln();
        let (best, end) = (self.best[to], self.best[END]);
        if best != NONE {
            let known = &mut self.labels[best];
            let is_new = known.level == self.level;
            if is_new
                && (cost < known.cost
                    || cost == known.cost
                        && known.before == before
                        && hop.is_better_than(&known.hop))
            {
                // Nothing follows from it yet, and it is to be gone on from already.
                (known.cost, known.before, known.hop) = (cost, before, hop);
                return None;
            }
            if cost >= known.cost {
                return None;
            }
        }
        if end != NONE && cost >= self.labels[end].cost {
            return None;
        }
        if self.labels.len() > self.max_visited {
            self.is_exceeded = true;
            return None;
        }
        let label = self.labels.push(Label { cost, concept: to, before, level: self.level, hop });
        self.best[to] = label;
        Some(label).filter(|_| to != END)
    }

    /// Whether there were more labels than may be kept.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Whether some path has been found.
    pub(super) fn is_met(&self) -> bool {
        self.best[END] != NONE
    }

    /// The best path, if there is one.
    pub(super) fn path(&self) -> Option<Found> {
        let mut at = Some(self.best[END]).filter(|label| *label != NONE)?;
        let mut found = Found { concepts: vec![END], hops: Vec::new() };
        while self.labels[at].before != NONE {
            let label = &self.labels[at];
            found.hops.push(label.hop);
            at = label.before;
            found.concepts.push(self.labels[at].concept);
        }
        found.concepts.reverse();
        found.hops.reverse();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::visited::Visited;
    use super::*;

    /// Searches from node 0 to node 1 along directed edges; the path comes as nodes.
    fn search(edges: &[(u32, u32, f32)], search: &mut MostConfident) -> Option<Vec<u32>> {
        let mut visited = Visited::default();
        let mut nodes = vec![0, 1];
        assert_eq!((visited.number_of_node(0), visited.number_of_node(1)), (0, 1));
        let mut next = vec![0];
        while search.begin_level(next.len()) {
            for label in std::mem::take(&mut next) {
                let near = nodes[search.concept(label) as usize];
                for (_, target, confidence) in edges.iter().filter(|edge| edge.0 == near) {
                    let to = visited.number_of_node(*target);
                    if to as usize == nodes.len() {
                        nodes.push(*target);
                    }
                    next.extend(search.take(
                        label,
                        to,
                        Hop { kind: 0, confidence: *confidence, is_forward: true },
                    ));
                }
            }
        }
        search
            .path()
            .map(|found| found.concepts.iter().map(|concept| nodes[*concept as usize]).collect())
    }

    fn best(edges: &[(u32, u32, f32)], max_depth: u32) -> Option<Vec<u32>> {
        search(edges, &mut MostConfident::new(max_depth, 1000))
    }

    #[test]
    fn a_longer_path_wins_where_it_is_more_confident_and_the_bound_allows_it() {
        let edges = [(0, 1, 0.5), (0, 2, 0.9), (2, 3, 0.9), (3, 1, 0.9), (2, 1, 0.6), (3, 2, 1.0)];
        assert_eq!(best(&edges, 9), Some(vec![0, 2, 3, 1]));
        assert_eq!(best(&edges, 2), Some(vec![0, 2, 1]));
        assert_eq!(best(&edges, 1), Some(vec![0, 1]));
        assert_eq!(best(&edges, 0), None);
    }

    #[test]
    fn of_equally_confident_paths_the_shortest_wins() {
        let edges = [(0, 2, 1.0), (2, 3, 1.0), (3, 1, 0.5), (0, 4, 0.5), (4, 1, 1.0)];
        assert_eq!(best(&edges, 9), Some(vec![0, 4, 1]));
    }

    #[test]
    fn a_path_without_confidence_is_one_and_the_worst() {
        let only = [(0, 2, 0.0), (2, 3, 1.0), (3, 1, 0.0), (2, 1, 0.5)];
        assert_eq!(best(&only, 9), Some(vec![0, 2, 1]));
        let weak: Vec<_> = only
            .into_iter()
            .chain([(0, 5, 0.001), (5, 6, 0.001), (6, 7, 0.001), (7, 1, 0.001)])
            .collect();
        assert_eq!(best(&weak, 9), Some(vec![0, 5, 6, 7, 1]));
        assert_eq!(best(&weak, 3), Some(vec![0, 2, 1]));
    }

    #[test]
    fn a_search_stops_at_its_bound_and_says_so() {
        let edges: Vec<_> = (2..20).map(|node| (0, node, 1.0)).collect();
        let mut bounded = MostConfident::new(9, 10);
        assert_eq!((search(&edges, &mut bounded), bounded.is_exceeded()), (None, true));
        let mut enough = MostConfident::new(9, 18);
        assert_eq!((search(&edges, &mut enough), enough.is_exceeded()), (None, false));
    }
}
