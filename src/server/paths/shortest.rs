//! Shortest paths by bidirectional breadth-first search (Pohl 1971), level by level and always on
//! the side with fewer concepts to go on from. Knows concepts by number and is told the edges;
//! where they are read is another's affair.
//!
//! When the sides have been searched to depths a and b, no path of at most a + b edges is left to
//! be found. So the first concept that both sides know lies on a shortest one. Asked for several,
//! it finishes that level and has then seen every shortest path.

use std::cmp::Ordering;

use sutra_store::Slab;

/// No link.
const NONE: u32 = u32::MAX;

/// An association as a path follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hop {
    pub(super) kind: u32,
    pub(super) confidence: f32,
    /// Whether from source to target.
    pub(super) is_forward: bool,
}

impl Hop {
    /// Whether to report it rather than another between the same two: the higher confidence, then
    /// the one along its direction, then the lower kind.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let order = self
            .confidence
            .total_cmp(&other.confidence)
            .then(self.is_forward.cmp(&other.is_forward));
        order.then(other.kind.cmp(&self.kind)) == Ordering::Greater
    }
}

/// A path by its concepts' numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) concepts: Vec<u32>,
    /// One fewer.
    pub(super) hops: Vec<Hop>,
}

/// From the start forwards, or from the end backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Start = 0,
    End = 1,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Start => Self::End,
            Self::End => Self::Start,
        }
    }
}

/// What a side knows of a concept.
#[derive(Clone, Copy)]
struct Seen {
    /// In edges from that side's end; `u32::MAX` where it has not been seen.
    depth: u32,
    /// The first way to it.
    link: u32,
}

const UNSEEN: Seen = Seen { depth: u32::MAX, link: NONE };

/// A way to a concept, from one that lies an edge nearer to the side's end.
struct Link {
    from: u32,
    /// Another way to the same concept.
    next: u32,
    hop: Hop,
}

/// What a search knows of concepts and the ways to them; kept for the next one, as fresh memory
/// costs a fault of the processor a page.
#[derive(Default)]
pub(super) struct Ways {
    seen: Slab<[Seen; 2]>,
    links: Slab<Link>,
}

impl Ways {
    /// How many concepts it was used for.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

/// A search for the shortest paths from concept 0 to concept 1.
pub(super) struct Shortest {
    /// How many to find.
    alternatives: usize,
    max_depth: u32,
    /// How many ways may be kept.
    max_visited: usize,
    seen: Slab<[Seen; 2]>,
    links: Slab<Link>,
    /// How deep each side has been searched.
    depths: [u32; 2],
    /// The side whose next level is being searched.
    side: Side,
    /// Edges of the shortest path so far, and the concepts in which both sides met on such a path.
    length: u32,
    meetings: Vec<u32>,
    is_exceeded: bool,
}

impl Shortest {
    /// `ways` may come from another search.
    pub(super) fn new(max_depth: u32, alternatives: usize, max_visited: usize, ways: Ways) -> Self {
        let Ways { mut seen, mut links } = ways;
        seen.clear();
        links.clear();
        let root = Seen { depth: 0, link: NONE };
        seen.push([root, UNSEEN]);
        seen.push([UNSEEN, root]);
        Self {
            alternatives: alternatives.max(1),
            max_depth,
            max_visited,
            seen,
            links,
            depths: [0, 0],
            side: Side::Start,
            length: u32::MAX,
            meetings: Vec::new(),
            is_exceeded: false,
        }
    }

    /// What another search may use.
    pub(super) fn into_ways(self) -> Ways {
        Ways { seen: self.seen, links: self.links }
    }

    /// Begins the next level, where each side has so many concepts to go on from; says of which
    /// side, or `None` at the search's end.
    pub(super) fn begin_level(&mut self, sizes: [usize; 2]) -> Option<Side> {
        let depth = self.depths[0].saturating_add(self.depths[1]);
        if self.is_met() || sizes.contains(&0) || depth >= self.max_depth {
            return None;
        }
        self.side = if sizes[0] <= sizes[1] { Side::Start } else { Side::End };
        self.depths[self.side as usize] += 1;
        Some(self.side)
    }

    /// Takes an edge of this level, from one of its concepts to any. Whether the side has to go on
    /// from there.
    pub(super) fn take(&mut self, from: u32, to: u32, hop: Hop) -> bool {
        if to as usize == self.seen.len() {
            self.seen.push([UNSEEN, UNSEEN]);
        }
        let (side, depth) = (self.side as usize, self.depths[self.side as usize]);
        let Seen { depth: seen, link } = self.seen[to][side];
        if seen == depth {
            self.take_again(link, from, hop);
            return false;
        }
        // Of one path only the edges between its concepts still count once it is found.
        if seen != UNSEEN.depth || self.is_enough() {
            return false;
        }
        let other = self.seen[to][self.side.other() as usize].depth;
        if other == UNSEEN.depth && (self.is_met() || self.links.len() >= self.max_visited) {
            self.is_exceeded |= !self.is_met();
            return false;
        }
        let link = self.links.push(Link { from, next: NONE, hop });
        self.seen[to][side] = Seen { depth, link };
        if other == UNSEEN.depth {
            return true;
        }
        let length = depth + other;
        if length < self.length {
            self.length = length;
            self.meetings.clear();
        }
        if length == self.length {
            self.meetings.push(to);
        }
        false
    }

    /// A further edge to a concept that was seen in this level already.
    fn take_again(&mut self, first: u32, from: u32, hop: Hop) {
        let (mut at, mut ways) = (first, 0);
        while at != NONE {
            let link = &mut self.links[at];
            if link.from == from {
                if hop.is_better_than(&link.hop) {
                    link.hop = hop;
                }
                return;
            }
            (at, ways) = (link.next, ways + 1);
        }
        // Every way is part of another path, so more ways than paths are wanted need not be kept.
        if ways >= self.alternatives {
            return;
        }
        if self.links.len() >= self.max_visited {
            self.is_exceeded = true;
            return;
        }
        let next = self.links[first].next;
        self.links[first].next = self.links.push(Link { from, next, hop });
    }

    /// Whether a path has been found.
    pub(super) fn is_met(&self) -> bool {
        !self.meetings.is_empty()
    }

    /// Whether all that was asked for has been found, but for better edges between the last two
    /// concepts.
    pub(super) fn is_enough(&self) -> bool {
        self.alternatives == 1 && self.is_met()
    }

    /// Whether there were more ways than may be kept.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded && !self.is_enough()
    }

    /// The paths: distinct, of least length, as many as there are or were asked for, but for those
    /// that would take the sum of all paths' concepts beyond `most`. The first comes in any case.
    pub(super) fn paths(&self, most: usize) -> Vec<Found> {
        let mut paths: Vec<Found> = Vec::new();
        let length = self.length as usize + 1;
        let wanted = self.alternatives.min((most / length.max(1)).max(1));
        for meeting in &self.meetings {
            let starts = self.ways(Side::Start, *meeting, wanted - paths.len());
            for start in starts {
                for end in self.ways(Side::End, *meeting, wanted - paths.len()) {
                    paths.push(self.join(*meeting, &start, &end));
                }
                if paths.len() == wanted {
                    return paths;
                }
            }
        }
        paths
    }

    /// At most `most` ways from a side's end to a concept, each as its links, the concept's own
    /// first.
    fn ways(&self, side: Side, concept: u32, most: usize) -> Vec<Vec<u32>> {
        let mut ways = Vec::new();
        let mut way = Vec::new();
        let mut at = self.seen[concept][side as usize].link;
        while ways.len() < most {
            while at != NONE {
                way.push(at);
                at = self.seen[self.links[at].from][side as usize].link;
            }
            ways.push(way.clone());
            // Back to the last concept that can be reached in yet another way.
            at = loop {
                let Some(last) = way.pop() else { return ways };
                match self.links[last].next {
                    NONE => {}
                    next => break next,
                }
            };
        }
        ways
    }

    fn join(&self, meeting: u32, start: &[u32], end: &[u32]) -> Found {
        let before = start.iter().rev().map(|link| &self.links[*link]);
        let after = end.iter().map(|link| &self.links[*link]);
        let concepts = before.clone().map(|link| link.from).chain([meeting]);
        Found {
            concepts: concepts.chain(after.clone().map(|link| link.from)).collect(),
            hops: before.chain(after).map(|link| link.hop).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::visited::Visited;
    use super::*;

    /// Searches from node 0 to node 1 along edges that are followed either way; paths come as
    /// nodes.
    fn search(edges: &[(u32, u32, f32)], search: &mut Shortest) -> Vec<(Vec<u32>, Vec<f32>)> {
        let mut visited = Visited::default();
        let mut nodes = vec![0, 1];
        assert_eq!((visited.number_of_node(0), visited.number_of_node(1)), (0, 1));
        let mut next = [vec![0], vec![1]];
        while let Some(side) = search.begin_level([next[0].len(), next[1].len()]) {
            for from in std::mem::take(&mut next[side as usize]) {
                for (source, target, confidence) in edges {
                    for (near, far, is_outgoing) in
                        [(source, target, true), (target, source, false)]
                    {
                        if *near != nodes[from as usize] {
                            continue;
                        }
                        let to = visited.number_of_node(*far);
                        if to as usize == nodes.len() {
                            nodes.push(*far);
                        }
                        let is_forward = is_outgoing == (side == Side::Start);
                        if search.take(
                            from,
                            to,
                            Hop { kind: 0, confidence: *confidence, is_forward },
                        ) {
                            next[side as usize].push(to);
                        }
                    }
                }
            }
        }
        if !search.is_met() {
            return Vec::new();
        }
        let found = search.paths(usize::MAX).into_iter().map(|Found { concepts, hops }| {
            assert_eq!(hops.len() + 1, concepts.len());
            let concepts = concepts.iter().map(|concept| nodes[*concept as usize]).collect();
            (concepts, hops.iter().map(|hop| hop.confidence).collect())
        });
        found.collect()
    }

    /// Every node of each layer of three with every one of the next: 27 shortest paths of four
    /// edges.
    fn layers() -> Vec<(u32, u32, f32)> {
        let layer = |number: u32| 10 * number..10 * number + 3;
        let inner = (1..3).flat_map(|number| {
            layer(number).flat_map(move |a| layer(number + 1).map(move |b| (a, b, 0.5)))
        });
        let ends = layer(1).map(|a| (0, a, 0.5)).chain(layer(3).map(|b| (b, 1, 0.5)));
        inner.chain(ends).collect()
    }

    #[test]
    fn as_many_distinct_shortest_paths_are_found_as_there_are_or_are_wanted() {
        for (wanted, expected) in [(0, 1), (1, 1), (2, 2), (26, 26), (27, 27), (64, 27)] {
            let found = search(&layers(), &mut Shortest::new(9, wanted, 1000, Ways::default()));
            let distinct: HashSet<_> = found.iter().map(|(nodes, _)| nodes.clone()).collect();
            assert_eq!((found.len(), distinct.len()), (expected, expected), "{wanted}");
            assert!(
                found.iter().all(|(nodes, _)| nodes.len() == 5 && nodes[0] == 0 && nodes[4] == 1)
            );
        }
        let mut bounded = Shortest::new(9, 64, 1000, Ways::default());
        search(&layers(), &mut bounded);
        assert_eq!(bounded.paths(23).len(), 4, "no more than 23 concepts");
        assert_eq!(bounded.paths(1).len(), 1);
    }

    #[test]
    fn a_path_longer_than_the_bound_is_none() {
        for (depth, expected) in [(0, 0), (1, 0), (3, 0), (4, 1), (u32::MAX, 1)] {
            assert_eq!(
                search(&layers(), &mut Shortest::new(depth, 1, 1000, Ways::default())).len(),
                expected,
                "{depth}"
            );
        }
    }

    #[test]
    fn of_several_edges_between_two_the_most_confident_is_told_in_every_place() {
        let edges: Vec<_> = [(0, 2), (2, 3), (3, 1)]
            .iter()
            .flat_map(|(a, b)| [0.25, 1.0, 0.5].map(|confidence| (*a, *b, confidence)))
            .collect();
        for wanted in [1, 5] {
            let found = search(&edges, &mut Shortest::new(9, wanted, 1000, Ways::default()));
            assert_eq!(found, [(vec![0, 2, 3, 1], vec![1.0; 3])]);
        }
    }

    #[test]
    fn a_search_stops_at_its_bound_and_says_so_unless_it_has_what_was_wanted() {
        for wanted in [1, 64] {
            let mut bounded = Shortest::new(9, wanted, 6, Ways::default());
            search(&layers(), &mut bounded);
            assert!(bounded.is_exceeded() && !bounded.is_enough());
        }
        let mut enough = Shortest::new(9, 1, 0, Ways::default());
        assert_eq!(search(&[(0, 1, 1.0), (0, 5, 1.0)], &mut enough).len(), 1);
        assert!(!enough.is_exceeded());
    }
}
