//! Deletions: a concept's associations are removed, each in its source's log, and when all removals are durable and known at both ends, the
//! concept's tombstone is logged. The answer says what was deleted, or, to whoever asks by the older
//! opcode, whether anything was. Each association counts for the deletion that removed it: of two
//! deletions at its two ends, one.
//!
//! A crash in between leaves the concept with fewer associations, and deleting again finishes it. What is written to the concept while it is
//! being deleted may stay or go. A concept's core walks its associations in slices (`run_queue.rs`), and the next of a deletion when the removals of
//! the last have ended, so that a hub holds no core for long.

use std::collections::VecDeque;

use slab::Slab;
use sutra_net::{Context, Flow, Request};
use sutra_store::{EdgeKey, NamespaceId, NeighborQuery};
use sutra_wire::{ConceptId, ConceptKey, Deleted, Direction, Neighbor, Parcel, Status};

use crate::message::{Body, Forwarded, Message, Payload, Ticket};
use crate::run_queue::Work;
use crate::service::{StorageService, validated};

/// Associations that a deletion removes at a time: some 0.1 ms of work on their cores, and enough to share a commit.
const SLICE: u32 = 256;
/// Deletions that a core works on at a time. With [`SLICE`] it bounds the removals under way; more deletions gain nothing, as one slice is
/// done a turn.
const RUNNING: usize = 64;

/// A request to delete, with where it is to be answered.
struct Asked {
    ticket: Ticket,
    namespace: NamespaceId,
    key: Parcel<ConceptKey>,
    /// Whether the answer is to say what was deleted.
    is_counted: bool,
}

struct Deletion {
    asked: Asked,
    /// Associations that it has removed.
    removed: u64,
    /// Where the walk over the associations goes on, `None` when all were asked for.
    next: Option<u64>,
    /// Removals that have not ended.
    under_way: usize,
    /// Why one of them did not happen.
    refused: Option<(Status, String)>,
}

/// A deletion whose tombstone is on its way to the disk.
struct Burial {
    ticket: Ticket,
    is_counted: bool,
    removed: u64,
}

/// The deletions of a core's concepts.
#[derive(Default)]
pub(crate) struct Deletions {
    running: Slab<Deletion>,
    /// Deletions that other cores asked for and that wait for a place; bounded by the other cores' credits.
    waiting: VecDeque<Asked>,
    /// Bounded, as all writes that wait for the disk are, by the log.
    burials: Slab<Burial>,
    /// A slice's associations, kept for its memory.
    slice: Vec<Neighbor>,
}

impl Deletions {
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.burials.is_empty()
    }

    /// Whether another one may begin.
    fn has_place(&self) -> bool {
        self.running.len() < RUNNING
    }
}

impl StorageService {
    pub(crate) fn delete(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>, is_counted: bool) -> Flow {
        let Some(key) = validated::<ConceptKey>(cx, request) else { return Flow::Taken };
        let ticket = Ticket::Here(request.reply_to);
        let Some(namespace) = self.namespaces.lookup(&key.namespace) else {
            self.answer(cx, ticket, Status::NotFound, self.shard.last_sequence(), Payload::Empty);
            return Flow::Taken;
        };
        let owner = self.owner(&ConceptId(key.id));
        if owner != cx.index() {
            return self.forward(cx, owner, request.reply_to, |cx| Forwarded::Delete {
                namespace,
                key: key.copy_into(cx.buffer()),
                is_counted,
            });
        }
        if !self.deletions.has_place() {
            return Flow::Wait;
        }
        let key = key.copy_into(cx.buffer());
        self.begin_deletion(Asked { ticket, namespace, key, is_counted });
        Flow::Taken
    }

    /// A deletion that another core asks for.
    pub(crate) fn delete_for(
        &mut self,
        ticket: Ticket,
        namespace: NamespaceId,
        key: Parcel<ConceptKey>,
        is_counted: bool,
    ) {
        let asked = Asked { ticket, namespace, key, is_counted };
        if self.deletions.has_place() {
            self.begin_deletion(asked);
        } else {
            self.deletions.waiting.push_back(asked);
        }
    }

    fn begin_deletion(&mut self, asked: Asked) {
        let deletion = Deletion { asked, removed: 0, next: Some(0), under_way: 0, refused: None };
        let place = self.deletions.running.insert(deletion);
        self.run_queue.push(Work::Deletion(place));
    }

    /// Does the next piece of work of one deletion: a slice of its associations, or its end.
    pub(crate) fn advance_deletion(&mut self, cx: &mut Context<'_, Message>, place: usize) {
        let Some(deletion) = self.deletions.running.get_mut(place) else { return };
        let (Some(cursor), None) = (deletion.next, &deletion.refused) else {
            return self.end_deletion(cx, place);
        };
        let Asked { namespace, ref key, .. } = deletion.asked;
        let id = ConceptId(key.checked().id);
        let mut slice = std::mem::take(&mut self.deletions.slice);
        let query = NeighborQuery {
            namespace,
            id,
            direction: Direction::Both,
            kinds: &[],
            minimum_confidence: 0.0,
            limit: SLICE,
            cursor,
        };
        let cursor = self.shard.neighbors(&query, &mut slice);
        deletion.next = Some(cursor).filter(|cursor| *cursor != 0);
        deletion.under_way = slice.len();
        match (slice.is_empty(), deletion.next) {
            (true, None) => self.end_deletion(cx, place),
            // Nothing but associations that were removed before.
            (true, Some(_)) => self.run_queue.push(Work::Deletion(place)),
            (false, _) => {}
        }
        for neighbor in slice.drain(..) {
            let (kind, other) = (neighbor.kind, ConceptId(neighbor.id));
            let (source, target) = if neighbor.direction == Direction::Out as u8 { (id, other) } else { (other, id) };
            self.remove(cx, place, EdgeKey { namespace, source, target, kind });
        }
        self.deletions.slice = slice;
    }

    /// Has the core of an association's source remove it.
    fn remove(&mut self, cx: &mut Context<'_, Message>, place: usize, key: EdgeKey) {
        let owner = self.owner(&key.source);
        if owner == cx.index() {
            let ticket = Ticket::Removal { core: owner, deletion: place, has_removed: false };
            self.execute(cx, ticket, Forwarded::Remove(key));
        } else {
            self.post(cx, owner, Body::Remove { deletion: place, key });
        }
    }

    /// One removal of a deletion has ended: whether it removed the association, or why it did not.
    pub(crate) fn removed(&mut self, place: usize, outcome: Result<bool, (Status, String)>) {
        let Some(deletion) = self.deletions.running.get_mut(place) else { return };
        deletion.under_way -= 1;
        match outcome {
            Ok(has_removed) => deletion.removed += u64::from(has_removed),
            Err(refused) => deletion.refused = deletion.refused.take().or(Some(refused)),
        }
        if deletion.under_way == 0 {
            self.run_queue.push(Work::Deletion(place));
        }
    }

    /// The associations are gone, or can't be removed: logs the tombstone, or tells why not.
    fn end_deletion(&mut self, cx: &mut Context<'_, Message>, place: usize) {
        let Some(deletion) = self.deletions.running.try_remove(place) else { return };
        let Deletion { asked: Asked { ticket, namespace, key, is_counted }, removed, refused, .. } = deletion;
        let is_learned = self.shard.record(namespace, &ConceptId(key.checked().id)).is_some();
        match refused {
            Some((status, message)) => {
                self.refuse(cx, ticket, status, cut_short(message, removed));
                cx.give_back(key.into_buffer());
            }
            // Without a write under way that could be of this concept, there is nothing to bury.
            None if !is_learned && self.shard.pending() == 0 => {
                let deleted = Deleted { concept: false, associations: removed };
                self.deleted(cx, ticket, is_counted, deleted, self.shard.last_sequence());
                cx.give_back(key.into_buffer());
            }
            None => {
                let burial = self.deletions.burials.insert(Burial { ticket, is_counted, removed });
                self.execute(cx, Ticket::Burial(burial), Forwarded::Bury { namespace, key });
            }
        }
        if let Some(asked) = self.deletions.waiting.pop_front() {
            self.begin_deletion(asked);
        }
        cx.resume();
    }

    /// A deletion's tombstone is durable: whether the concept was there until then.
    pub(crate) fn buried(&mut self, cx: &mut Context<'_, Message>, burial: usize, concept: bool, sequence: u64) {
        let Some(Burial { ticket, is_counted, removed }) = self.deletions.burials.try_remove(burial) else { return };
        self.deleted(cx, ticket, is_counted, Deleted { concept, associations: removed }, sequence);
    }

    /// A deletion's tombstone could not be logged, and why.
    pub(crate) fn not_buried(&mut self, cx: &mut Context<'_, Message>, burial: usize, status: Status, message: String) {
        let Some(Burial { ticket, removed, .. }) = self.deletions.burials.try_remove(burial) else { return };
        self.refuse(cx, ticket, status, cut_short(message, removed));
    }

    /// Answers a deletion.
    fn deleted(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        is_counted: bool,
        deleted: Deleted,
        sequence: u64,
    ) {
        let (status, payload) = match deleted {
            deleted if deleted == Deleted::default() => (Status::NotFound, Payload::Empty),
            deleted if is_counted => (Status::Ok, Payload::Built(self.archive(cx, &deleted))),
            _ => (Status::Ok, Payload::Empty),
        };
        self.answer(cx, ticket, status, sequence, payload);
    }
}

/// Why a deletion ended early, and what it did until then.
fn cut_short(message: String, removed: u64) -> String {
    match removed {
        0 => message,
        1 => format!("{message}; 1 association of the concept is removed: delete it again to finish"),
        _ => format!("{message}; {removed} associations of the concept are removed: delete it again to finish"),
    }
}
