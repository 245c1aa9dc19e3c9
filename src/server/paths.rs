//! Searches over the graph: how two concepts are connected, and which lie around one.
//!
//! A search goes level by level (`coordinator.rs`): the core that was asked keeps what has been
//! visited, reads its own concepts' associations in place, and has every other core read those of
//! its concepts (`helper.rs`), a batch of concepts a message. What is sought is the goal's
//! (`shortest.rs`, `most_confident.rs`, `within.rs`). A search reads each core's visible state as
//! it goes: every edge that it reports was there when it was read.
//!
//! A traversal works in slices (`run_queue.rs`), at most [`RUNNING`] on a core at a time, and stops
//! when nobody waits for it any more. Its place is free again when every other core has let go of
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
use std::time::Instant;

use sutra_net::{Context, Flow, ReplyTo, Request};
use sutra_store::{NamespaceId, Step};
use sutra_wire::{ConceptId, Direction, Path, PathEdge, PathMode, PathRequest, Paths as PathsReply, Status, limits};

use crate::core::message::{Batch, Body, Edges, Forwarded, Message, PathMessage, Ticket};
use crate::core::names::{BatchSlot, SearchNumber, TraversalPlace};
use crate::core::run_queue::{SLICE, Work};
use crate::core::{Core, validated};
use helper::Helpers;
use level::Level;
use most_confident::MostConfident;
use shortest::{Found, Hop, Shortest, Ways};
use traversal::{Far, Goal, Outcome, Progress, RUNNING, Terms, Traversal};
use visited::Visited;
use within::Within;

/// Concepts of a search up to which its memory is kept for the next: some 4 MiB for each of
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

/// What was found around a concept, by the cores that own it, for a vector search; or why nothing
/// was.
pub(crate) struct Neighborhood {
    pub(crate) search: SearchNumber,
    pub(crate) found: Result<Vec<Vec<[u8; 16]>>, (Status, String)>,
}

enum Place {
    Free,
    /// It is in the run queue.
    Queued(Box<Traversal>),
    /// Only another core can bring it on.
    Waiting(Box<Traversal>),
    /// Answered; these cores may not have let go of their batches.
    Ending(Vec<Far>),
}

/// A core's traversals, and what it reads for those of other cores.
pub(crate) struct Paths {
    places: [Place; RUNNING],
    helpers: Helpers,
    /// A slice's associations, kept for its memory.
    steps: Vec<Step>,
    /// What ended searches visited, empty, kept for its memory: growing hash tables anew was a
    /// tenth of a search.
    spare: Vec<(Visited, [Level; 3])>,
    spare_ways: Vec<Ways>,
}

impl Paths {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            places: std::array::from_fn(|_| Place::Free),
            helpers: Helpers::new(cores),
            steps: Vec::new(),
            spare: Vec::new(),
            spare_ways: Vec::new(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.places.iter().all(|place| matches!(place, Place::Free))
    }

    fn free_place(&self) -> Option<TraversalPlace> {
        self.places.iter().position(|place| matches!(place, Place::Free)).map(TraversalPlace)
    }

    /// Whether another traversal may begin.
    pub(crate) fn has_place(&self) -> bool {
        self.free_place().is_some()
    }

    pub(crate) fn path(&mut self, core: &mut Core, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(path) = validated::<PathRequest>(cx, request) else { return Flow::Taken };
        let (start, end) = (ConceptId(path.start), ConceptId(path.end));
        let Some(namespace) = core.namespaces.lookup(&path.namespace) else {
            answer(core, cx, Ticket::Here(request.reply_to), Ok(Vec::new()));
            return Flow::Taken;
        };
        if start == end {
            let there = |_: &mut Context<'_, Message>| Forwarded::Itself { namespace, id: start };
            return core.at_owner(cx, core.owner(&start), request.reply_to, there, |core, cx, ticket| {
                itself(core, cx, ticket, namespace, start);
                Flow::Taken
            });
        }
        let Some(place) = self.free_place() else { return Flow::Wait };
        let max_visited = match path.max_visited.to_native() {
            0 => limits::DEFAULT_VISITED,
            visited => visited,
        } as usize;
        let max_depth = path.max_depth.to_native();
        let goal = if path.mode == PathMode::MostConfident as u8 {
            Goal::MostConfident(MostConfident::new(max_depth, max_visited))
        } else {
            let ways = self.spare_ways.pop().unwrap_or_default();
            Goal::Shortest(Shortest::new(max_depth, path.alternatives.to_native() as usize, max_visited, ways))
        };
        let terms = Terms {
            to: request.reply_to,
            namespace,
            kinds: path.kinds.iter().map(|kind| kind.to_native()).collect(),
            direction: Direction::from_number(path.direction).expect("validated"),
            max_visited,
        };
        self.begin(core, cx, place, terms, goal, &[start, end]);
        Flow::Taken
    }

    /// Looks for the concepts around one, for a vector search that answers `to`; the outcome comes
    /// out of [`Paths::advance`]. There must be a place.
    pub(crate) fn find_neighborhood(
        &mut self,
        core: &mut Core,
        cx: &Context<'_, Message>,
        search: SearchNumber,
        to: ReplyTo,
        namespace: NamespaceId,
        around: (ConceptId, u32),
    ) {
        let place = self.free_place().expect("there is a place for whoever was told so");
        let (id, edges) = around;
        let mut ids = vec![Vec::new(); cx.cores()];
        ids[core.owner(&id)].push(id.0);
        let goal = Goal::Within { within: Within::new(edges, limits::DEFAULT_VISITED), ids, search };
        let max_visited = limits::DEFAULT_VISITED as usize;
        let terms = Terms { to, namespace, kinds: Arc::default(), direction: Direction::Both, max_visited };
        self.begin(core, cx, place, terms, goal, &[id]);
    }

    /// Begins a traversal in a free place, from these concepts: a start, and an end where it has
    /// one.
    fn begin(
        &mut self,
        core: &mut Core,
        cx: &Context<'_, Message>,
        place: TraversalPlace,
        terms: Terms,
        goal: Goal,
        ends: &[ConceptId],
    ) {
        let cores = cx.cores();
        let fresh = || (Visited::default(), std::array::from_fn(|_| Level::new(cores)));
        let memory = self.spare.pop().unwrap_or_else(fresh);
        let traversal = coordinator::begin(core, cores, terms, goal, ends, memory);
        self.places[place.0] = Place::Queued(Box::new(traversal));
        core.run_queue.push(Work::Traversal(place));
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
            PathMessage::Expand { place, batch } => self.expand(core, from, place, batch),
            PathMessage::ExpandOn { place } => {
                if let Some(slot) = self.helpers.go_on(from, place) {
                    core.run_queue.push(Work::Batch(slot));
                }
            }
            PathMessage::Abandon { place } => {
                if self.helpers.abandon(from, place) {
                    helper::let_go(core, cx, from, place);
                }
            }
            PathMessage::Expanded { place, edges } => self.expanded(core, cx, from, place, edges),
        }
    }

    fn expand(&mut self, core: &mut Core, from: usize, place: TraversalPlace, batch: Batch) {
        let slot = self.helpers.begin(from, place, batch);
        core.run_queue.push(Work::Batch(slot));
    }

    /// Reads the next associations of a batch of another core's.
    pub(crate) fn advance_batch(&mut self, core: &mut Core, cx: &mut Context<'_, Message>, slot: BatchSlot) {
        if self.helpers.advance(core, cx, slot) {
            core.run_queue.push(Work::Batch(slot));
        }
    }

    /// Some of what another core has read for a traversal.
    fn expanded(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        place: TraversalPlace,
        edges: Edges,
    ) {
        let state = &mut self.places[place.0];
        match std::mem::replace(state, Place::Free) {
            Place::Queued(mut traversal) => {
                traversal.received.push_back((from, edges));
                *state = Place::Queued(traversal);
            }
            Place::Waiting(mut traversal) => {
                traversal.received.push_back((from, edges));
                *state = Place::Queued(traversal);
                core.run_queue.push(Work::Traversal(place));
            }
            Place::Ending(mut far) => {
                far[from].took(edges.is_last);
                *state = Place::Ending(far);
                self.free(cx, place);
            }
            Place::Free => debug_assert!(false, "a place is free when every core has let go"),
        }
    }

    /// Does a slice of a traversal. Returns what was found around a concept, when that is known.
    pub(crate) fn advance(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        place: TraversalPlace,
    ) -> Option<Neighborhood> {
        let Place::Queued(mut traversal) = std::mem::replace(&mut self.places[place.0], Place::Free) else {
            unreachable!("only a queued traversal is in the queue, and it leaves it for its slice");
        };
        let until = Instant::now() + SLICE;
        loop {
            let progress = match cx.is_waiting(traversal.to) {
                true => coordinator::work_on(core, cx, place, &mut traversal, &mut self.steps),
                false => {
                    let message = "nobody waits for it any more".to_owned();
                    Progress::Ended(Err((Status::DeadlineExceeded, message)))
                }
            };
            match progress {
                Progress::Ended(outcome) => return self.end(core, cx, place, *traversal, outcome),
                Progress::Waits => {
                    self.places[place.0] = Place::Waiting(traversal);
                    return None;
                }
                Progress::Again if Instant::now() < until => {}
                Progress::Again => {
                    self.places[place.0] = Place::Queued(traversal);
                    core.run_queue.push(Work::Traversal(place));
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
        place: TraversalPlace,
        mut traversal: Traversal,
        outcome: Outcome,
    ) -> Option<Neighborhood> {
        let neighborhood = tell(core, cx, &mut traversal, outcome);
        for (from, edges) in traversal.received.drain(..) {
            traversal.far[from].took(edges.is_last);
        }
        for (other, far) in traversal.far.iter().enumerate() {
            if far.is_working() {
                core.post(cx, other, Body::Path(PathMessage::Abandon { place }));
            }
        }
        let far = self.keep_memory(traversal);
        self.places[place.0] = Place::Ending(far);
        self.free(cx, place);
        neighborhood
    }

    /// Keeps an ended traversal's memory for the next, where it is not too much.
    fn keep_memory(&mut self, traversal: Traversal) -> Vec<Far> {
        let Traversal { mut visited, mut level, next: [mut start_next, mut end_next], goal, far, .. } = traversal;
        if visited.len() <= KEPT && self.spare.len() < RUNNING {
            visited.clear();
            [&mut level, &mut start_next, &mut end_next].into_iter().for_each(Level::clear);
            self.spare.push((visited, [level, start_next, end_next]));
        }
        if let Goal::Shortest(search) = goal
            && let ways = search.into_ways()
            && ways.len() <= KEPT
            && self.spare_ways.len() < RUNNING
        {
            self.spare_ways.push(ways);
        }
        far
    }

    /// Gives a place of which the traversal has ended to whoever waits for one, if every core has
    /// let go.
    fn free(&mut self, cx: &mut Context<'_, Message>, place: TraversalPlace) {
        if let Place::Ending(far) = &self.places[place.0]
            && !far.iter().any(Far::is_working)
        {
            self.places[place.0] = Place::Free;
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
    let found = match &mut traversal.goal {
        Goal::Within { ids, search, .. } => {
            return Some(Neighborhood { search: *search, found: outcome.map(|()| std::mem::take(ids)) });
        }
        Goal::Shortest(search) if search.is_met() => search.paths(MOST_CONCEPTS),
        Goal::Shortest(_) => Vec::new(),
        Goal::MostConfident(search) => search.path().into_iter().collect(),
    };
    let route = |Found { concepts, hops }| {
        let ids = concepts.iter().map(|concept| coordinator::id(core, traversal, *concept));
        Route { concepts: ids.collect(), hops }
    };
    let routes = outcome.map(|()| found.into_iter().map(route).collect());
    answer(core, cx, Ticket::Here(traversal.to), routes);
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
    let found = if core.shard.knows(namespace, &id) { vec![route] } else { Vec::new() };
    answer(core, cx, ticket, Ok(found));
}

/// Answers with the paths that were found, best first, or says why there are none.
fn answer(core: &mut Core, cx: &mut Context<'_, Message>, ticket: Ticket, found: Result<Vec<Route>, (Status, String)>) {
    let found = match found {
        Ok(found) => found,
        Err((status, message)) => return core.refuse(cx, ticket, status, message),
    };
    if let Some(Route { concepts, .. }) = found.first().filter(|route| route.concepts.len() > MOST_CONCEPTS) {
        let message = format!(
            "the path found has {} concepts, and a reply holds at most {MOST_CONCEPTS}; ask for one of less max_depth",
            concepts.len()
        );
        return core.refuse(cx, ticket, Status::InvalidArgument, message);
    }
    let edge = |Hop { kind, confidence, is_forward }| PathEdge { kind, confidence, forward: is_forward };
    let path = |Route { concepts, hops }| Path {
        concepts: concepts.into_iter().map(|id| id.0).collect(),
        edges: hops.into_iter().map(edge).collect(),
    };
    core.answer_archive(cx, ticket, &PathsReply { paths: found.into_iter().map(path).collect() });
}
