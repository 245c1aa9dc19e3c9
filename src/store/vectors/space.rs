//! The vectors of one namespace on one shard: which there are, which of them the index holds, and
//! what is to be done about the rest.
//!
//! A vector has an *ordinal*. An embedding that changes gets a new one, and the old one is dead at
//! once: searches pass over what the index holds of it. What the index lacks is in the *tail*,
//! which is scanned. When the dead outnumber the living, a new index is built beside the old one,
//! which serves until it is replaced; then the dead ordinals are free. So memory stays in
//! proportion to what lives.

mod growth;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coarse::Coarse;
use super::cosine::Length;
use super::groups::{Groups, Seat};
use crate::slab::Slab;

/// Fewer vectors than this are scanned: it takes about as long as an index search.
pub(super) const MIN_INDEXED: u64 = 1024;
/// The nodes that got a vector last, for searches that are under way: those of a tenth of a second
/// of writing.
const RECENT: usize = 4096;

/// A vector. 20 bytes, as there are millions.
pub(super) struct Entry {
    pub(super) node: u32,
    pub(super) length: Length,
    /// Where in the list that its place names, or in its group.
    at: u32,
    /// Of the index entry that it shares with others, or that it was the head of; or none.
    group: u32,
    place: Place,
    /// Whether an index holds the ordinal, or a job may put it into one.
    held: bool,
}

/// No group.
const ALONE: u32 = u32::MAX;

impl Entry {
    fn new(node: u32, length: Length, place: Place, held: bool) -> Self {
        Self { node, length, at: 0, group: ALONE, place, held }
    }
}

/// Where a vector is, or was.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// None has this ordinal.
    Free,
    /// It was replaced or deleted, and an index may hold the ordinal.
    Dead,
    Tail,
    /// Among the zero vectors.
    Zero,
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
    /// Tells it from those that its namespace had before, on this shard.
    pub(super) life: u32,
    entries: Slab<Entry>,
    free: Vec<u32>,
    tail: Vec<u32>,
    zeros: Vec<u32>,
    /// Vectors that share an entry of the index.
    groups: Groups,
    indexed: u64,
    /// Of those, how many are to be looked for by the checks of the index (`checks.rs`).
    unchecked: u64,
    dead: u64,
    main: Main,
    rebuild: Option<Rebuild>,
    /// An index that is not used any more.
    discarded: Option<Arc<Coarse>>,
    /// Bytes of the indexes when they were last at home.
    index_memory: [u64; 2],
    /// Vectors indexed since the last checkpoint.
    unsaved: u64,
    /// Of those, what is being saved; and when it may be tried again after a failure, by the
    /// monotonic clock.
    saving: u64,
    save_at: u64,
    /// Vectors that the last job inserted; many at first.
    pace: usize,
    /// Whether a search waits for the index.
    wanted: Arc<AtomicBool>,
    /// After a failure: not before, by the monotonic clock.
    retry_at: u64,
    /// Vectors that came or went, ever.
    pub(super) changes: u64,
    /// Vectors that came, ever.
    pub(super) came: u64,
    recent: VecDeque<u32>,
    /// How often the tail was put together anew; another in every life.
    pub(super) epoch: u64,
    /// Whether it is in the queue of spaces with work.
    pub(super) queued: bool,
}

impl Space {
    pub(super) fn new(dimension: u32, life: u32) -> Self {
        Self {
            dimension,
            life,
            entries: Slab::default(),
            free: Vec::new(),
            tail: Vec::new(),
            zeros: Vec::new(),
            groups: Groups::default(),
            indexed: 0,
            unchecked: 0,
            dead: 0,
            main: Main::None,
            rebuild: None,
            discarded: None,
            index_memory: [0; 2],
            unsaved: 0,
            saving: 0,
            save_at: 0,
            pace: usize::MAX / 2,
            wanted: Arc::default(),
            retry_at: 0,
            changes: 0,
            came: 0,
            recent: VecDeque::new(),
            epoch: u64::from(life) << 32,
            queued: false,
        }
    }

    /// Takes an index from a checkpoint, into a space that is empty; its vectors are dead until
    /// they are [`Space::revive`]d. `false`, and nothing is changed, where its ordinals make no
    /// sense.
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
            self.entries.push(Entry::new(0, Length::ZERO, place, inside));
            if !inside {
                self.free.push(ordinal);
            }
        }
        self.dead = members.len() as u64;
        self.note_home(&coarse);
        self.main = Main::Home(Arc::new(coarse));
        true
    }

    /// Its indexes, which are not used any more.
    pub(super) fn into_indexes(self) -> impl Iterator<Item = Arc<Coarse>> {
        let main = match self.main {
            Main::Home(coarse) => Some(coarse),
            Main::None | Main::Lent => None,
        };
        let rebuilt = self.rebuild.and_then(|rebuild| rebuild.coarse).map(Arc::new);
        [main, rebuilt, self.discarded].into_iter().flatten()
    }

    /// What is known of the index that is at home.
    fn note_home(&mut self, coarse: &Coarse) {
        self.index_memory[0] = coarse.memory();
        self.unchecked = coarse.checks().unchecked(coarse.entries());
    }

    /// Gives a dead ordinal, which the index holds behind the entry of `head`, the vector that it
    /// was given for. `false` where it has one already.
    pub(super) fn revive(&mut self, ordinal: u32, head: u32, node: u32, length: Length) -> bool {
        let entry = &mut self.entries[ordinal];
        if entry.place != Place::Dead {
            return false;
        }
        *entry = Entry { group: entry.group, ..Entry::new(node, length, Place::Indexed, true) };
        self.dead -= 1;
        self.indexed += 1;
        self.seat(ordinal, head);
        true
    }

    /// Puts an indexed vector among those of its entry.
    fn seat(&mut self, ordinal: u32, head: u32) {
        let mut group = self.entries[head].group;
        if group == ALONE {
            if ordinal == head {
                return;
            }
            group = self.groups.make(head);
            self.entries[head].group = group;
            if self.entries[head].place == Place::Indexed {
                self.entries[head].at = self.groups.add(group, head).at;
            }
        }
        let Seat { group, at } = self.groups.add(group, ordinal);
        let entry = &mut self.entries[ordinal];
        (entry.group, entry.at) = (group, at);
    }

    /// Takes an indexed vector from among those of its entry. A head that is gone still leads to
    /// those that are left.
    fn unseat(&mut self, ordinal: u32) {
        let Entry { group, at, .. } = self.entries[ordinal];
        if group == ALONE {
            return;
        }
        if let Some(moved) = self.groups.remove(Seat { group, at }) {
            self.entries[moved].at = at;
        }
        if self.groups.head(group) != ordinal {
            self.entries[ordinal].group = ALONE;
        }
        if let Some(head) = self.groups.disband_empty(group) {
            self.entries[head].group = ALONE;
        }
    }

    /// The living vectors behind an entry of the index.
    pub(super) fn behind(&self, head: u32) -> impl Iterator<Item = u32> {
        let (alone, group) = match self.entries.get(head).map(|entry| (entry.group, entry.place)) {
            Some((ALONE, Place::Indexed)) => (Some(head), &[][..]),
            Some((ALONE, _)) | None => (None, &[][..]),
            Some((group, _)) => (None, self.groups.members(group)),
        };
        alone.into_iter().chain(group.iter().copied())
    }

    /// How many vectors an entry of the index has behind it.
    pub(super) fn count_behind(&self, head: u32) -> usize {
        self.behind(head).size_hint().0
    }

    /// Adds a vector; returns its ordinal.
    pub(super) fn add(&mut self, node: u32, length: Length) -> u32 {
        let entry = Entry::new(node, length, Place::Free, false);
        let ordinal = match self.free.pop() {
            Some(ordinal) => {
                self.entries[ordinal] = entry;
                ordinal
            }
            None => self.entries.push(entry),
        };
        let (list, place) = match length {
            Length::ZERO => (&mut self.zeros, Place::Zero),
            _ => (&mut self.tail, Place::Tail),
        };
        let entry = &mut self.entries[ordinal];
        (entry.place, entry.at) = (place, list.len() as u32);
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
            Place::Indexed => {
                self.unseat(ordinal);
                self.indexed -= 1;
            }
            Place::Tail => self.take_from_tail(ordinal),
            Place::Zero => take_from(&mut self.zeros, &mut self.entries, ordinal),
        }
        self.entries[ordinal].place = Place::Dead;
        self.dead += 1;
        self.free_if_unheld(ordinal);
    }

    fn take_from_tail(&mut self, ordinal: u32) {
        take_from(&mut self.tail, &mut self.entries, ordinal);
        if self.tail.is_empty() {
            // After an import it was as long as all that was imported.
            self.tail = Vec::new();
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

    /// Whether the index holds vectors that are dead.
    pub(super) fn has_dead(&self) -> bool {
        self.dead > 0
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

    /// Vectors that the index holds and finds, and those that it does not hold yet or that were not
    /// looked for.
    pub(super) fn progress(&self) -> (u64, u64) {
        let unchecked = self.unchecked.min(self.indexed);
        (self.indexed - unchecked, self.tail.len() as u64 + unchecked)
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

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        let lists = self.free.capacity() + self.tail.capacity() + self.zeros.capacity() + self.recent.capacity();
        let todo = self.rebuild.as_ref().map_or(0, |rebuild| rebuild.todo.capacity());
        self.entries.memory()
            + self.groups.memory()
            + ((lists + todo) * size_of::<u32>()) as u64
            + self.index_memory.iter().sum::<u64>()
            + self.discarded.as_ref().map_or(0, |discarded| discarded.memory())
    }
}

/// Takes a vector out of the list that its place names.
fn take_from(list: &mut Vec<u32>, entries: &mut Slab<Entry>, ordinal: u32) {
    let at = entries[ordinal].at;
    list.swap_remove(at as usize);
    if let Some(moved) = list.get(at as usize) {
        entries[*moved].at = at;
    }
}

#[cfg(test)]
mod tests;
