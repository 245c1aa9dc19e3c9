//! What a core does for the traversals of other cores: reads the associations of its own concepts,
//! a batch of concepts at a time, and answers in several messages.
//!
//! It keeps the batch that it works on and nothing else of a traversal. An answer is made when the
//! one before it has been taken, so a hub's associations never pile up between two cores.

use sutra_net::Context;
use sutra_store::{Step, Walk};

use super::traversal::{RUNNING, WINDOW};
use crate::core::Core;
use crate::core::message::{Batch, Body, Edges, FarEdge, Message, PathMessage};
use crate::core::names::{BatchNumber, TraversalNumber};
use crate::core::run_queue::SLICE;

/// Associations after which an answer is full: 28 KiB, and some 0.1 ms of work for either core.
const FULL: usize = 1024;

/// A batch that is being read.
struct Reading {
    batch: Batch,
    /// How many of the batch's concepts have been begun.
    begun: usize,
    walk: Walk,
    /// The answer that is being made.
    edges: Vec<FarEdge>,
}

enum BatchState {
    Free,
    /// It is in the run queue.
    Queued(Reading),
    /// Its next answer has not been asked for.
    Waiting(Reading),
    /// It is in the run queue, and nothing more of it is wanted.
    Abandoned,
}

/// The batches of other cores, by the core that asked and its traversal.
pub(super) struct Helpers {
    slots: Vec<BatchState>,
    /// A slice's associations, kept for its memory.
    steps: Vec<Step>,
}

fn number_of(core: usize, traversal: TraversalNumber) -> BatchNumber {
    BatchNumber(core * RUNNING + traversal.0)
}

impl Helpers {
    pub(super) fn new(cores: usize) -> Self {
        Self { slots: (0..cores * RUNNING).map(|_| BatchState::Free).collect(), steps: Vec::new() }
    }

    /// Another core's traversal asks for a batch. Its last one has ended: it asks for one at a
    /// time.
    pub(super) fn begin(
        &mut self,
        core: usize,
        traversal: TraversalNumber,
        batch: Batch,
    ) -> BatchNumber {
        let number = number_of(core, traversal);
        debug_assert!(matches!(self.slots[number.0], BatchState::Free), "a batch at a time");
        self.slots[number.0] = BatchState::Queued(Reading {
            batch,
            begun: 0,
            walk: Walk::default(),
            edges: Vec::new(),
        });
        number
    }

    /// The next answer is wanted. Returns what is to be put into the run queue.
    pub(super) fn go_on(&mut self, core: usize, traversal: TraversalNumber) -> Option<BatchNumber> {
        let number = number_of(core, traversal);
        let state = &mut self.slots[number.0];
        match std::mem::replace(state, BatchState::Free) {
            BatchState::Waiting(reading) => {
                *state = BatchState::Queued(reading);
                Some(number)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Nothing more of a batch is wanted. Returns whether it was let go at once.
    pub(super) fn abandon(&mut self, core: usize, traversal: TraversalNumber) -> bool {
        let state = &mut self.slots[number_of(core, traversal).0];
        match state {
            BatchState::Queued(_) => *state = BatchState::Abandoned,
            BatchState::Waiting(_) => {
                *state = BatchState::Free;
                return true;
            }
            BatchState::Free | BatchState::Abandoned => {}
        }
        false
    }

    /// Reads the next associations of a batch; sends them when an answer is full or the batch is
    /// done. Returns whether it is to go on at once.
    pub(super) fn advance(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        number: BatchNumber,
    ) -> bool {
        let (asked_by, traversal) = (number.0 / RUNNING, TraversalNumber(number.0 % RUNNING));
        let mut reading = match std::mem::replace(&mut self.slots[number.0], BatchState::Free) {
            BatchState::Queued(reading) => reading,
            BatchState::Abandoned => {
                let_go(core, cx, asked_by, traversal);
                return false;
            }
            BatchState::Free | BatchState::Waiting(_) => {
                unreachable!("only a queued batch is in the queue")
            }
        };
        let is_last = reading.slice(core, cx, &mut self.steps);
        if !is_last && reading.edges.len() < FULL {
            self.slots[number.0] = BatchState::Queued(reading);
            return true;
        }
        let edges = std::mem::take(&mut reading.edges);
        let edges = Edges { edges, is_whole: reading.walk.is_over(), is_last };
        core.post(cx, asked_by, Body::Path(PathMessage::Expanded { traversal, edges }));
        if !is_last {
            self.slots[number.0] = BatchState::Waiting(reading);
        }
        false
    }
}

impl Reading {
    /// Reads until an answer is full, the time is up, or nothing is left, which is returned.
    fn slice(&mut self, core: &Core, cx: &Context<'_, Message>, steps: &mut Vec<Step>) -> bool {
        let Self { batch, begun, walk, edges } = self;
        let until = cx.read_clock() + SLICE;
        loop {
            if walk.is_over() {
                for (number, id) in (*begun..).zip(batch.ids[*begun..].iter().take(WINDOW)) {
                    if let Some(node) = core.shard().node(batch.namespace, id) {
                        core.shard().begin_walk(walk, number as u32, node, batch.direction);
                    }
                    *begun += 1;
                }
            }
            core.shard().continue_walk(walk, &batch.kinds, FULL / 4, steps);
            edges.extend(steps.drain(..).map(
                |Step { from, peer, kind, confidence, is_outgoing }| {
                    let peer = core.shard().node_id(peer);
                    FarEdge { from, peer, kind, confidence, is_outgoing }
                },
            ));
            let is_last = walk.is_over() && *begun == batch.ids.len();
            if is_last || edges.len() >= FULL || cx.read_clock() >= until {
                return is_last;
            }
        }
    }
}

/// Tells the core that asked that its batch is let go.
pub(super) fn let_go(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    asked_by: usize,
    traversal: TraversalNumber,
) {
    let edges = Edges { is_whole: true, is_last: true, ..Edges::default() };
    core.post(cx, asked_by, Body::Path(PathMessage::Expanded { traversal, edges }));
}
