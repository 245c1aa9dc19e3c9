//! Searches over the graph, level by level: the core that was asked keeps what has been visited, reads its own concepts' associations in
//! place, and has every other core read those of its concepts, a batch of concepts a message.
//!
//! What has been visited and what is sought is the traversal's (`traversal.rs`). A search reads each core's visible state as it goes: every edge
//! that it reports was there when it was read.
//!
//! A traversal works in slices (`run_queue.rs`), at most [`RUNNING`] on a core at a time, and stops when nobody waits for it any more. Its
//! place is free again when every other core has let go of the batch that it was given, so no answer can be another's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sutra_net::{Context, ReplyTo};
use sutra_store::{NamespaceId, Step, Walk};
use sutra_wire::{ConceptId, Direction, Status};

use crate::expansion::{Batch, Part};
use crate::frontier::Frontier;
use crate::message::{Body, Message, Ticket};
use crate::path::{MOST_CONCEPTS, Route};
use crate::run_queue::{SLICE, Work};
use crate::service::StorageService;
use crate::shortest::{Found, Side, Ways};
use crate::traversal::{Far, Goal, Outcome, Progress, Traversal};
use crate::visited::{Name, Visited};

/// Traversals that a core works on at a time: their memory is bounded by what each may visit ([`sutra_wire::limits::MAX_VISITED`]), and more would only
/// all take longer.
pub(crate) const RUNNING: usize = 4;
/// Concepts whose associations are read side by side: enough loads to keep the memory busy, few enough that little is read in vain when a
/// path has been found.
pub(crate) const WINDOW: usize = 32;
/// Associations that are looked at between two looks at the clock.
const STEPS: usize = 256;
/// Concepts of a search up to which its memory is kept for the next: some 4 MiB for each of [`RUNNING`].
const KEPT: usize = 65_536;
/// Most concepts in one message to another core: 16 KiB.
const BATCH: usize = 1024;

enum Place {
    Free,
    Running(Box<Traversal>),
    /// Answered; these cores have not let go of their batches.
    Ending(Vec<Far>),
}

/// A core's traversals.
pub(crate) struct Traversals {
    places: [Place; RUNNING],
    /// A slice's associations, kept for its memory.
    steps: Vec<Step>,
    /// What ended searches visited, empty, kept for its memory: growing hash tables anew was a tenth of a search.
    spare: Vec<(Visited, [Frontier; 3])>,
    pub(crate) spare_ways: Vec<Ways>,
}

impl Default for Traversals {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| Place::Free),
            steps: Vec::new(),
            spare: Vec::new(),
            spare_ways: Vec::new(),
        }
    }
}

impl Traversals {
    pub(crate) fn is_idle(&self) -> bool {
        self.places.iter().all(|place| matches!(place, Place::Free))
    }

    /// A free place, if there is one.
    pub(crate) fn place(&self) -> Option<usize> {
        self.places.iter().position(|place| matches!(place, Place::Free))
    }
}

/// What a request says of the way.
pub(crate) struct Terms {
    pub(crate) to: ReplyTo,
    pub(crate) namespace: NamespaceId,
    /// Only these kinds; all where there is none.
    pub(crate) kinds: Arc<[u32]>,
    pub(crate) direction: Direction,
    pub(crate) max_visited: usize,
}

impl StorageService {
    /// Begins a traversal in a free place. The goal's first concept is `start`, its second `end`, where it has one.
    pub(crate) fn begin_traversal(
        &mut self,
        cx: &Context<'_, Message>,
        place: usize,
        terms: Terms,
        goal: Goal,
        start: ConceptId,
        end: Option<ConceptId>,
    ) {
        let cores = cx.cores();
        let (visited, [level, start_next, end_next]) = self
            .traversals
            .spare
            .pop()
            .unwrap_or_else(|| (Visited::default(), std::array::from_fn(|_| Frontier::new(cores))));
        let mut traversal = Box::new(Traversal {
            to: terms.to,
            namespace: terms.namespace,
            kinds: terms.kinds,
            direction: terms.direction,
            max_visited: terms.max_visited,
            known: self.shard.nodes(),
            visited,
            goal,
            side: Side::Start,
            level,
            next: [start_next, end_next],
            walk: Walk::default(),
            far: vec![Far::default(); cores],
            parts: VecDeque::new(),
            finishing: None,
            is_queued: true,
        });
        for (id, side) in std::iter::once(start).chain(end).zip([Side::Start, Side::End]) {
            let number = self.number(&mut traversal, &id);
            traversal.next[side as usize].push(self.owner(&id), number);
        }
        self.traversals.places[place] = Place::Running(traversal);
        self.run_queue.push(Work::Traversal(place));
    }

    /// The number of a concept in a traversal.
    fn number(&self, traversal: &mut Traversal, id: &ConceptId) -> u32 {
        match self.shard.node(traversal.namespace, id) {
            Some(node) if node < traversal.known => traversal.visited.number_of_node(node),
            _ => traversal.visited.number_of_id(id),
        }
    }

    /// The id of a traversal's concept.
    fn id(&self, traversal: &Traversal, concept: u32) -> ConceptId {
        match traversal.visited.name(concept) {
            Name::Node(node) => self.shard.node_id(node),
            Name::Id(id) => id,
        }
    }

    /// Does a slice of a traversal.
    pub(crate) fn advance_traversal(&mut self, cx: &mut Context<'_, Message>, place: usize) {
        let Place::Running(mut traversal) = std::mem::replace(&mut self.traversals.places[place], Place::Free) else {
            unreachable!("only a running traversal is in the queue, and it leaves it for its slice");
        };
        traversal.is_queued = false;
        let until = Instant::now() + SLICE;
        let outcome = loop {
            if !cx.is_waiting(traversal.to) {
                let message = "nobody waits for it any more".to_owned();
                break Some(Err((Status::DeadlineExceeded, message)));
            }
            match self.work_on(cx, place, &mut traversal) {
                Progress::Ended(outcome) => break Some(outcome),
                Progress::Waits => break None,
                Progress::Again if Instant::now() < until => {}
                Progress::Again => {
                    traversal.is_queued = true;
                    self.run_queue.push(Work::Traversal(place));
                    break None;
                }
            }
        };
        match outcome {
            None => self.traversals.places[place] = Place::Running(traversal),
            Some(outcome) => self.end_traversal(cx, place, *traversal, outcome),
        }
    }

    /// One piece of work: a batch for another core, a part that one has sent, some of this core's own edges, or the step to the next level.
    fn work_on(&mut self, cx: &mut Context<'_, Message>, place: usize, traversal: &mut Traversal) -> Progress {
        let here = cx.index();
        let is_due = |(core, far): (usize, &Far)| core != here && !far.is_asked && !traversal.level.is_begun(core);
        if traversal.finishing.is_none()
            && let Some(core) = traversal.far.iter().enumerate().position(is_due)
        {
            let batch = self.batch(traversal, core);
            self.post(cx, core, Body::Expand { place, batch });
            return Progress::Again;
        }
        if let Some((core, part)) = traversal.parts.pop_front() {
            if !part.is_last {
                self.post(cx, core, Body::ExpandOn { place });
            }
            traversal.far[core].is_asked = !part.is_last;
            if traversal.finishing.is_none_or(|finishing| finishing == core) {
                self.take_part(traversal, core, &part);
                return traversal.progress(core, part.is_whole);
            }
            return Progress::Again;
        }
        if traversal.finishing.is_none_or(|finishing| finishing == here)
            && !(traversal.walk.is_over() && traversal.level.is_begun(here))
        {
            self.walk_here(traversal, here);
            return traversal.progress(here, traversal.walk.is_over());
        }
        if traversal.far.iter().any(|far| far.is_asked) {
            return Progress::Waits;
        }
        match traversal.begin_level() {
            true => Progress::Again,
            false => Progress::Ended(Ok(())),
        }
    }

    /// The next concepts of the level that belong to another core.
    fn batch(&self, traversal: &mut Traversal, core: usize) -> Batch {
        traversal.far[core] = Far { is_asked: true, first: traversal.level.begun[core] };
        let mut ids = Vec::new();
        while ids.len() < BATCH
            && let Some(unit) = traversal.level.begin(core)
        {
            ids.push(self.id(traversal, traversal.concept(unit)));
        }
        let (namespace, kinds) = (traversal.namespace, Arc::clone(&traversal.kinds));
        Batch { namespace, direction: traversal.follows(), kinds, ids }
    }

    fn take_part(&self, traversal: &mut Traversal, core: usize, part: &Part) {
        let first = traversal.far[core].first;
        for edge in &part.edges {
            let unit = traversal.level.cores[core][first + edge.from];
            let to = self.number(traversal, &edge.peer);
            if let Some(unit) = traversal.take(unit, to, edge.kind, edge.confidence, edge.is_outgoing) {
                traversal.go_on_from(self.owner(&edge.peer), unit, || edge.peer);
            }
        }
    }

    /// Reads some associations of this core's own concepts, a window of concepts after the other.
    fn walk_here(&mut self, traversal: &mut Traversal, here: usize) {
        if traversal.walk.is_over() {
            let direction = traversal.follows();
            for _ in 0..WINDOW {
                let Some(unit) = traversal.level.begin(here) else { break };
                let node = match traversal.visited.name(traversal.concept(unit)) {
                    Name::Node(node) => Some(node),
                    Name::Id(id) => self.shard.node(traversal.namespace, &id),
                };
                if let Some(node) = node {
                    self.shard.begin_walk(&mut traversal.walk, unit, node, direction);
                }
            }
        }
        let mut steps = std::mem::take(&mut self.traversals.steps);
        self.shard.continue_walk(&mut traversal.walk, &traversal.kinds, STEPS, &mut steps);
        let is_alone = traversal.far.len() == 1;
        for Step { from, peer, kind, confidence, is_outgoing } in steps.drain(..) {
            let to = match peer < traversal.known {
                true => traversal.visited.number_of_node(peer),
                false => traversal.visited.number_of_id(&self.shard.node_id(peer)),
            };
            if let Some(unit) = traversal.take(from, to, kind, confidence, is_outgoing) {
                let id = || self.shard.node_id(peer);
                traversal.go_on_from(if is_alone { here } else { self.owner(&id()) }, unit, id);
            }
        }
        self.traversals.steps = steps;
    }

    /// A part of what another core has read for a traversal.
    pub(crate) fn expanded(&mut self, cx: &mut Context<'_, Message>, core: usize, place: usize, part: Part) {
        match &mut self.traversals.places[place] {
            Place::Running(traversal) => {
                traversal.parts.push_back((core, part));
                if !traversal.is_queued {
                    traversal.is_queued = true;
                    self.run_queue.push(Work::Traversal(place));
                }
            }
            Place::Ending(far) => {
                far[core].is_asked &= !part.is_last;
                self.free_place(cx, place);
            }
            Place::Free => debug_assert!(false, "a place is free when every core has let go"),
        }
    }

    /// Answers, and has the other cores let go of what they still work on.
    fn end_traversal(
        &mut self,
        cx: &mut Context<'_, Message>,
        place: usize,
        mut traversal: Traversal,
        outcome: Outcome,
    ) {
        self.tell_found(cx, &mut traversal, outcome);
        for (core, part) in traversal.parts.drain(..) {
            traversal.far[core].is_asked &= !part.is_last;
        }
        for core in 0..traversal.far.len() {
            if traversal.far[core].is_asked {
                self.post(cx, core, Body::Abandon { place });
            }
        }
        let Traversal { mut visited, mut level, next: [mut start_next, mut end_next], goal, far, .. } = traversal;
        if visited.len() <= KEPT && self.traversals.spare.len() < RUNNING {
            visited.clear();
            [&mut level, &mut start_next, &mut end_next].into_iter().for_each(Frontier::clear);
            self.traversals.spare.push((visited, [level, start_next, end_next]));
        }
        if let Goal::Shortest(search) = goal
            && let ways = search.into_ways()
            && ways.len() <= KEPT
            && self.traversals.spare_ways.len() < RUNNING
        {
            self.traversals.spare_ways.push(ways);
        }
        self.traversals.places[place] = Place::Ending(far);
        self.free_place(cx, place);
    }

    /// Gives a place of which the traversal has ended to whoever waits for one, if every core has let go.
    fn free_place(&mut self, cx: &mut Context<'_, Message>, place: usize) {
        if let Place::Ending(far) = &self.traversals.places[place]
            && !far.iter().any(|far| far.is_asked)
        {
            self.traversals.places[place] = Place::Free;
            cx.resume();
        }
    }

    /// Tells whoever asked what was found.
    fn tell_found(&mut self, cx: &mut Context<'_, Message>, traversal: &mut Traversal, outcome: Outcome) {
        let found = match &mut traversal.goal {
            Goal::Within { ids, search, .. } => {
                let found = outcome.map(|()| std::mem::take(ids));
                return self.neighbourhood_found(cx, *search, found);
            }
            Goal::Shortest(search) if search.is_met() => search.paths(MOST_CONCEPTS),
            Goal::Shortest(_) => Vec::new(),
            Goal::MostConfident(search) => search.path().into_iter().collect(),
        };
        let route = |Found { concepts, hops }| {
            let ids = concepts.iter().map(|concept| self.id(traversal, *concept));
            Route { concepts: ids.collect(), hops }
        };
        let paths = outcome.map(|()| found.into_iter().map(route).collect());
        self.path_found(cx, Ticket::Here(traversal.to), paths);
    }
}
