//! The path whose product of confidences is greatest, of at most so many edges: by levels of edges, each path a label that is followed only
//! where it is better than every path to the same concept before it (a label-correcting search: Bellman 1958, Moore 1959). Knows concepts by
//! number and is told the edges.
//!
//! A path's cost is the sum of −ln of its confidences: infinite where one of them is 0, and then still a path, worse than any other. Of paths
//! that cost the same the one with fewer edges is best. A path's cost never falls as it grows, so one that costs as much as the best to the
//! end is dropped.

use sutra_store::Slab;

use crate::shortest::{Found, Hop};

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

/// A search for the most confident path from concept 0 to concept 1. Its levels' units are labels; the first is label 0.
pub(crate) struct MostConfident {
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
    pub(crate) fn new(max_depth: u32, max_visited: usize) -> Self {
        let (mut labels, mut best) = (Slab::default(), Slab::default());
        let hop = Hop { kind: 0, confidence: 1.0, is_forward: true };
        best.push(labels.push(Label { cost: 0.0, concept: START, before: NONE, level: 0, hop }));
        best.push(NONE);
        Self { max_depth, max_visited, labels, best, level: 0, is_exceeded: false }
    }

    /// Begins the next level, where there are so many labels to go on from; `false` at the search's end.
    pub(crate) fn begin_level(&mut self, size: usize) -> bool {
        let goes_on = size > 0 && self.level < self.max_depth;
        self.level += u32::from(goes_on);
        goes_on
    }

    /// The concept at which a label ends.
    pub(crate) fn concept(&self, label: u32) -> u32 {
        self.labels[label].concept
    }

    /// Takes an edge from a label of the last level. Returns a label of this level to go on from, each once.
    pub(crate) fn take(&mut self, before: u32, to: u32, hop: Hop) -> Option<u32> {
        if to as usize == self.best.len() {
            self.best.push(NONE);
        }
        let cost = self.labels[before].cost - f64::from(hop.confidence).ln();
        let (best, end) = (self.best[to], self.best[END]);
        if best != NONE {
            let known = &mut self.labels[best];
            let is_new = known.level == self.level;
            if is_new
                && (cost < known.cost || cost == known.cost && known.before == before && hop.is_better_than(&known.hop))
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
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Whether some path has been found.
    pub(crate) fn is_met(&self) -> bool {
        self.best[END] != NONE
    }

    /// The best path, if there is one.
    pub(crate) fn path(&self) -> Option<Found> {
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
