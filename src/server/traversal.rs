//! The state of one search over the graph: what it seeks, what it has visited, and how far its level has come. Reads nothing itself: `traversing.rs`
//! brings it the edges, level by level.
//!
//! What is sought, and so what to do with an edge, is the goal's (`shortest.rs`, `most_confident.rs`, `within.rs`).

use std::collections::VecDeque;
use std::sync::Arc;

use sutra_net::ReplyTo;
use sutra_store::{NamespaceId, NodeNumber, Walk};
use sutra_wire::{ConceptId, Direction, Status, limits};

use crate::expansion::Part;
use crate::frontier::Frontier;
use crate::most_confident::MostConfident;
use crate::shortest::{Hop, Shortest, Side};
use crate::visited::Visited;
use crate::within::Within;

/// What is sought.
pub(crate) enum Goal {
    Shortest(Shortest),
    MostConfident(MostConfident),
    /// For the vector search of this number.
    Within {
        within: Within,
        /// By the core that owns them.
        ids: Vec<Vec<[u8; 16]>>,
        search: usize,
    },
}

/// Why a traversal has not come to its end.
pub(crate) type Outcome = Result<(), (Status, String)>;

/// What another core is doing for a traversal.
#[derive(Clone, Copy, Default)]
pub(crate) struct Far {
    /// Whether it has a batch of which the last part has not been taken.
    pub(crate) is_asked: bool,
    /// Where that batch begins among the level's units.
    pub(crate) first: u32,
}

/// A search under way.
pub(crate) struct Traversal {
    pub(crate) to: ReplyTo,
    pub(crate) namespace: NamespaceId,
    pub(crate) kinds: Arc<[u32]>,
    pub(crate) direction: Direction,
    pub(crate) max_visited: usize,
    /// Nodes of this core's shard when the search began.
    pub(crate) known: NodeNumber,
    pub(crate) visited: Visited,
    pub(crate) goal: Goal,
    pub(crate) side: Side,
    /// What the present level goes on from, and what the next one on either side.
    pub(crate) level: Frontier,
    pub(crate) next: [Frontier; 2],
    pub(crate) walk: Walk,
    pub(crate) far: Vec<Far>,
    pub(crate) parts: VecDeque<(usize, Part)>,
    /// The core that gave the edge which ended the search: more of it may still come, and of the same two concepts.
    pub(crate) finishing: Option<usize>,
    pub(crate) is_queued: bool,
}

/// What a piece of work came to.
pub(crate) enum Progress {
    Again,
    /// Only another core can bring it on.
    Waits,
    Ended(Outcome),
}

impl Traversal {
    /// Which of the level's concepts' associations are followed.
    pub(crate) fn follows(&self) -> Direction {
        match (self.side, self.direction) {
            (Side::Start, direction) => direction,
            (Side::End, Direction::Both) => Direction::Both,
            (Side::End, Direction::Out) => Direction::In,
            (Side::End, Direction::In) => Direction::Out,
        }
    }

    /// The concept of a unit.
    pub(crate) fn concept(&self, unit: u32) -> u32 {
        match &self.goal {
            Goal::Shortest(_) | Goal::Within { .. } => unit,
            Goal::MostConfident(search) => search.concept(unit),
        }
    }

    /// Takes an edge of the level. Returns a unit of the next one, if there is a new one.
    pub(crate) fn take(&mut self, unit: u32, to: u32, kind: u32, confidence: f32, is_outgoing: bool) -> Option<u32> {
        let hop = Hop { kind, confidence, is_forward: is_outgoing == (self.side == Side::Start) };
        match &mut self.goal {
            Goal::Shortest(search) => search.take(unit, to, hop).then_some(to),
            Goal::MostConfident(search) => search.take(unit, to, hop),
            Goal::Within { within, .. } => within.take(to).then_some(to),
        }
    }

    /// Notes a unit of the next level, which was just taken.
    pub(crate) fn go_on_from(&mut self, owner: usize, unit: u32, id: impl Fn() -> ConceptId) {
        self.next[self.side as usize].push(owner, unit);
        if let Goal::Within { ids, .. } = &mut self.goal {
            ids[owner].push(id().0);
        }
    }

    /// Goes on to the next level; `false` where the search is over.
    pub(crate) fn begin_level(&mut self) -> bool {
        self.level.clear();
        let sizes = [self.next[0].length, self.next[1].length];
        let side = match &mut self.goal {
            Goal::Shortest(search) => search.begin_level(sizes),
            Goal::MostConfident(search) => search.begin_level(sizes[0]).then_some(Side::Start),
            Goal::Within { within, .. } => within.begin_level(sizes[0]).then_some(Side::Start),
        };
        let Some(side) = side else { return false };
        self.side = side;
        std::mem::swap(&mut self.level, &mut self.next[side as usize]);
        true
    }

    /// Where the search stands after edges from a core. `is_whole`: each concept of which it has given any has had all of its edges.
    pub(crate) fn progress(&mut self, core: usize, is_whole: bool) -> Progress {
        let (is_enough, is_exceeded, is_met) = match &self.goal {
            Goal::Shortest(search) => (search.is_enough(), search.is_exceeded(), search.is_met()),
            Goal::MostConfident(search) => (false, search.is_exceeded(), search.is_met()),
            Goal::Within { within, .. } => (false, within.is_exceeded(), false),
        };
        if is_exceeded {
            return Progress::Ended(Err((Status::InvalidArgument, self.too_many(is_met))));
        }
        match (is_enough, is_whole) {
            (true, true) => Progress::Ended(Ok(())),
            (true, false) => {
                self.finishing = Some(core);
                Progress::Again
            }
            (false, _) => Progress::Again,
        }
    }

    fn too_many(&self, is_met: bool) -> String {
        let (visited, limit) = (self.max_visited, limits::MAX_VISITED);
        if let Goal::Within { .. } = self.goal {
            return format!(
                "the neighbourhood has more than {visited} concepts, the most it may have; take a smaller radius"
            );
        }
        let so_far = if is_met { "not been able to tell which paths are the best" } else { "found no path so far" };
        let raise = match visited < limit as usize {
            true => format!("raise max_visited (up to {limit}), or "),
            false => String::new(),
        };
        format!(
            "the search has visited {visited} concepts, its bound, and {so_far}; {raise}narrow it by kinds, direction or max_depth"
        )
    }
}
