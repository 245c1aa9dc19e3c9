//! The state of one search over the graph: what it seeks, what it has visited, and how far its
//! level has come. Reads nothing itself: `coordinator.rs` brings it the edges, level by level.
//!
//! What is sought, and so what to do with an edge, is the goal's (`shortest.rs`,
//! `most_confident.rs`, `within.rs`).

use std::collections::VecDeque;
use std::sync::Arc;

use sutra_net::ReplyTo;
use sutra_store::{NamespaceId, NodeNumber, Walk};
use sutra_wire::{ConceptId, Direction, Status, limits};

use super::level::Level;
use super::most_confident::MostConfident;
use super::shortest::{Hop, Shortest, Side};
use super::visited::Visited;
use super::within::Within;
use crate::core::message::Edges;
use crate::core::names::SearchNumber;

/// Traversals that a core works on at a time: their memory is bounded by what each may visit
/// ([`sutra_wire::limits::MAX_VISITED`]), and more would only all take longer.
pub(super) const RUNNING: usize = 4;
/// Concepts whose associations are read side by side: enough loads to keep the memory busy, few
/// enough that little is read in vain when a path has been found.
pub(super) const WINDOW: usize = 32;

/// What a request says of the way.
pub(super) struct Terms {
    pub(super) to: ReplyTo,
    pub(super) namespace: NamespaceId,
    /// Only these kinds; all where there is none.
    pub(super) kinds: Arc<[u32]>,
    pub(super) direction: Direction,
    pub(super) max_visited: usize,
}

/// What is sought.
pub(super) enum Goal {
    Shortest(Shortest),
    MostConfident(MostConfident),
    /// For the vector search of this number.
    Within {
        within: Within,
        /// By the core that owns them.
        ids: Vec<Vec<[u8; 16]>>,
        search: SearchNumber,
    },
}

/// Why a traversal has not come to its end.
pub(super) type Outcome = Result<(), (Status, String)>;

/// What another core is doing for a traversal.
#[derive(Clone, Copy)]
pub(super) enum Far {
    Idle,
    /// It has a batch of which the last part has not been taken; the batch begins there among the
    /// level's units.
    Working {
        first: u32,
    },
}

impl Far {
    pub(super) fn is_working(&self) -> bool {
        matches!(self, Self::Working { .. })
    }

    /// A part of its batch was taken.
    pub(super) fn took(&mut self, is_last: bool) {
        if is_last {
            *self = Self::Idle;
        }
    }
}

/// Whether a search goes on.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Searching,
    /// It has ended with an edge that this core gave: more of it may still come, and of the same
    /// two concepts.
    Finishing {
        core: usize,
    },
}

impl Phase {
    /// Whether edges from a core still count.
    pub(super) fn takes_from(self, core: usize) -> bool {
        self == Self::Searching || self == Self::Finishing { core }
    }
}

/// A search under way.
pub(super) struct Traversal {
    pub(super) to: ReplyTo,
    pub(super) namespace: NamespaceId,
    pub(super) kinds: Arc<[u32]>,
    pub(super) direction: Direction,
    pub(super) max_visited: usize,
    /// Nodes of this core's shard when the search began.
    pub(super) known: NodeNumber,
    pub(super) visited: Visited,
    pub(super) goal: Goal,
    pub(super) side: Side,
    /// What the present level goes on from, and what the next one on either side.
    pub(super) level: Level,
    pub(super) next: [Level; 2],
    pub(super) walk: Walk,
    pub(super) far: Vec<Far>,
    /// Edges that other cores have read and that were not taken yet.
    pub(super) received: VecDeque<(usize, Edges)>,
    pub(super) phase: Phase,
}

/// What a piece of work came to.
pub(super) enum Progress {
    Again,
    /// Only another core can bring it on.
    Waits,
    Ended(Outcome),
}

impl Traversal {
    /// Which of the level's concepts' associations are followed.
    pub(super) fn follows(&self) -> Direction {
        match (self.side, self.direction) {
            (Side::Start, direction) => direction,
            (Side::End, Direction::Both) => Direction::Both,
            (Side::End, Direction::Out) => Direction::In,
            (Side::End, Direction::In) => Direction::Out,
        }
    }

    /// The concept of a unit.
    pub(super) fn concept(&self, unit: u32) -> u32 {
        match &self.goal {
            Goal::Shortest(_) | Goal::Within { .. } => unit,
            Goal::MostConfident(search) => search.concept(unit),
        }
    }

    /// Takes an edge of the level. Returns a unit of the next one, if there is a new one.
    pub(super) fn take(&mut self, unit: u32, to: u32, kind: u32, confidence: f32, is_outgoing: bool) -> Option<u32> {
        let hop = Hop { kind, confidence, is_forward: is_outgoing == (self.side == Side::Start) };
        match &mut self.goal {
            Goal::Shortest(search) => search.take(unit, to, hop).then_some(to),
            Goal::MostConfident(search) => search.take(unit, to, hop),
            Goal::Within { within, .. } => within.take(to).then_some(to),
        }
    }

    /// Notes a unit of the next level, which was just taken.
    pub(super) fn go_on_from(&mut self, owner: usize, unit: u32, id: impl Fn() -> ConceptId) {
        self.next[self.side as usize].push(owner, unit);
        if let Goal::Within { ids, .. } = &mut self.goal {
            ids[owner].push(id().0);
        }
    }

    /// Goes on to the next level; `false` where the search is over.
    pub(super) fn begin_level(&mut self) -> bool {
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

    /// Where the search stands after edges from a core. `is_whole`: each concept of which it has
    /// given any has had all of its edges.
    pub(super) fn progress(&mut self, core: usize, is_whole: bool) -> Progress {
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
                self.phase = Phase::Finishing { core };
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
