//! One traversal, level by level: what it goes on with, and the edges that are taken for it.
//!
//! This core's own concepts' associations are read in place, those of other cores' concepts by
//! those cores. What has been visited and what is sought is the traversal's (`traversal.rs`).

use std::collections::VecDeque;
use std::sync::Arc;

use sutra_net::Context;
use sutra_store::{Step, Walk};
use sutra_wire::ConceptId;

use super::level::Level;
use super::shortest::Side;
use super::traversal::{Far, Goal, Phase, Progress, Terms, Traversal, WINDOW};
use super::visited::{Name, Visited};
use crate::core::Core;
use crate::core::message::{Batch, Body, Edges, Message, PathMessage};
use crate::core::names::TraversalPlace;

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
    memory: (Visited, [Level; 3]),
) -> Traversal {
    let (visited, [level, start_next, end_next]) = memory;
    let mut traversal = Traversal {
        to: terms.to,
        namespace: terms.namespace,
        kinds: terms.kinds,
        direction: terms.direction,
        max_visited: terms.max_visited,
        known: core.shard.nodes(),
        visited,
        goal,
        side: Side::Start,
        level,
        next: [start_next, end_next],
        walk: Walk::default(),
        far: vec![Far::Idle; cores],
        received: VecDeque::new(),
        phase: Phase::Searching,
    };
    for (id, side) in ends.iter().zip([Side::Start, Side::End]) {
        let number = number(core, &mut traversal, id);
        traversal.next[side as usize].push(core.owner(id), number);
    }
    traversal
}

/// The number of a concept in a traversal.
fn number(core: &Core, traversal: &mut Traversal, id: &ConceptId) -> u32 {
    match core.shard.node(traversal.namespace, id) {
        Some(node) if node < traversal.known => traversal.visited.number_of_node(node),
        _ => traversal.visited.number_of_id(id),
    }
}

/// The id of a traversal's concept.
pub(super) fn id(core: &Core, traversal: &Traversal, concept: u32) -> ConceptId {
    match traversal.visited.name(concept) {
        Name::Node(node) => core.shard.node_id(node),
        Name::Id(id) => id,
    }
}

/// One piece of work: a batch for another core, a part that one has sent, some of this core's own
/// edges, or the step to the next level.
pub(super) fn work_on(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    place: TraversalPlace,
    traversal: &mut Traversal,
    steps: &mut Vec<Step>,
) -> Progress {
    let here = cx.index();
    let is_due = |(other, far): (usize, &Far)| other != here && !far.is_working() && !traversal.level.is_begun(other);
    if traversal.phase == Phase::Searching
        && let Some(other) = traversal.far.iter().enumerate().position(is_due)
    {
        let batch = batch(core, traversal, other);
        core.post(cx, other, Body::Path(PathMessage::Expand { place, batch }));
        return Progress::Again;
    }
    if let Some((other, edges)) = traversal.received.pop_front() {
        if !edges.is_last {
            core.post(cx, other, Body::Path(PathMessage::ExpandOn { place }));
        }
        let far = traversal.far[other];
        traversal.far[other].took(edges.is_last);
        if let Far::Working { first } = far
            && traversal.phase.takes_from(other)
        {
            take_edges(core, traversal, other, first, &edges);
            return traversal.progress(other, edges.is_whole);
        }
        return Progress::Again;
    }
    if traversal.phase.takes_from(here) && !(traversal.walk.is_over() && traversal.level.is_begun(here)) {
        walk_here(core, traversal, here, steps);
        return traversal.progress(here, traversal.walk.is_over());
    }
    if traversal.far.iter().any(Far::is_working) {
        return Progress::Waits;
    }
    match traversal.begin_level() {
        true => Progress::Again,
        false => Progress::Ended(Ok(())),
    }
}

/// The next concepts of the level that belong to another core.
fn batch(core: &Core, traversal: &mut Traversal, other: usize) -> Batch {
    traversal.far[other] = Far::Working { first: traversal.level.begun[other] };
    let mut ids = Vec::new();
    while ids.len() < BATCH
        && let Some(unit) = traversal.level.begin(other)
    {
        ids.push(id(core, traversal, traversal.concept(unit)));
    }
    let (namespace, kinds) = (traversal.namespace, Arc::clone(&traversal.kinds));
    Batch { namespace, direction: traversal.follows(), kinds, ids }
}

/// Takes edges that another core has read, of a batch that begins there among the level's units.
fn take_edges(core: &Core, traversal: &mut Traversal, other: usize, first: u32, edges: &Edges) {
    for edge in &edges.edges {
        let unit = traversal.level.cores[other][first + edge.from];
        let to = number(core, traversal, &edge.peer);
        if let Some(unit) = traversal.take(unit, to, edge.kind, edge.confidence, edge.is_outgoing) {
            traversal.go_on_from(core.owner(&edge.peer), unit, || edge.peer);
        }
    }
}

/// Reads some associations of this core's own concepts, a window of concepts after the other.
fn walk_here(core: &Core, traversal: &mut Traversal, here: usize, steps: &mut Vec<Step>) {
    if traversal.walk.is_over() {
        let direction = traversal.follows();
        for _ in 0..WINDOW {
            let Some(unit) = traversal.level.begin(here) else { break };
            let node = match traversal.visited.name(traversal.concept(unit)) {
                Name::Node(node) => Some(node),
                Name::Id(id) => core.shard.node(traversal.namespace, &id),
            };
            if let Some(node) = node {
                core.shard.begin_walk(&mut traversal.walk, unit, node, direction);
            }
        }
    }
    core.shard.continue_walk(&mut traversal.walk, &traversal.kinds, STEPS, steps);
    let is_alone = traversal.far.len() == 1;
    for Step { from, peer, kind, confidence, is_outgoing } in steps.drain(..) {
        let to = match peer < traversal.known {
            true => traversal.visited.number_of_node(peer),
            false => traversal.visited.number_of_id(&core.shard.node_id(peer)),
        };
        if let Some(unit) = traversal.take(from, to, kind, confidence, is_outgoing) {
            let id = || core.shard.node_id(peer);
            traversal.go_on_from(if is_alone { here } else { core.owner(&id()) }, unit, id);
        }
    }
}
