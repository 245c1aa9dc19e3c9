//! One traversal, level by level: what it goes on with, and the edges that are taken for it.
//!
//! This core's own concepts' associations are read in place, those of other cores' concepts by
//! those cores. What has been visited and what is sought is the traversal's (`traversal.rs`).

use sutra_net::Context;
use sutra_store::{Step, Walk};
use sutra_wire::ConceptId;

use super::shortest::Side;
use super::traversal::{Goal, Memory, Progress, Terms, Traversal};
use super::visited::Name;
use crate::core::Core;
use crate::core::message::{Body, Edges, Message, PathMessage};
use crate::core::names::TraversalNumber;

/// Associations that are looked at between two looks at the clock.
const STEPS: usize = 256;
/// Most concepts in one message to another core: 16 KiB.
const BATCH: usize = 1024;

/// A traversal from these concepts: a start, and an end where it has one.
pub(super) fn begin(
    core: &Core,
    cores: usize,
    terms: Terms,
    goal: Goal,
    ends: &[ConceptId],
    memory: Memory,
) -> Traversal {
    let mut traversal = Traversal::new(cores, terms, goal, core.shard().nodes(), memory);
    for (id, side) in ends.iter().zip([Side::Start, Side::End]) {
        let concept = number(core, &mut traversal, id);
        traversal.begin_at(side, core.owner(id), concept);
    }
    traversal
}

/// The number of a concept in a traversal.
fn number(core: &Core, traversal: &mut Traversal, id: &ConceptId) -> u32 {
    traversal.number(core.shard().node(traversal.namespace(), id), || *id)
}

/// The id of a concept that is known like this.
pub(super) fn id(core: &Core, name: Name) -> ConceptId {
    match name {
        Name::Node(node) => core.shard().node_id(node),
        Name::Id(id) => id,
    }
}

/// One piece of work: a batch for another core, a part that one has sent, some of this core's own
/// edges, or the step to the next level.
pub(super) fn work_on(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    number: TraversalNumber,
    traversal: &mut Traversal,
    steps: &mut Vec<Step>,
) -> Progress {
    let here = cx.index();
    if let Some(other) = traversal.next_idle(here) {
        let batch = traversal.begin_batch(other, BATCH, |name| id(core, name));
        core.post(cx, other, Body::Path(PathMessage::Expand { traversal: number, batch }));
        return Progress::Again;
    }
    if let Some((other, edges, first)) = traversal.next_received() {
        if !edges.is_last {
            core.post(cx, other, Body::Path(PathMessage::ExpandOn { traversal: number }));
        }
        let Some(first) = first else { return Progress::Again };
        take_edges(core, traversal, other, first, &edges);
        return traversal.progress(other, edges.is_whole);
    }
    if traversal.wants_walk(here) {
        walk_here(core, traversal, here, steps);
        return traversal.progress(here, traversal.is_walked());
    }
    if traversal.is_helped() {
        return Progress::Waits;
    }
    match traversal.begin_level() {
        true => Progress::Again,
        false => Progress::Ended(Ok(())),
    }
}

/// Takes edges that another core has read, of a batch that begins there among the level's units.
fn take_edges(core: &Core, traversal: &mut Traversal, other: usize, first: u32, edges: &Edges) {
    for edge in &edges.edges {
        let unit = traversal.unit(other, first + edge.from);
        let to = number(core, traversal, &edge.peer);
        if let Some(unit) = traversal.take(unit, to, edge.kind, edge.confidence, edge.is_outgoing) {
            traversal.go_on_from(core.owner(&edge.peer), unit, || edge.peer);
        }
    }
}

/// Reads some associations of this core's own concepts.
fn walk_here(core: &Core, traversal: &mut Traversal, here: usize, steps: &mut Vec<Step>) {
    let (shard, namespace) = (core.shard(), traversal.namespace());
    let begin = |walk: &mut Walk, unit, name, direction| {
        let node = match name {
            Name::Node(node) => Some(node),
            Name::Id(id) => shard.node(namespace, &id),
        };
        if let Some(node) = node {
            shard.begin_walk(walk, unit, node, direction);
        }
    };
    traversal.walk(here, begin, |walk, kinds| shard.continue_walk(walk, kinds, STEPS, steps));
    let is_alone = traversal.is_alone();
    for Step { from, peer, kind, confidence, is_outgoing } in steps.drain(..) {
        let id = || shard.node_id(peer);
        let to = traversal.number(Some(peer), id);
        if let Some(unit) = traversal.take(from, to, kind, confidence, is_outgoing) {
            traversal.go_on_from(if is_alone { here } else { core.owner(&id()) }, unit, id);
        }
    }
}
