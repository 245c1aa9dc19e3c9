//! The state of one traversal of the graph: what it seeks, what it has visited, and how far its
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
use super::shortest::{Found, Hop, Shortest, Side, Ways};
use super::visited::{Name, Visited};
use super::within::Within;
use crate::core::message::{Batch, Edges};
use crate::core::names::SearchNumber;

/// Traversals that a core works on at a time: their memory is bounded by what each may visit
/// ([`sutra_wire::limits::MAX_VISITED`]), and more would only all take longer.
pub(super) const RUNNING: usize = 4;
/// Concepts whose associations are read side by side: enough loads to keep the memory busy, few
/// enough that little is read in vain when a path has been found.
pub(super) const WINDOW: usize = 32;

/// What a request says of the way.
pub(super) struct Terms {
    to: ReplyTo,
    namespace: NamespaceId,
    kinds: Arc<[u32]>,
    direction: Direction,
    max_visited: usize,
}

impl Terms {
    /// `kinds`: only these; all where there is none.
    pub(super) fn new(
        to: ReplyTo,
        namespace: NamespaceId,
        kinds: Arc<[u32]>,
        direction: Direction,
        max_visited: usize,
    ) -> Self {
        Self { to, namespace, kinds, direction, max_visited }
    }
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
enum Far {
    Idle,
    /// It has a batch of which the last edges have not been taken; the batch begins there among the
    /// level's units.
    Working {
        first: u32,
    },
}

impl Far {
    fn is_working(&self) -> bool {
        matches!(self, Self::Working { .. })
    }

    /// Some of its batch was taken.
    fn took(&mut self, is_last: bool) {
        if is_last {
            *self = Self::Idle;
        }
    }
}

/// Whether a traversal goes on.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Searching,
    /// It has ended with an edge that this core gave: more of it may still come, and of the same
    /// two concepts.
    Finishing {
        core: usize,
    },
}

impl Phase {
    /// Whether edges from a core still count.
    fn takes_from(self, core: usize) -> bool {
        self == Self::Searching || self == Self::Finishing { core }
    }
}

/// What other cores still do for a traversal that has ended.
pub(super) struct Helping(Vec<Far>);

impl Helping {
    /// Some of a core's batch has come, which nobody wants any more.
    pub(super) fn took(&mut self, core: usize, edges: &Edges) {
        self.0[core].took(edges.is_last);
    }

    /// The cores that have not let go.
    pub(super) fn working(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter(|(_, far)| far.is_working()).map(|(core, _)| core)
    }
}

/// The memory of a traversal, which the next may use.
pub(super) struct Memory {
    visited: Visited,
    level: Level,
    next: [Level; 2],
}

impl Memory {
    pub(super) fn new(cores: usize) -> Self {
        let level = || Level::new(cores);
        Self { visited: Visited::default(), level: level(), next: [level(), level()] }
    }

    /// How many concepts were visited with it.
    pub(super) fn visited(&self) -> usize {
        self.visited.len()
    }

    /// Forgets what is in it.
    pub(super) fn clear(&mut self) {
        self.visited.clear();
        self.level.clear();
        self.next.iter_mut().for_each(Level::clear);
    }
}

/// A traversal under way.
pub(super) struct Traversal {
    terms: Terms,
    /// Nodes of this core's shard when it began.
    known: NodeNumber,
    goal: Goal,
    side: Side,
    /// What has been visited; what the present level goes on from, and what the next one on either
    /// side.
    memory: Memory,
    walk: Walk,
    far: Vec<Far>,
    /// Edges that other cores have read and that were not taken yet.
    received: VecDeque<(usize, Edges)>,
    phase: Phase,
}

/// What a piece of work came to.
pub(super) enum Progress {
    Again,
    /// Only another core can bring it on.
    Waits,
    Ended(Outcome),
}

impl Traversal {
    /// `known`: how many nodes this core's shard has.
    pub(super) fn new(
        cores: usize,
        terms: Terms,
        goal: Goal,
        known: NodeNumber,
        memory: Memory,
    ) -> Self {
        Self {
            terms,
            known,
            goal,
            side: Side::Start,
            memory,
            walk: Walk::default(),
            far: vec![Far::Idle; cores],
            received: VecDeque::new(),
            phase: Phase::Searching,
        }
    }

    /// Has a side begin at a concept of this core's.
    pub(super) fn begin_at(&mut self, side: Side, owner: usize, concept: u32) {
        self.memory.next[side as usize].push(owner, concept);
    }

    /// The request that waits for it.
    pub(super) fn to(&self) -> ReplyTo {
        self.terms.to
    }

    pub(super) fn namespace(&self) -> NamespaceId {
        self.terms.namespace
    }

    /// The number of a concept, by its node where this core's shard knew it when the traversal
    /// began.
    pub(super) fn number(
        &mut self,
        node: Option<NodeNumber>,
        id: impl FnOnce() -> ConceptId,
    ) -> u32 {
        match node {
            Some(node) if node < self.known => self.memory.visited.number_of_node(node),
            _ => self.memory.visited.number_of_id(&id()),
        }
    }

    /// How a concept is known.
    pub(super) fn name(&self, concept: u32) -> Name {
        self.memory.visited.name(concept)
    }

    /// Which of the level's concepts' associations are followed.
    fn follows(&self) -> Direction {
        match (self.side, self.terms.direction) {
            (Side::Start, direction) => direction,
            (Side::End, Direction::Both) => Direction::Both,
            (Side::End, Direction::Out) => Direction::In,
            (Side::End, Direction::In) => Direction::Out,
        }
    }

    /// Another core that has nothing to do, and of whose concepts the level has more.
    pub(super) fn next_idle(&self, here: usize) -> Option<usize> {
        if self.phase != Phase::Searching {
            return None;
        }
        let level = &self.memory.level;
        let is_due = |(other, far): (usize, &Far)| {
            other != here && !far.is_working() && !level.is_begun(other)
        };
        self.far.iter().enumerate().position(is_due)
    }

    /// Gives a core the next concepts of the level that belong to it.
    pub(super) fn begin_batch(
        &mut self,
        other: usize,
        most: usize,
        id: impl Fn(Name) -> ConceptId,
    ) -> Batch {
        self.far[other] = Far::Working { first: self.memory.level.begun(other) };
        let mut ids = Vec::new();
        while ids.len() < most
            && let Some(unit) = self.memory.level.begin(other)
        {
            ids.push(id(self.name(self.concept(unit))));
        }
        let (namespace, kinds) = (self.terms.namespace, Arc::clone(&self.terms.kinds));
        Batch { namespace, direction: self.follows(), kinds, ids }
    }

    /// A core has read some edges, which are taken in their turn.
    pub(super) fn receive(&mut self, core: usize, edges: Edges) {
        self.received.push_back((core, edges));
    }

    /// Edges that a core has read; and the place of their batch among the level's units of that
    /// core, where they still count.
    pub(super) fn next_received(&mut self) -> Option<(usize, Edges, Option<u32>)> {
        let (core, edges) = self.received.pop_front()?;
        let first = match self.far[core] {
            Far::Working { first } if self.phase.takes_from(core) => Some(first),
            Far::Working { .. } | Far::Idle => None,
        };
        self.far[core].took(edges.is_last);
        Some((core, edges, first))
    }

    /// The unit of a core at this place among the level's.
    pub(super) fn unit(&self, core: usize, at: u32) -> u32 {
        self.memory.level.unit(core, at)
    }

    /// Whether this core's own concepts are to be read.
    pub(super) fn wants_walk(&self, here: usize) -> bool {
        self.phase.takes_from(here) && !(self.walk.is_over() && self.memory.level.is_begun(here))
    }

    /// Reads some associations of this core's own concepts, a window of concepts after the other,
    /// with `begin` and `go_on`.
    pub(super) fn walk(
        &mut self,
        here: usize,
        begin: impl Fn(&mut Walk, u32, Name, Direction),
        go_on: impl FnOnce(&mut Walk, &[u32]),
    ) {
        if self.walk.is_over() {
            let direction = self.follows();
            for _ in 0..WINDOW {
                let Some(unit) = self.memory.level.begin(here) else { break };
                let name = self.name(self.concept(unit));
                begin(&mut self.walk, unit, name, direction);
            }
        }
        go_on(&mut self.walk, &self.terms.kinds);
    }

    /// Whether each concept of this core's that was begun has had all of its associations.
    pub(super) fn is_walked(&self) -> bool {
        self.walk.is_over()
    }

    /// Whether other cores may have concepts of the level.
    pub(super) fn is_alone(&self) -> bool {
        self.far.len() == 1
    }

    /// Whether another core has something to do for it.
    pub(super) fn is_helped(&self) -> bool {
        self.far.iter().any(Far::is_working)
    }

    /// The concept of a unit.
    fn concept(&self, unit: u32) -> u32 {
        match &self.goal {
            Goal::Shortest(_) | Goal::Within { .. } => unit,
            Goal::MostConfident(goal) => goal.concept(unit),
        }
    }

    /// Takes an edge of the level. Returns a unit of the next one, if there is a new one.
    pub(super) fn take(
        &mut self,
        unit: u32,
        to: u32,
        kind: u32,
        confidence: f32,
        is_outgoing: bool,
    ) -> Option<u32> {
        let hop = Hop { kind, confidence, is_forward: is_outgoing == (self.side == Side::Start) };
        match &mut self.goal {
            Goal::Shortest(goal) => goal.take(unit, to, hop).then_some(to),
            Goal::MostConfident(goal) => goal.take(unit, to, hop),
            Goal::Within { within, .. } => within.take(to).then_some(to),
        }
    }

    /// Notes a unit of the next level, which was just taken.
    pub(super) fn go_on_from(&mut self, owner: usize, unit: u32, id: impl Fn() -> ConceptId) {
        self.memory.next[self.side as usize].push(owner, unit);
        if let Goal::Within { ids, .. } = &mut self.goal {
            ids[owner].push(id().0);
        }
    }

    /// Goes on to the next level; `false` where the traversal is over.
    pub(super) fn begin_level(&mut self) -> bool {
        let Memory { level, next, .. } = &mut self.memory;
        level.clear();
        let sizes = [next[0].len(), next[1].len()];
        let side = match &mut self.goal {
            Goal::Shortest(goal) => goal.begin_level(sizes),
            Goal::MostConfident(goal) => goal.begin_level(sizes[0]).then_some(Side::Start),
            Goal::Within { within, .. } => within.begin_level(sizes[0]).then_some(Side::Start),
        };
        let Some(side) = side else { return false };
        self.side = side;
        std::mem::swap(level, &mut next[side as usize]);
        true
    }

    /// Where the traversal stands after edges from a core. `is_whole`: each concept of which it has
    /// given any has had all of its edges.
    pub(super) fn progress(&mut self, core: usize, is_whole: bool) -> Progress {
        let (is_enough, is_exceeded, is_met) = match &self.goal {
            Goal::Shortest(goal) => (goal.is_enough(), goal.is_exceeded(), goal.is_met()),
            Goal::MostConfident(goal) => (false, goal.is_exceeded(), goal.is_met()),
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
        let (visited, limit) = (self.terms.max_visited, limits::MAX_VISITED);
        if let Goal::Within { .. } = self.goal {
            return format!(
                "the neighbourhood has more than {visited} concepts, the most it may have; \
                 take a smaller radius"
            );
        }
        let so_far = if is_met {
            "not been able to tell which paths are the best"
        } else {
            "found no path so far"
        };
        let raise = match visited < limit as usize {
            true => format!("raise max_visited (up to {limit}), or "),
            false => String::new(),
        };
        format!(
            "the search has visited {visited} concepts, its bound, and {so_far}; \
             {raise}narrow it by kinds, direction or max_depth"
        )
    }

    /// What has been found. Paths hold at most `most` concepts in all.
    pub(super) fn found(&mut self, most: usize) -> Sought {
        match &mut self.goal {
            Goal::Within { ids, search, .. } => Sought::Around(*search, std::mem::take(ids)),
            Goal::Shortest(goal) if goal.is_met() => Sought::Paths(goal.paths(most)),
            Goal::Shortest(_) => Sought::Paths(Vec::new()),
            Goal::MostConfident(goal) => Sought::Paths(goal.path().into_iter().collect()),
        }
    }

    /// Ends it: its memory, that of its goal where there is one, and what other cores still do.
    pub(super) fn end(mut self) -> (Memory, Option<Ways>, Helping) {
        for (core, edges) in self.received.drain(..) {
            self.far[core].took(edges.is_last);
        }
        let ways = match self.goal {
            Goal::Shortest(goal) => Some(goal.into_ways()),
            Goal::MostConfident(_) | Goal::Within { .. } => None,
        };
        (self.memory, ways, Helping(self.far))
    }
}

/// What a traversal has found.
pub(super) enum Sought {
    Paths(Vec<Found>),
    Around(SearchNumber, Vec<Vec<[u8; 16]>>),
}
