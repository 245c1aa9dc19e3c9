//! Traversals of the graph: how two concepts are connected, and which lie around one.
//!
//! A traversal goes level by level (`coordinator.rs`): the core that was asked keeps what has been
//! visited, and reads its own concepts' associations in place. It has every other core read those
//! of its concepts (`helper.rs`), a batch of concepts a message. What is sought is the goal's
//! (`shortest.rs`, `most_confident.rs`, `within.rs`). A traversal reads each core's visible state
//! as it goes: every edge that it reports was there when it was read.
//!
//! A traversal works in slices (`run_queue.rs`), at most [`RUNNING`] on a core at a time, and stops
//! when nobody waits for it any more. Its number is free again when every other core has let go of
//! the batch that it was given, so no answer can be another's.

mod coordinator;
mod helper;
mod level;
mod most_confident;
mod shortest;
mod traversal;
mod visited;
mod within;

use std::sync::Arc;

use sutra_net::{Context, Flow, Request};
use sutra_store::{NamespaceId, Step};
use sutra_wire::{
    ConceptId, Direction, Path, PathEdge, PathMode, PathRequest, Paths as PathsReply, Status,
    limits,
};

use crate::core::message::{Batch, Body, Edges, Forwarded, Message, PathMessage, Ticket};
use crate::core::names::{BatchNumber, TraversalNumber};
use crate::core::neighborhood::{Neighborhood, NeighborhoodAsked};
use crate::core::run_queue::{LongWork, SLICE};
use crate::core::{Core, validated};
use helper::Helpers;
use most_confident::MostConfident;
use shortest::{Found, Hop, Shortest, Ways};
use traversal::{Goal, Helping, Memory, Outcome, Progress, RUNNING, Sought, Terms, Traversal};
use within::Within;

/// Concepts of a traversal up to which its memory is kept for the next: some 4 MiB for each of
/// [`RUNNING`].
const KEPT: usize = 65_536;
/// Concepts of all paths of one reply: with its association each takes 28 bytes of at most
/// [`limits::MAX_PAYLOAD`].
const MOST_CONCEPTS: usize = 1 << 19;

/// A path as it is answered.
struct Route {
    concepts: Vec<ConceptId>,
    /// One fewer.
    hops: Vec<Hop>,
}

enum TraversalState {
    Free,
    /// It is in the run queue.
    Queued(Box<Traversal>),
    /// Only another core can bring it on.
    Waiting(Box<Traversal>),
    /// Answered; other cores may not have let go of their batches.
    Ending(Helping),
}

/// A core's traversals, and what it reads for those of other cores.
pub(crate) struct Paths {
    slots: [TraversalState; RUNNING],
    helpers: Helpers,
    /// A slice's associations, kept for its memory.
    steps: Vec<Step>,
    /// What ended traversals visited, empty, kept for its memory: growing hash tables anew was a
    /// tenth of a traversal.
    spare: Vec<Memory>,
    spare_ways: Vec<Ways>,
}

impl Paths {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            slots: std::array::from_fn(|_| TraversalState::Free),
            helpers: Helpers::new(cores),
            steps: Vec::new(),
            spare: Vec::new(),
            spare_ways: Vec::new(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, TraversalState::Free))
    }

    fn free_slot(&self) -> Option<TraversalNumber> {
        self.slots.iter().position(|slot| matches!(slot, TraversalState::Free)).map(TraversalNumber)
    }

    /// Whether another traversal may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.free_slot().is_some()
    }

    pub(crate) fn path(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(path) = validated::<PathRequest>(cx, request) else { return Flow::Taken };
        let (start, end) = (ConceptId(path.start), ConceptId(path.end));
        let Some(namespace) = core.namespaces().lookup(&path.namespace) else {
            answer(core, cx, Ticket::here(request.reply_to), Ok(Vec::new()));
            return Flow::Taken;
        };
        if start == end {
            let there = |_: &mut Context<'_, Message>| Forwarded::Itself { namespace, id: start };
            return core.at_owner(cx, start, request.reply_to, there, |core, cx, ticket| {
                itself(core, cx, ticket, namespace, start);
                Flow::Taken
            });
        }
        cx.about(request.reply_to, start.0);
        let Some(number) = self.free_slot() else { return Flow::Wait };
        let max_visited = match path.max_visited.to_native() {
            0 => limits::DEFAULT_VISITED,
            visited => visited,
        } as usize;
        let max_depth = path.max_depth.to_native();
        let goal = if path.mode == PathMode::MostConfident as u8 {
            Goal::MostConfident(MostConfident::new(max_depth, max_visited))
        } else {
            let ways = self.spare_ways.pop().unwrap_or_default();
            Goal::Shortest(Shortest::new(
                max_depth,
                path.alternatives.to_native() as usize,
                max_visited,
                ways,
            ))
        };
        let kinds = path.kinds.iter().map(|kind| kind.to_native()).collect();
        let direction = Direction::from_number(path.direction).expect("validated");
        let terms = Terms::new(request.reply_to, namespace, kinds, direction, max_visited);
        self.begin(core, cx, number, terms, goal, &[start, end]);
        Flow::Taken
    }

    /// Looks for the concepts around one; the outcome comes out of [`Paths::advance`]. There must
    /// be a free slot.
    pub(crate) fn find_neighborhood(
        &mut self,
        core: &mut Core,
        cx: &Context<'_, Message>,
        asked: NeighborhoodAsked,
    ) {
        let NeighborhoodAsked { search, to, namespace, around, edges } = asked;
        let number = self.free_slot().expect("there is a free slot for whoever was told so");
        let mut ids = vec![Vec::new(); cx.cores()];
        ids[core.owner(&around)].push(around.0);
        let goal =
            Goal::Within { within: Within::new(edges, limits::DEFAULT_VISITED), ids, search };
        let max_visited = limits::DEFAULT_VISITED as usize;
        let terms = Terms::new(to, namespace, Arc::default(), Direction::Both, max_visited);
        self.begin(core, cx, number, terms, goal, &[around]);
    }

    /// Begins a traversal in a free number, from these concepts: a start, and an end where it has
    /// one.
    fn begin(
        &mut self,
        core: &mut Core,
        cx: &Context<'_, Message>,
        number: TraversalNumber,
        terms: Terms,
        goal: Goal,
        ends: &[ConceptId],
    ) {
        let cores = cx.cores();
        let memory = self.spare.pop().unwrap_or_else(|| Memory::new(cores));
        let traversal = coordinator::begin(core, cores, terms, goal, ends, memory);
        self.slots[number.0] = TraversalState::Queued(Box::new(traversal));
        core.run_queue().push(LongWork::Traversal(number));
    }

    /// Another core asks for help, or gives it.
    pub(crate) fn message(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        message: PathMessage,
    ) {
        match message {
            PathMessage::Expand { traversal: number, batch } => {
                self.expand(core, from, number, batch);
            }
            PathMessage::ExpandOn { traversal: number } => {
                if let Some(batch) = self.helpers.go_on(from, number) {
                    core.run_queue().push(LongWork::Batch(batch));
                }
            }
            PathMessage::Abandon { traversal: number } => {
                if self.helpers.abandon(from, number) {
                    helper::let_go(core, cx, from, number);
                }
            }
            PathMessage::Expanded { traversal: number, edges } => {
                self.expanded(core, cx, from, number, edges);
            }
        }
    }

    fn expand(&mut self, core: &mut Core, from: usize, number: TraversalNumber, batch: Batch) {
        let batch = self.helpers.begin(from, number, batch);
        core.run_queue().push(LongWork::Batch(batch));
    }

    /// Reads the next associations of a batch of another core's.
    pub(crate) fn advance_batch(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: BatchNumber,
    ) {
        if self.helpers.advance(core, cx, number) {
            core.run_queue().push(LongWork::Batch(number));
        }
    }

    /// Some of what another core has read for a traversal.
    fn expanded(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        number: TraversalNumber,
        edges: Edges,
    ) {
        let state = &mut self.slots[number.0];
        match std::mem::replace(state, TraversalState::Free) {
            TraversalState::Queued(mut traversal) => {
                traversal.receive(from, edges);
                *state = TraversalState::Queued(traversal);
            }
            TraversalState::Waiting(mut traversal) => {
                traversal.receive(from, edges);
                *state = TraversalState::Queued(traversal);
                core.run_queue().push(LongWork::Traversal(number));
            }
            TraversalState::Ending(mut helping) => {
                helping.took(from, &edges);
                *state = TraversalState::Ending(helping);
                self.free(cx, number);
            }
            TraversalState::Free => {
                debug_assert!(false, "a slot is free when every core has let go");
            }
        }
    }

    /// Does a slice of a traversal. Returns what was found around a concept, when that is known.
    pub(crate) fn advance(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: TraversalNumber,
    ) -> Option<Neighborhood> {
        let TraversalState::Queued(mut traversal) =
            std::mem::replace(&mut self.slots[number.0], TraversalState::Free)
        else {
            unreachable!("only a queued traversal is in the queue, and it leaves it for its slice");
        };
        let until = cx.read_clock() + SLICE;
        loop {
            let progress = match cx.is_waiting(traversal.to()) {
                true => coordinator::work_on(core, cx, number, &mut traversal, &mut self.steps),
                false => {
                    let message = "nobody waits for it any more".to_owned();
                    Progress::Ended(Err((Status::DeadlineExceeded, message)))
                }
            };
            match progress {
                Progress::Ended(outcome) => return self.end(core, cx, number, *traversal, outcome),
                Progress::Waits => {
                    self.slots[number.0] = TraversalState::Waiting(traversal);
                    return None;
                }
                Progress::Again if cx.read_clock() < until => {}
                Progress::Again => {
                    self.slots[number.0] = TraversalState::Queued(traversal);
                    core.run_queue().push(LongWork::Traversal(number));
                    return None;
                }
            }
        }
    }

    /// Answers, and has the other cores let go of what they still work on.
    fn end(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: TraversalNumber,
        mut traversal: Traversal,
        outcome: Outcome,
    ) -> Option<Neighborhood> {
        let neighborhood = tell(core, cx, &mut traversal, outcome);
        let (memory, ways, helping) = traversal.end();
        self.keep_memory(memory, ways);
        for other in helping.working() {
            core.post(cx, other, Body::Path(PathMessage::Abandon { traversal: number }));
        }
        self.slots[number.0] = TraversalState::Ending(helping);
        self.free(cx, number);
        neighborhood
    }

    /// Keeps an ended traversal's memory for the next, where it is not too much.
    fn keep_memory(&mut self, mut memory: Memory, ways: Option<Ways>) {
        if memory.visited() <= KEPT && self.spare.len() < RUNNING {
            memory.clear();
            self.spare.push(memory);
        }
        if let Some(ways) = ways
            && ways.len() <= KEPT
            && self.spare_ways.len() < RUNNING
        {
            self.spare_ways.push(ways);
        }
    }

    /// Frees the slot of a traversal that has ended, if every core has let go.
    fn free(&mut self, cx: &mut Context<'_, Message>, number: TraversalNumber) {
        if let TraversalState::Ending(helping) = &self.slots[number.0]
            && helping.working().next().is_none()
        {
            self.slots[number.0] = TraversalState::Free;
            cx.resume();
        }
    }
}

/// Tells whoever asked what was found. What was found around a concept is returned.
fn tell(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    traversal: &mut Traversal,
    outcome: Outcome,
) -> Option<Neighborhood> {
    let found = match traversal.found(MOST_CONCEPTS) {
        Sought::Around(search, ids) => {
            return Some(Neighborhood { search, found: outcome.map(|()| ids) });
        }
        Sought::Paths(found) => found,
    };
    let route = |Found { concepts, hops }| {
        let ids = concepts.iter().map(|concept| coordinator::id(core, traversal.name(*concept)));
        Route { concepts: ids.collect(), hops }
    };
    let routes = outcome.map(|()| found.into_iter().map(route).collect());
    answer(core, cx, Ticket::here(traversal.to()), routes);
    None
}

/// Answers with the path from a concept of this core's to itself: there is one from each that
/// is learned, or that an association names.
pub(crate) fn itself(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    namespace: NamespaceId,
    id: ConceptId,
) {
    let route = Route { concepts: vec![id], hops: Vec::new() };
    let found = if core.shard().knows(namespace, &id) { vec![route] } else { Vec::new() };
    answer(core, cx, ticket, Ok(found));
}

/// Answers with the paths that were found, best first, or says why there are none.
fn answer(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    found: Result<Vec<Route>, (Status, String)>,
) {
    let found = match found {
        Ok(found) => found,
        Err((status, message)) => return core.refuse(cx, ticket, status, message),
    };
    if let Some(Route { concepts, .. }) =
        found.first().filter(|route| route.concepts.len() > MOST_CONCEPTS)
    {
        let message = format!(
            "the path found has {} concepts, and a reply holds at most {MOST_CONCEPTS}; \
             ask for one of less max_depth",
            concepts.len()
        );
        return core.refuse(cx, ticket, Status::InvalidArgument, message);
    }
    let edge =
        |Hop { kind, confidence, is_forward }| PathEdge { kind, confidence, forward: is_forward };
    let path = |Route { concepts, hops }| Path {
        concepts: concepts.into_iter().map(|id| id.0).collect(),
        edges: hops.into_iter().map(edge).collect(),
    };
    core.answer_archive(cx, ticket, &PathsReply { paths: found.into_iter().map(path).collect() });
}
