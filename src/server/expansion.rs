//! What a core does for the traversals of other cores: reads the associations of its own concepts, a batch of concepts at a time, and
//! sends them in parts.
//!
//! It keeps the batch that it works on and nothing else of a traversal. A part is made when the one before it has been taken, so a hub's
//! associations never pile up between two cores.

use std::sync::Arc;
use std::time::Instant;

use sutra_net::Context;
use sutra_store::{NamespaceId, Step, Walk};
use sutra_wire::{ConceptId, Direction};

use crate::message::{Body, Message};
use crate::run_queue::{SLICE, Work};
use crate::service::StorageService;
use crate::traversing::{RUNNING, WINDOW};

/// Associations after which a part is full: 28 KiB, and some 0.1 ms of work for either core.
const PART: usize = 1024;

/// Concepts whose associations a traversal asks another core for.
pub(crate) struct Batch {
    pub(crate) namespace: NamespaceId,
    /// As seen from these concepts.
    pub(crate) direction: Direction,
    /// Only these kinds; all where there is none.
    pub(crate) kinds: Arc<[u32]>,
    pub(crate) ids: Vec<ConceptId>,
}

/// An association of one of them.
pub(crate) struct FarEdge {
    /// Which one, by its place in the batch.
    pub(crate) from: u32,
    pub(crate) peer: ConceptId,
    pub(crate) kind: u32,
    pub(crate) confidence: f32,
    pub(crate) is_outgoing: bool,
}

/// Some of a batch's associations.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) edges: Vec<FarEdge>,
    /// Whether each concept of which there has been any association has had all of them.
    pub(crate) is_whole: bool,
    /// Whether these were the batch's last.
    pub(crate) is_last: bool,
}

struct Expansion {
    batch: Batch,
    /// How many of the batch's concepts have been begun.
    begun: usize,
    walk: Walk,
    /// The part that is being made.
    edges: Vec<FarEdge>,
    /// Whether it is in the run queue; otherwise its next part has not been asked for.
    is_queued: bool,
    is_abandoned: bool,
}

/// A core's expansions, by the core that asked and its traversal's place.
pub(crate) struct Expansions {
    slots: Vec<Option<Expansion>>,
    /// A slice's associations, kept for its memory.
    steps: Vec<Step>,
}

impl Expansions {
    pub(crate) fn new(cores: usize) -> Self {
        Self { slots: (0..cores * RUNNING).map(|_| None).collect(), steps: Vec::new() }
    }
}

fn slot(core: usize, place: usize) -> usize {
    core * RUNNING + place
}

impl StorageService {
    /// Another core's traversal asks for a batch. Its last one has ended: it asks for one at a time.
    pub(crate) fn expand(&mut self, core: usize, place: usize, batch: Batch) {
        let slot = slot(core, place);
        debug_assert!(self.expansions.slots[slot].is_none(), "a batch at a time");
        self.expansions.slots[slot] = Some(Expansion {
            batch,
            begun: 0,
            walk: Walk::default(),
            edges: Vec::new(),
            is_queued: true,
            is_abandoned: false,
        });
        self.run_queue.push(Work::Expansion(slot));
    }

    pub(crate) fn expand_on(&mut self, core: usize, place: usize) {
        let slot = slot(core, place);
        let Some(expansion) = self.expansions.slots[slot].as_mut() else { return };
        if !expansion.is_queued {
            expansion.is_queued = true;
            self.run_queue.push(Work::Expansion(slot));
        }
    }

    pub(crate) fn abandon_expansion(&mut self, cx: &mut Context<'_, Message>, core: usize, place: usize) {
        let entry = &mut self.expansions.slots[slot(core, place)];
        let Some(expansion) = entry else { return };
        expansion.is_abandoned = true;
        if !expansion.is_queued {
            *entry = None;
            self.let_go(cx, core, place);
        }
    }

    fn let_go(&mut self, cx: &mut Context<'_, Message>, core: usize, place: usize) {
        let part = Part { is_whole: true, is_last: true, ..Part::default() };
        self.post(cx, core, Body::Expanded { place, part });
    }

    /// Reads the next associations of a batch; sends them when a part is full or the batch is done.
    pub(crate) fn advance_expansion(&mut self, cx: &mut Context<'_, Message>, slot: usize) {
        let (core, place) = (slot / RUNNING, slot % RUNNING);
        let Some(mut expansion) = self.expansions.slots[slot].take() else { return };
        expansion.is_queued = false;
        if expansion.is_abandoned {
            return self.let_go(cx, core, place);
        }
        let Expansion { batch, begun, walk, edges, .. } = &mut expansion;
        let mut steps = std::mem::take(&mut self.expansions.steps);
        let until = Instant::now() + SLICE;
        let is_last = loop {
            if walk.is_over() {
                for (number, id) in (*begun..).zip(batch.ids[*begun..].iter().take(WINDOW)) {
                    if let Some(node) = self.shard.node(batch.namespace, id) {
                        self.shard.begin_walk(walk, number as u32, node, batch.direction);
                    }
                    *begun += 1;
                }
            }
            self.shard.continue_walk(walk, &batch.kinds, PART / 4, &mut steps);
            edges.extend(steps.drain(..).map(|Step { from, peer, kind, confidence, is_outgoing }| FarEdge {
                from,
                peer: self.shard.node_id(peer),
                kind,
                confidence,
                is_outgoing,
            }));
            let is_last = walk.is_over() && *begun == batch.ids.len();
            if is_last || edges.len() >= PART || Instant::now() >= until {
                break is_last;
            }
        };
        self.expansions.steps = steps;
        if is_last || expansion.edges.len() >= PART {
            let edges = std::mem::take(&mut expansion.edges);
            let part = Part { edges, is_whole: expansion.walk.is_over(), is_last };
            self.post(cx, core, Body::Expanded { place, part });
        } else {
            expansion.is_queued = true;
            self.run_queue.push(Work::Expansion(slot));
        }
        self.expansions.slots[slot] = Some(expansion).filter(|_| !is_last);
    }
}
