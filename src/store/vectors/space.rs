//! The vectors of one namespace on one shard: which there are, which of them the index holds, and what is to be done about the rest.
//!
//! A vector has an *ordinal*. An embedding that changes gets a new one, and the old one is dead at once: searches pass over what the
//! index holds of it. What the index lacks is in the *tail*, which is scanned. When the dead outnumber the living, a new index is built
//! beside the old one, which serves until it is replaced; then the dead ordinals are free. So memory stays in proportion to what lives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coarse::{Coarse, Member, copy_of};
use super::cosine::Length;
use super::job::{Batch, Done, Insertion, Work};
use super::{Records, checksum};
use crate::StoreError;
use crate::slab::Slab;

/// Fewer vectors than this are scanned: it takes about as long as an index search.
pub(super) const MIN_INDEXED: u64 = 1024;
/// Fewer dead ones than this are not worth a new index.
const MIN_DEAD: u64 = 4096;
/// Fewer vectors than this are not worth a checkpoint: they are indexed again in a second.
const MIN_SAVED: u64 = 4096;
/// The most vectors that a job is given, and the fewest: twice what the last one came to lies between, as a copy that no job comes to
/// costs the data core a µs for nothing.
const BATCH: std::ops::RangeInclusive<usize> = 8..=128;
/// The nodes that got a vector last, for searches that are under way: those of a tenth of a second of writing.
const RECENT: usize = 4096;
/// How long after a failure of the index it is tried again, in µs.
const RETRY_AFTER: u64 = 60_000_000;

/// A vector.
pub(super) struct Entry {
    pub(super) node: u32,
    pub(super) length: Length,
    place: Place,
    /// Whether an index holds the ordinal, or a job may put it into one.
    held: bool,
}

/// Where a vector is, or was.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// None has this ordinal.
    Free,
    /// It was replaced or deleted, and an index may hold the ordinal.
    Dead,
    /// In the tail, here.
    Tail(u32),
    /// Among the zero vectors, here.
    Zero(u32),
    Indexed,
}

/// The index that searches use.
pub(super) enum Main {
    None,
    Home(Arc<Coarse>),
    /// A job has it.
    Lent,
}

/// A new index on the way.
struct Rebuild {
    /// `None` while a job has it.
    coarse: Option<Coarse>,
    /// Ordinals that it is to hold yet.
    todo: Vec<u32>,
}

/// A namespace's vectors on a shard.
pub(super) struct Space {
    pub(super) dimension: u32,
    entries: Slab<Entry>,
    free: Vec<u32>,
    tail: Vec<u32>,
    zeros: Vec<u32>,
    indexed: u64,
    dead: u64,
    main: Main,
    rebuild: Option<Rebuild>,
    /// An index that is not used any more.
    discarded: Option<Arc<Coarse>>,
    /// Bytes of the indexes when they were last at home.
    index_memory: [u64; 2],
    /// Vectors indexed since the last checkpoint.
    unsaved: u64,
    /// Vectors that the last job inserted.
    pace: usize,
    /// Whether a search waits for the index.
    wanted: Arc<AtomicBool>,
    /// After a failure: not before, in µs since 1970.
    retry_at: u64,
    /// Vectors that came or went, ever.
    pub(super) changes: u64,
    /// Vectors that came, ever.
    pub(super) came: u64,
    recent: VecDeque<u32>,
    /// How often the tail was put together anew.
    pub(super) epoch: u64,
    /// Whether it is in the queue of spaces with work.
    pub(super) queued: bool,
}

impl Space {
    pub(super) fn new(dimension: u32) -> Self {
        Self {
            dimension,
            entries: Slab::default(),
            free: Vec::new(),
            tail: Vec::new(),
            zeros: Vec::new(),
            indexed: 0,
            dead: 0,
            main: Main::None,
            rebuild: None,
            discarded: None,
            index_memory: [0; 2],
            unsaved: 0,
            pace: *BATCH.end(),
            wanted: Arc::default(),
            retry_at: 0,
            changes: 0,
            came: 0,
            recent: VecDeque::new(),
            epoch: 0,
            queued: false,
        }
    }

    /// Takes an index from a checkpoint, into a space that is empty; its vectors are dead until they are [`Space::revive`]d. `false`, and
    /// nothing is changed, where its ordinals make no sense.
    pub(super) fn take_in(&mut self, coarse: Coarse) -> bool {
        let members = coarse.members();
        let count = members.iter().map(|member| member.ordinal as usize + 1).max().unwrap_or(0);
        // Free ordinals between those of an index come from vectors that died unindexed.
        if count > 8 * members.len() + RECENT {
            return false;
        }
        let mut inside = vec![false; count];
        if members.iter().any(|member| std::mem::replace(&mut inside[member.ordinal as usize], true)) {
            return false;
        }
        for (ordinal, inside) in (0..).zip(inside) {
            let place = if inside { Place::Dead } else { Place::Free };
            self.entries.push(Entry { node: 0, length: Length::Zero, place, held: inside });
            if !inside {
                self.free.push(ordinal);
            }
        }
        self.dead = members.len() as u64;
        self.index_memory[0] = coarse.memory();
        self.main = Main::Home(Arc::new(coarse));
        true
    }

    /// Gives a dead ordinal, which the index holds, the vector that it was given for. `false` where it has one already.
    pub(super) fn revive(&mut self, ordinal: u32, node: u32, length: Length) -> bool {
        let entry = &mut self.entries[ordinal];
        if entry.place != Place::Dead {
            return false;
        }
        *entry = Entry { node, length, place: Place::Indexed, held: true };
        self.dead -= 1;
        self.indexed += 1;
        true
    }

    /// Adds a vector; returns its ordinal.
    pub(super) fn add(&mut self, node: u32, length: Length) -> u32 {
        let entry = Entry { node, length, place: Place::Free, held: false };
        let ordinal = match self.free.pop() {
            Some(ordinal) => {
                self.entries[ordinal] = entry;
                ordinal
            }
            None => self.entries.push(entry),
        };
        let (list, place): (_, fn(u32) -> Place) = match length {
            Length::Zero => (&mut self.zeros, Place::Zero),
            Length::Ordinary(_) | Length::Extreme => (&mut self.tail, Place::Tail),
        };
        self.entries[ordinal].place = place(list.len() as u32);
        list.push(ordinal);
        self.changes += 1;
        self.came += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(node);
        ordinal
    }

    /// A vector was replaced or deleted.
    pub(super) fn kill(&mut self, ordinal: u32) {
        self.changes += 1;
        match self.entries[ordinal].place {
            Place::Free | Place::Dead => return,
            Place::Indexed => self.indexed -= 1,
            Place::Tail(at) => self.take_from_tail(at),
            Place::Zero(at) => {
                self.zeros.swap_remove(at as usize);
                if let Some(moved) = self.zeros.get(at as usize) {
                    self.entries[*moved].place = Place::Zero(at);
                }
            }
        }
        self.entries[ordinal].place = Place::Dead;
        self.dead += 1;
        self.free_if_unheld(ordinal);
    }

    fn take_from_tail(&mut self, at: u32) {
        self.tail.swap_remove(at as usize);
        if let Some(moved) = self.tail.get(at as usize) {
            self.entries[*moved].place = Place::Tail(at);
        }
    }

    fn free_if_unheld(&mut self, ordinal: u32) {
        let entry = &mut self.entries[ordinal];
        if entry.place == Place::Dead && !entry.held {
            entry.place = Place::Free;
            self.dead -= 1;
            self.free.push(ordinal);
        }
    }

    /// A living vector.
    pub(super) fn entry(&self, ordinal: u32) -> Option<&Entry> {
        self.entries.get(ordinal).filter(|entry| !matches!(entry.place, Place::Free | Place::Dead))
    }

    /// Ordinals that there were: all living ones are below.
    pub(super) fn ordinals(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn live(&self) -> u64 {
        self.indexed + (self.tail.len() + self.zeros.len()) as u64
    }

    pub(super) fn indexed_count(&self) -> u64 {
        self.indexed
    }

    pub(super) fn tail(&self) -> &[u32] {
        &self.tail
    }

    pub(super) fn zeros(&self) -> &[u32] {
        &self.zeros
    }

    pub(super) fn main(&self) -> &Main {
        &self.main
    }

    /// The nodes that got the last `count` vectors, as far as they are known.
    pub(super) fn last(&self, count: u64) -> impl Iterator<Item = u32> {
        let count = usize::try_from(count).map_or(RECENT, |count| count.min(self.recent.len()));
        self.recent.range(self.recent.len() - count..).copied()
    }

    /// A search waits for the index: whoever has it is to bring it back soon.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// The index failed in a search.
    pub(super) fn failed(&mut self, error: &StoreError, now: u64) {
        tracing::error!(%error, "searches scan all vectors until the index is built again");
        self.retry_at = now.saturating_add(RETRY_AFTER);
        self.adopt(None);
    }

    /// Puts an index in the place of the one that serves: what it holds is indexed, what lives beside it is the tail, and ordinals that
    /// it does not hold are free. Cost: a look at every entry, about 3 ns each.
    fn adopt(&mut self, coarse: Option<Coarse>) {
        let mut inside = vec![false; self.entries.len()];
        for member in coarse.as_ref().map_or(&[][..], Coarse::members) {
            inside[member.ordinal as usize] = true;
        }
        self.tail.clear();
        (self.indexed, self.dead) = (0, 0);
        for (ordinal, inside) in (0..).zip(inside) {
            let entry = &mut self.entries[ordinal];
            entry.held = inside;
            entry.place = match (entry.place, inside) {
                (Place::Free, _) => Place::Free,
                (Place::Zero(at), _) => Place::Zero(at),
                (Place::Dead, true) => {
                    self.dead += 1;
                    Place::Dead
                }
                (Place::Dead, false) => {
                    self.free.push(ordinal);
                    Place::Free
                }
                (Place::Tail(_) | Place::Indexed, true) => {
                    self.indexed += 1;
                    Place::Indexed
                }
                (Place::Tail(_) | Place::Indexed, false) => {
                    self.tail.push(ordinal);
                    Place::Tail(self.tail.len() as u32 - 1)
                }
            };
        }
        self.unsaved = coarse.as_ref().map_or(0, |coarse| coarse.members().len() as u64);
        self.index_memory = [coarse.as_ref().map_or(0, Coarse::memory), 0];
        self.rebuild = None;
        self.epoch += 1;
        let new = coarse.map_or(Main::None, |coarse| Main::Home(Arc::new(coarse)));
        if let Main::Home(old) = std::mem::replace(&mut self.main, new) {
            self.discarded = Some(old);
        }
    }

    /// Whether there is something for a worker to do.
    pub(super) fn has_work(&self) -> bool {
        self.discarded.is_some()
            || self.rebuild.is_some()
            || self.is_overgrown()
            || self.is_unsaved()
            || self.is_worth_inserting()
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

    /// What a worker is to do next. `save` makes the work of writing a checkpoint. To be called only while nothing is lent.
    pub(super) fn next_work(
        &mut self,
        records: &Records<'_>,
        now: u64,
        stopping: bool,
        save: impl FnOnce(Arc<Coarse>) -> Work,
    ) -> Option<Work> {
        if let Main::Home(coarse) = &self.main
            && (self.is_unsaved() || stopping && self.unsaved > MIN_SAVED)
        {
            self.unsaved = 0;
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
        if !self.is_worth_inserting() {
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
        let lives = |ordinal: &u32| matches!(self.entries[*ordinal].place, Place::Tail(_) | Place::Indexed);
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
        while batch.members.len() < most
            && let Some(ordinal) = next(self)
        {
            let entry = &self.entries[ordinal];
            if !matches!(entry.place, Place::Tail(_) | Place::Indexed) || coarse.contains(ordinal) {
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
    pub(super) fn indexed(&mut self, done: Done, now: u64) {
        match done {
            Done::Discarded => {}
            Done::Saved(Ok(())) => {}
            Done::Saved(Err(error)) => {
                // It is tried again when as much has come together again.
                tracing::warn!(%error, "a vector index could not be saved; a start would build that much of it again");
            }
            Done::Inserted { coarse, members, inserted, rebuild } => {
                self.pace = inserted;
                match (coarse, rebuild) {
                    (Ok(coarse), false) => self.grown(coarse, &members, inserted),
                    (Ok(coarse), true) => self.rebuilt(coarse, &members[inserted..]),
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
    fn grown(&mut self, coarse: Coarse, members: &[Member], inserted: usize) {
        self.index_memory[0] = coarse.memory();
        self.main = Main::Home(Arc::new(coarse));
        self.unsaved += inserted as u64;
        for (at, member) in members.iter().enumerate() {
            self.returned(member.ordinal, at < inserted);
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

    fn returned(&mut self, ordinal: u32, inserted: bool) {
        let entry = &mut self.entries[ordinal];
        entry.held = inserted;
        match entry.place {
            Place::Tail(at) if inserted => {
                entry.place = Place::Indexed;
                self.indexed += 1;
                self.take_from_tail(at);
            }
            _ => self.free_if_unheld(ordinal),
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        let lists = self.free.capacity() + self.tail.capacity() + self.zeros.capacity() + self.recent.capacity();
        let todo = self.rebuild.as_ref().map_or(0, |rebuild| rebuild.todo.capacity());
        self.entries.memory()
            + ((lists + todo) * size_of::<u32>()) as u64
            + self.index_memory.iter().sum::<u64>()
            + self.discarded.as_ref().map_or(0, |discarded| discarded.memory())
    }
}
