//! How an index grows, is built anew, and is saved: what a worker is given to do, and what becomes
//! of its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::save::Save;
use super::{MIN_INDEXED, Slot, Space};
use crate::StoreError;
use crate::vectors::coarse::{Coarse, Member};
use crate::vectors::job::{Batch, IndexDone, IndexTask, Insertion};
use crate::vectors::records::Records;

/// Fewer dead ones than this are not worth a new index.
const MIN_DEAD: u64 = 4096;
/// Fewer vectors than this are not worth a checkpoint: they are indexed again in a second.
const MIN_SAVED: u64 = 4096;
/// The fewest vectors that a job is given, and the most. Between them it is twice what the last job
/// inserted: a copy that no job comes to costs the data core a µs for nothing.
const BATCH: std::ops::RangeInclusive<usize> = 8..=128;
/// The numbers of a job's vectors, one vector aside: copying them takes the data core about 0.1 ms.
const BATCH_NUMBERS: usize = 128 << 10;
/// How long after a failure of the index it is tried again, in µs.
const RETRY_AFTER: u64 = 60_000_000;

impl Space {
    /// The index failed in a search.
    pub(in crate::vectors) fn failed(&mut self, error: &StoreError, now: u64) {
        tracing::error!(%error, "searches scan all vectors until the index is built again");
        self.retry_at = now.saturating_add(RETRY_AFTER);
        self.adopt(None);
    }

    /// Puts an index in the place of the one that serves. Cost: a look at every ordinal.
    fn adopt(&mut self, coarse: Option<Coarse>) {
        self.roster.adopt(coarse.as_ref());
        self.save.reset(coarse.as_ref().map_or(0, |coarse| coarse.members().len() as u64));
        self.history.tail_is_new();
        let new = coarse.map_or(Slot::Empty, Slot::home);
        if let Slot::Home { coarse, .. } = std::mem::replace(&mut self.slot, new) {
            self.discarded = Some(coarse);
        }
    }

    /// Whether there is something for a worker to do.
    pub(super) fn has_work(&self) -> bool {
        self.discarded.is_some()
            || self.slot.is_rebuilding()
            || self.is_overgrown()
            || self.is_unsaved()
            || self.is_worth_inserting()
            || self.is_check_due()
    }

    /// Whether the index is to be checked before anything else is inserted.
    fn is_check_due(&self) -> bool {
        let is_idle = !self.slot.is_rebuilding() && !self.is_worth_inserting();
        matches!(
            &self.slot,
            Slot::Home { coarse, .. } if coarse.checks().is_due(coarse.entries(), is_idle)
        )
    }

    fn is_overgrown(&self) -> bool {
        self.roster.dead() > MIN_DEAD.max(self.live()) && !self.slot.is_empty()
    }

    fn is_unsaved(&self) -> bool {
        self.save.lacks() > MIN_SAVED.max(self.roster.indexed() / 4)
    }

    /// Whether a checkpoint of the index is being written.
    pub(in crate::vectors) fn is_saving(&self) -> bool {
        matches!(self.save, Save::Saving { .. })
    }

    fn is_worth_inserting(&self) -> bool {
        !self.tail().is_empty()
            && (!self.slot.is_empty() || self.roster.insertable_count() >= MIN_INDEXED)
    }

    /// What a worker is to do next. `save` makes the task of writing a checkpoint. To be called
    /// only while no job is under way.
    pub(in crate::vectors) fn next_task(
        &mut self,
        records: &Records<'_>,
        now: u64,
        stopping: bool,
        save: impl FnOnce(Arc<Coarse>) -> IndexTask,
    ) -> Option<IndexTask> {
        if let Slot::Home { coarse, .. } = &self.slot
            && (self.is_unsaved() && !self.is_check_due()
                || stopping && self.save.lacks() > MIN_SAVED)
            && self.save.may_begin(now)
        {
            self.save.begin();
            return Some(save(Arc::clone(coarse)));
        }
        if stopping {
            return None;
        }
        if let Some(discarded) = self.discarded.take() {
            return Some(IndexTask::Discard(discarded));
        }
        if now < self.retry_at {
            return None;
        }
        self.next_insertion(records).unwrap_or_else(|error| {
            self.failed(&error, now);
            None
        })
    }

    fn next_insertion(&mut self, records: &Records<'_>) -> Result<Option<IndexTask>, StoreError> {
        let dimension = self.dimension as usize;
        if self.is_overgrown() && !self.slot.is_rebuilding() {
            match self.roster.insertable_count() >= MIN_INDEXED {
                true => {
                    self.slot.begin_rebuild(Coarse::new(dimension)?, self.roster.all_insertable());
                }
                false => self.adopt(None),
            }
        }
        if let Some((coarse, mut todo)) = self.slot.take_rebuild() {
            let batch = self.batch(records, |_| todo.pop(), &coarse);
            if !batch.is_empty() {
                self.slot.rebuild_lent(&coarse, todo);
                return Ok(Some(self.insertion(coarse, batch, true)));
            }
            self.adopt(Some(coarse));
        }
        let is_check = self.is_check_due();
        if !is_check && !self.is_worth_inserting() {
            return Ok(None);
        }
        let Some(coarse) = self.slot.lend(dimension)? else { return Ok(None) };
        if is_check {
            self.wanted.store(false, Ordering::Relaxed);
            return Ok(Some(IndexTask::Check { coarse, wanted: Arc::clone(&self.wanted) }));
        }
        let mut from = self.tail().len();
        let next = |space: &Self| {
            from = from.checked_sub(1)?;
            space.tail().get(from).copied()
        };
        let batch = self.batch(records, next, &coarse);
        Ok(Some(self.insertion(coarse, batch, false)))
    }

    fn insertion(&self, coarse: Coarse, batch: Batch, rebuild: bool) -> IndexTask {
        self.wanted.store(false, Ordering::Relaxed);
        IndexTask::Insert(Insertion::new(coarse, batch, Arc::clone(&self.wanted), rebuild))
    }

    /// The next vectors for an index, as it takes them.
    fn batch(
        &mut self,
        records: &Records<'_>,
        mut next: impl FnMut(&Self) -> Option<u32>,
        coarse: &Coarse,
    ) -> Batch {
        let mut batch = Batch::default();
        let most = (2 * self.pace).clamp(*BATCH.start(), *BATCH.end());
        let most = most.min((BATCH_NUMBERS / self.dimension as usize).max(1));
        while batch.len() < most
            && let Some(ordinal) = next(self)
        {
            let Some(vector) = self.roster.insertable(ordinal) else { continue };
            if coarse.contains(ordinal) {
                continue;
            }
            let Some(record) = records.record(vector.node) else { continue };
            if batch.add(&record, ordinal) {
                self.roster.hold(ordinal);
            }
        }
        batch
    }

    /// A job has ended.
    pub(in crate::vectors) fn indexed(&mut self, done: IndexDone, now: u64) {
        match done {
            IndexDone::Discarded => {}
            IndexDone::Saved(saved) => {
                self.save.ended(saved.is_ok(), now);
                if let Err(error) = saved {
                    tracing::warn!(
                        %error,
                        "a vector index could not be saved; \
                         a start would build that much of it again"
                    );
                }
            }
            IndexDone::Checked(Ok((coarse, known))) => {
                self.slot = Slot::home(coarse);
                self.save.add(known);
            }
            IndexDone::Checked(Err(error)) => self.failed(&error, now),
            IndexDone::Inserted { coarse, members, heads, rebuild } => {
                self.pace = heads.len();
                match (coarse, rebuild) {
                    (Ok(coarse), false) => self.grown(coarse, &members, &heads),
                    (Ok(coarse), true) => {
                        let left = members[heads.len()..].iter().map(|member| member.ordinal);
                        let unused = self.slot.rebuild_returned(coarse, left);
                        self.discarded = unused.map(Arc::new).or(self.discarded.take());
                    }
                    (Err(error), false) => self.failed(&error, now),
                    (Err(error), true) => {
                        tracing::error!(
                            %error,
                            "a vector index could not be built anew; the old one goes on"
                        );
                        self.slot.give_up_rebuild();
                        self.retry_at = now.saturating_add(RETRY_AFTER);
                    }
                }
            }
        }
    }

    /// The index has come home, with the first of these vectors in it.
    fn grown(&mut self, coarse: Coarse, members: &[Member], heads: &[u32]) {
        self.slot = Slot::home(coarse);
        self.save.add(heads.len() as u64);
        for (at, member) in members.iter().enumerate() {
            self.roster.returned(member.ordinal, heads.get(at).copied());
        }
    }
}
