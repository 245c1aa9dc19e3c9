//! The vectors of one namespace on one shard: which there are, which of them the index holds, and what is to be done about the rest.
//!
//! A vector has an *ordinal*. An embedding that changes gets a new one, and the old one is dead at once: searches pass over what the
//! index holds of it. What the index lacks is in the *tail*, which is scanned. When the dead outnumber the living, a new index is built
//! beside the old one, which serves until it is replaced; then the dead ordinals are free. So memory stays in proportion to what lives.

mod growth;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coarse::Coarse;
use super::cosine::Length;
use crate::slab::Slab;

/// Fewer vectors than this are scanned: it takes about as long as an index search.
pub(super) const MIN_INDEXED: u64 = 1024;
/// The nodes that got a vector last, for searches that are under way: those of a tenth of a second of writing.
const RECENT: usize = 4096;

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
    /// Of those, what is being saved; and when it may be tried again after a failure, by the monotonic clock.
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
            saving: 0,
            save_at: 0,
            pace: usize::MAX / 2,
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
            + ((lists + todo) * size_of::<u32>()) as u64
            + self.index_memory.iter().sum::<u64>()
            + self.discarded.as_ref().map_or(0, |discarded| discarded.memory())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::super::coarse::Member;
    use super::*;
    use crate::StoreError;

    const ORDINARY: Length = Length::Ordinary(1.0);

    /// An index of the even ordinals up to 20.
    fn index() -> Coarse {
        let mut coarse = Coarse::new(1).unwrap();
        for ordinal in (0..20).step_by(2) {
            let mut copy = vec![127];
            copy.extend((1.0f32 / 127.0).to_le_bytes().map(u8::cast_signed));
            coarse.insert(Member { id: [1; 16], crc: 0, ordinal }, &copy).unwrap();
        }
        coarse
    }

    #[test]
    fn what_a_checkpoint_held_is_indexed_where_it_lives_and_its_ordinals_are_not_given_again() {
        let mut space = Space::new(1);
        assert!(space.take_in(index()));
        assert!(space.revive(4, 100, ORDINARY) && space.revive(6, 101, ORDINARY));
        assert!(!space.revive(4, 102, ORDINARY), "it has a vector");
        space.kill(6);
        let given: Vec<_> = (0..12).map(|node| space.add(node, ORDINARY)).collect();
        assert!(given.iter().all(|ordinal| ordinal % 2 == 1 || *ordinal > 18), "{given:?}");
        assert_eq!((space.indexed_count(), space.tail().len(), space.live()), (1, 12, 13));
        assert!(space.entry(4).is_some() && space.entry(6).is_none());
    }

    #[test]
    fn ordinals_that_make_no_sense_are_refused() {
        let mut coarse = Coarse::new(1).unwrap();
        let copy = [127, 0, 0, 0, 0];
        coarse.insert(Member { id: [1; 16], crc: 0, ordinal: u32::MAX }, &copy).unwrap();
        assert!(!Space::new(1).take_in(coarse));
    }

    #[test]
    fn when_the_index_fails_everything_that_lives_is_scanned_and_everything_dead_is_free() {
        let mut space = Space::new(1);
        assert!(space.take_in(index()));
        for ordinal in [0, 2, 4, 6] {
            assert!(space.revive(ordinal, ordinal, ORDINARY));
        }
        space.kill(2);
        let new = space.add(50, ORDINARY);
        space.add(51, Length::Zero);
        space.failed(&StoreError::Index { what: "test".into() }, 0);
        let mut tail = space.tail().to_vec();
        tail.sort_unstable();
        let mut expected = vec![0, 4, 6, new];
        expected.sort_unstable();
        assert_eq!((tail, space.zeros().len(), space.indexed_count()), (expected, 1, 0));
        assert!(matches!(space.main(), Main::None) && space.dead == 0);
        let before = space.ordinals();
        let given: HashSet<_> = (0..14).map(|node| space.add(node, ORDINARY)).collect();
        assert_eq!(given.len(), 14);
        assert_eq!(space.ordinals(), before, "free ordinals are given again");
    }
}
