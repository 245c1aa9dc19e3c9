//! How an index grows, is built anew, and is saved: what a worker is given to do, and what becomes
//! of its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{ALONE, MIN_INDEXED, Main, Place, Rebuild, Space};
use crate::StoreError;
use crate::vectors::coarse::{Coarse, Member, copy_of};
use crate::vectors::groups::Groups;
use crate::vectors::job::{Batch, Done, Insertion, Work};
use crate::vectors::records::{Records, checksum};

/// Fewer dead ones than this are not worth a new index.
const MIN_DEAD: u64 = 4096;
/// Fewer vectors than this are not worth a checkpoint: they are indexed again in a second.
const MIN_SAVED: u64 = 4096;
/// The most vectors that a job is given, and the fewest: twice what the last one came to lies
/// between, as a copy that no job comes to costs the data core a µs for nothing.
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

    /// Puts an index in the place of the one that serves: what it holds is indexed, what lives
    /// beside it is the tail, and ordinals that it does not hold are free. Cost: a look at every
    /// entry, about 3 ns each.
    fn adopt(&mut self, coarse: Option<Coarse>) {
        let mut inside = vec![false; self.entries.len()];
        for member in coarse.as_ref().map_or(&[][..], Coarse::members) {
            inside[member.ordinal as usize] = true;
        }
        self.tail.clear();
        self.groups = Groups::default();
        (self.indexed, self.dead) = (0, 0);
        for (ordinal, inside) in (0..).zip(inside) {
            let entry = &mut self.entries[ordinal];
            (entry.held, entry.group) = (inside, ALONE);
            match (entry.place, inside) {
                (Place::Free | Place::Zero, _) => {}
                (Place::Dead, true) => self.dead += 1,
                (Place::Dead, false) => {
                    entry.place = Place::Free;
                    self.free.push(ordinal);
                }
                (Place::Tail | Place::Indexed, true) => {
                    entry.place = Place::Indexed;
                    self.indexed += 1;
                }
                (Place::Tail | Place::Indexed, false) => {
                    (entry.place, entry.at) = (Place::Tail, self.tail.len() as u32);
                    self.tail.push(ordinal);
                }
            }
        }
        for joined in coarse.as_ref().map_or(&[][..], Coarse::joined) {
            if self.entries[joined.ordinal].place == Place::Indexed {
                self.seat(joined.ordinal, joined.head);
            }
        }
        self.unsaved = coarse.as_ref().map_or(0, |coarse| coarse.members().len() as u64);
        (self.index_memory, self.unchecked) = ([0; 2], 0);
        if let Some(coarse) = &coarse {
            self.note_home(coarse);
        }
        self.rebuild = None;
        self.epoch += 1;
        let new = coarse.map_or(Main::None, |coarse| Main::Home(Arc::new(coarse)));
        if let Main::Home(old) = std::mem::replace(&mut self.main, new) {
            self.discarded = Some(old);
        }
    }

    /// Whether there is something for a worker to do.
    pub(in crate::vectors) fn has_work(&self) -> bool {
        self.discarded.is_some()
            || self.rebuild.is_some()
            || self.is_overgrown()
            || self.is_unsaved()
            || self.is_worth_inserting()
            || self.is_check_due()
    }

    /// Whether the index is to be checked before anything else is inserted.
    fn is_check_due(&self) -> bool {
        let is_idle = self.rebuild.is_none() && !self.is_worth_inserting();
        matches!(&self.main, Main::Home(coarse) if coarse.checks().is_due(coarse.entries(), is_idle))
    }

    fn is_overgrown(&self) -> bool {
        self.dead > MIN_DEAD.max(self.live()) && !matches!(self.main, Main::None)
    }

    fn is_unsaved(&self) -> bool {
        self.unsaved > MIN_SAVED.max(self.indexed / 4)
    }

    fn is_worth_inserting(&self) -> bool {
        !self.tail.is_empty()
            && (!matches!(self.main, Main::None) || self.indexed + self.tail.len() as u64 >= MIN_INDEXED)
    }

    /// What a worker is to do next. `save` makes the work of writing a checkpoint. To be called
    /// only while nothing is lent.
    pub(in crate::vectors) fn next_work(
        &mut self,
        records: &Records<'_>,
        now: u64,
        stopping: bool,
        save: impl FnOnce(Arc<Coarse>) -> Work,
    ) -> Option<Work> {
        if let Main::Home(coarse) = &self.main
            && (self.is_unsaved() && !self.is_check_due() || stopping && self.unsaved > MIN_SAVED)
            && now >= self.save_at
        {
            self.saving = std::mem::take(&mut self.unsaved);
            return Some(save(Arc::clone(coarse)));
        }
        if stopping {
            return None;
        }
        if let Some(discarded) = self.discarded.take() {
            return Some(Work::Discard(discarded));
        }
        if now < self.retry_at {
            return None;
        }
        self.next_insertion(records).unwrap_or_else(|error| {
            self.failed(&error, now);
            None
        })
    }

    fn next_insertion(&mut self, records: &Records<'_>) -> Result<Option<Work>, StoreError> {
        if self.rebuild.is_none() && self.is_overgrown() {
            match self.indexed + self.tail.len() as u64 >= MIN_INDEXED {
                true => self.begin_rebuild()?,
                false => self.adopt(None),
            }
        }
        if let Some(Rebuild { coarse, mut todo }) = self.rebuild.take() {
            let coarse = coarse.expect("nothing is lent");
            let batch = self.batch(records, |_| todo.pop(), &coarse);
            if !batch.members.is_empty() {
                self.rebuild = Some(Rebuild { coarse: None, todo });
                return Ok(Some(self.insertion(coarse, batch, true)));
            }
            self.adopt(Some(coarse));
        }
        let is_check = self.is_check_due();
        if !is_check && !self.is_worth_inserting() {
            return Ok(None);
        }
        let coarse = match std::mem::replace(&mut self.main, Main::Lent) {
            Main::Home(coarse) => match Arc::try_unwrap(coarse) {
                Ok(coarse) => coarse,
                Err(shared) => {
                    self.main = Main::Home(shared);
                    return Ok(None);
                }
            },
            Main::None | Main::Lent => Coarse::new(self.dimension as usize).inspect_err(|_| self.main = Main::None)?,
        };
        if is_check {
            self.wanted.store(false, Ordering::Relaxed);
            return Ok(Some(Work::Check { coarse, wanted: Arc::clone(&self.wanted) }));
        }
        let mut from = self.tail.len();
        let next = |space: &Self| {
            from = from.checked_sub(1)?;
            space.tail.get(from).copied()
        };
        let batch = self.batch(records, next, &coarse);
        Ok(Some(self.insertion(coarse, batch, false)))
    }

    fn begin_rebuild(&mut self) -> Result<(), StoreError> {
        let coarse = Some(Coarse::new(self.dimension as usize)?);
        let lives = |ordinal: &u32| matches!(self.entries[*ordinal].place, Place::Tail | Place::Indexed);
        self.rebuild = Some(Rebuild { coarse, todo: (0..self.ordinals()).filter(lives).collect() });
        Ok(())
    }

    fn insertion(&self, coarse: Coarse, batch: Batch, rebuild: bool) -> Work {
        self.wanted.store(false, Ordering::Relaxed);
        Work::Insert(Insertion { coarse, batch, wanted: Arc::clone(&self.wanted), rebuild })
    }

    /// The next vectors for an index, as it takes them.
    fn batch(&mut self, records: &Records<'_>, mut next: impl FnMut(&Self) -> Option<u32>, coarse: &Coarse) -> Batch {
        let mut batch = Batch::default();
        let most = (2 * self.pace).clamp(*BATCH.start(), *BATCH.end());
        let most = most.min((BATCH_NUMBERS / self.dimension as usize).max(1));
        while batch.members.len() < most
            && let Some(ordinal) = next(self)
        {
            let entry = &self.entries[ordinal];
            if !matches!(entry.place, Place::Tail | Place::Indexed) || coarse.contains(ordinal) {
                continue;
            }
            let Some(record) = records.record(entry.node) else { continue };
            if copy_of(&record.embedding, &mut batch.copies) {
                batch.members.push(Member { id: record.id, crc: checksum(&record.embedding), ordinal });
                self.entries[ordinal].held = true;
            }
        }
        batch
    }

    /// A job has ended.
    pub(in crate::vectors) fn indexed(&mut self, done: Done, now: u64) {
        match done {
            Done::Discarded => {}
            Done::Saved(Ok(())) => {}
            Done::Saved(Err(error)) => {
                self.unsaved += self.saving;
                self.save_at = now.saturating_add(RETRY_AFTER);
                tracing::warn!(%error, "a vector index could not be saved; a start would build that much of it again");
            }
            Done::Checked(Ok((coarse, known))) => {
                self.note_home(&coarse);
                self.main = Main::Home(Arc::new(coarse));
                self.unsaved += known;
            }
            Done::Checked(Err(error)) => {
                self.main = Main::None;
                self.failed(&error, now);
            }
            Done::Inserted { coarse, members, heads, rebuild } => {
                self.pace = heads.len();
                match (coarse, rebuild) {
                    (Ok(coarse), false) => self.grown(coarse, &members, &heads),
                    (Ok(coarse), true) => self.rebuilt(coarse, &members[heads.len()..]),
                    (Err(error), false) => {
                        self.main = Main::None;
                        self.failed(&error, now);
                    }
                    (Err(error), true) => {
                        tracing::error!(%error, "a vector index could not be built anew; the old one goes on");
                        self.rebuild = None;
                        self.index_memory[1] = 0;
                        self.retry_at = now.saturating_add(RETRY_AFTER);
                    }
                }
            }
        }
    }

    /// The index has come home, with the first of these vectors in it.
    fn grown(&mut self, coarse: Coarse, members: &[Member], heads: &[u32]) {
        self.note_home(&coarse);
        self.main = Main::Home(Arc::new(coarse));
        self.unsaved += heads.len() as u64;
        for (at, member) in members.iter().enumerate() {
            self.returned(member.ordinal, heads.get(at).copied());
        }
    }

    /// The new index has come back, without these vectors.
    fn rebuilt(&mut self, coarse: Coarse, left: &[Member]) {
        match &mut self.rebuild {
            Some(rebuild) => {
                self.index_memory[1] = coarse.memory();
                rebuild.coarse = Some(coarse);
                rebuild.todo.extend(left.iter().map(|member| member.ordinal));
            }
            // The old one failed meanwhile: all of it begins anew.
            None => self.discarded = Some(Arc::new(coarse)),
        }
    }

    /// A vector has come back from a job that inserted it behind this entry, or did not come to it.
    fn returned(&mut self, ordinal: u32, head: Option<u32>) {
        let entry = &mut self.entries[ordinal];
        entry.held = head.is_some();
        match (entry.place, head) {
            (Place::Tail, Some(head)) => {
                self.take_from_tail(ordinal);
                self.entries[ordinal].place = Place::Indexed;
                self.indexed += 1;
                self.seat(ordinal, head);
            }
            _ => self.free_if_unheld(ordinal),
        }
    }
}
