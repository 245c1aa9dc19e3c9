//! A neighbourhood: the concepts within so many edges of one, by breadth-first search. Knows
//! concepts by number and is told the edges.

/// A search for everything around concept 0.
pub(super) struct Within {
    edges: u32,
    /// How far it has been searched.
    depth: u32,
    /// How many concepts it has met, and how many it may.
    met: u32,
    most: u32,
    is_exceeded: bool,
}

impl Within {
    pub(super) fn new(edges: u32, most: u32) -> Self {
        Self { edges, depth: 0, met: 1, most, is_exceeded: false }
    }

    /// Begins the next level, where there are so many concepts to go on from; `false` at the
    /// search's end.
    pub(super) fn begin_level(&mut self, size: usize) -> bool {
        let goes_on = size > 0 && self.depth < self.edges;
        self.depth += u32::from(goes_on);
        goes_on
    }

    /// Takes an edge of this level; whether it leads to a concept that was not met before.
    pub(super) fn take(&mut self, to: u32) -> bool {
        let is_new = to >= self.met && !self.is_exceeded;
        self.is_exceeded |= is_new && self.met == self.most;
        let is_met = is_new && !self.is_exceeded;
        self.met += u32::from(is_met);
        is_met
    }

    /// Whether there are more concepts than it may meet.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_concept_counts_once_up_to_the_bounds() {
        let mut within = Within::new(2, 4);
        assert!(within.begin_level(1));
        assert_eq!([0, 1, 2, 1].map(|to| within.take(to)), [false, true, true, false]);
        assert!(within.begin_level(2));
        assert_eq!([3, 3].map(|to| within.take(to)), [true, false]);
        assert!(!within.is_exceeded() && !within.begin_level(1), "two edges away, and no farther");
        assert!(!within.take(4) && within.is_exceeded());
        assert!(!Within::new(9, 9).begin_level(0) && !Within::new(0, 9).begin_level(1));
    }
}
