//! Deletions: a concept's associations are removed, each in its source's log, and when all removals
//! are durable and known at both ends, the concept's tombstone is logged. The answer says what was
//! deleted, or, to whoever asks by the older opcode, whether anything was. Each association counts
//! for the deletion that removed it: of two deletions at its two ends, one.
//!
//! A crash in between leaves the concept with fewer associations, and deleting again finishes it.
//! What is written to the concept while it is being deleted may stay or go. A concept's core walks
//! its associations in slices (`run_queue.rs`). The next slice comes when the removals of the last
//! have ended, so a hub holds no core for long.
//!
//! This file keeps count; what is to be done it returns.

use std::collections::VecDeque;

use slab::Slab;
use sutra_store::{EdgeKey, NamespaceId, NeighborQuery, Shard};
use sutra_wire::{ConceptId, ConceptKey, Direction, Neighbor, Parcel, Status};

use crate::core::message::{DeleteManner, Ticket};
use crate::core::names::{BurialNumber, DeletionNumber};

/// Associations that a deletion removes at a time: some 0.1 ms of work on their cores, and enough
/// to share a commit.
const REMOVALS_AT_A_TIME: u32 = 256;
/// Deletions that a core works on at a time. With [`REMOVALS_AT_A_TIME`] it bounds the removals
/// under way; more deletions gain nothing, as one step is done a turn.
const RUNNING: usize = 64;

/// A request to delete, with where it is to be answered.
pub(super) struct DeleteRequest {
    pub(super) ticket: Ticket,
    pub(super) namespace: NamespaceId,
    pub(super) key: Parcel<ConceptKey>,
    pub(super) manner: DeleteManner,
}

struct Deletion {
    asked: DeleteRequest,
    /// Associations that it has removed.
    removed: u64,
    /// Where the walk over the associations goes on, `None` when all were asked for.
    next: Option<u64>,
    /// Removals that have not ended.
    under_way: usize,
    /// Why one of them did not happen.
    refused: Option<(Status, String)>,
}

/// A deletion whose associations are gone, or can't be removed.
pub(super) struct Ended {
    pub(super) asked: DeleteRequest,
    /// How many it has removed.
    pub(super) removed: u64,
    /// Why not all.
    pub(super) refused: Option<(Status, String)>,
}

/// A deletion whose tombstone is on its way to the disk.
pub(super) struct Buried {
    pub(super) ticket: Ticket,
    pub(super) manner: DeleteManner,
    pub(super) removed: u64,
}

/// What a deletion needs next.
pub(super) enum NextStep {
    /// Nothing: the deletion has ended already.
    Nothing,
    /// Another slice of the deletion's work.
    Again,
    /// These associations are to be removed.
    Removals(Vec<EdgeKey>),
    /// The deletion has come to its end.
    End(Ended),
}

/// The deletions of a core's concepts.
#[derive(Default)]
pub(super) struct Deletions {
    running: Slab<Deletion>,
    /// Deletions that other cores asked for and that wait for room; bounded by the other cores'
    /// credits.
    waiting: VecDeque<DeleteRequest>,
    /// Bounded, as all writes that wait for the disk are, by the log.
    burials: Slab<Buried>,
    /// A slice's associations, kept for their memory.
    neighbors: Vec<Neighbor>,
    keys: Vec<EdgeKey>,
}

impl Deletions {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.burials.is_empty()
    }

    /// Whether another one may begin.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < RUNNING
    }

    /// Gives it back where it may begin; otherwise it waits.
    pub(super) fn wait_for_room(&mut self, asked: DeleteRequest) -> Option<DeleteRequest> {
        if self.has_room() {
            return Some(asked);
        }
        self.waiting.push_back(asked);
        None
    }

    /// The next that waits, when one has ended.
    pub(super) fn next_waiting(&mut self) -> Option<DeleteRequest> {
        self.waiting.pop_front()
    }

    pub(super) fn begin(&mut self, asked: DeleteRequest) -> DeletionNumber {
        let deletion = Deletion { asked, removed: 0, next: Some(0), under_way: 0, refused: None };
        DeletionNumber(self.running.insert(deletion))
    }

    /// Walks over the next slice of a deletion's associations.
    pub(super) fn next_step<T>(&mut self, shard: &Shard<T>, number: DeletionNumber) -> NextStep {
        let Some(deletion) = self.running.get_mut(number.0) else { return NextStep::Nothing };
        let (Some(cursor), None) = (deletion.next, &deletion.refused) else {
            return self.end(number);
        };
        let DeleteRequest { namespace, ref key, .. } = deletion.asked;
        let id = ConceptId(key.checked().id);
        let query = NeighborQuery {
            namespace,
            id,
            direction: Direction::Both,
            kinds: &[],
            minimum_confidence: 0.0,
            limit: REMOVALS_AT_A_TIME,
            cursor,
        };
        let cursor = shard.neighbors(&query, &mut self.neighbors);
        deletion.next = Some(cursor).filter(|cursor| *cursor != 0);
        if deletion.asked.manner == DeleteManner::Unassociated && !self.neighbors.is_empty() {
            deletion.refused =
                Some(still_associated(self.neighbors.len(), deletion.next.is_some()));
            self.neighbors.clear();
            return self.end(number);
        }
        deletion.under_way = self.neighbors.len();
        match (self.neighbors.is_empty(), deletion.next) {
            (true, None) => return self.end(number),
            (true, Some(_)) => return NextStep::Again,
            (false, _) => {}
        }
        let mut keys = std::mem::take(&mut self.keys);
        keys.extend(self.neighbors.drain(..).map(|neighbor| {
            let (kind, other) = (neighbor.kind, ConceptId(neighbor.id));
            let (source, target) =
                if neighbor.direction == Direction::Out as u8 { (id, other) } else { (other, id) };
            EdgeKey { namespace, source, target, kind }
        }));
        NextStep::Removals(keys)
    }

    /// Takes an emptied vector back, for its memory.
    pub(super) fn recycle(&mut self, keys: Vec<EdgeKey>) {
        self.keys = keys;
    }

    fn end(&mut self, number: DeletionNumber) -> NextStep {
        match self.running.try_remove(number.0) {
            Some(Deletion { asked, removed, refused, .. }) => {
                NextStep::End(Ended { asked, removed, refused })
            }
            None => NextStep::Nothing,
        }
    }

    /// One removal of a deletion has ended. Returns whether it was the last of its slice.
    pub(super) fn removed(
        &mut self,
        number: DeletionNumber,
        outcome: Result<bool, (Status, String)>,
    ) -> bool {
        let Some(deletion) = self.running.get_mut(number.0) else { return false };
        deletion.under_way -= 1;
        match outcome {
            Ok(has_removed) => deletion.removed += u64::from(has_removed),
            Err(refused) => deletion.refused = deletion.refused.take().or(Some(refused)),
        }
        deletion.under_way == 0
    }

    /// A deletion's tombstone is to be logged.
    pub(super) fn bury(&mut self, buried: Buried) -> BurialNumber {
        BurialNumber(self.burials.insert(buried))
    }

    /// A deletion's tombstone is durable, or could not be logged.
    pub(super) fn buried(&mut self, number: BurialNumber) -> Option<Buried> {
        self.burials.try_remove(number.0)
    }
}

/// Why a concept that was to be deleted only without associations was not.
fn still_associated(found: usize, is_more: bool) -> (Status, String) {
    let more = if is_more { " or more" } else { "" };
    let associations = if found == 1 { "association" } else { "associations" };
    let message = format!(
        "the concept has {found}{more} {associations}: remove them first, or delete it with them"
    );
    (Status::Associated, message)
}

/// Why a deletion ended early, and what it did until then.
pub(super) fn cut_short(message: String, removed: u64) -> String {
    match removed {
        0 => message,
        1 => {
            format!("{message}; 1 association of the concept is removed: delete it again to finish")
        }
        _ => format!(
            "{message}; {removed} associations of the concept are removed: \
             delete it again to finish"
        ),
    }
}
