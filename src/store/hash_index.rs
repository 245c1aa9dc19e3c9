//! From a key's hash to a number, in many small hash tables: when one grows, it moves some
//! thousands of entries, not millions.
//!
//! The hash is seeded anew for every index (foldhash), as ids may be chosen by whoever wants them
//! to collide. A table keeps each entry's hash beside its number, so growing touches nothing else.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// Tables of an index: at 16 million entries one holds 16 thousand, and growing it takes about 0.1
/// ms.
const TABLES: usize = 1024;

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    number: u32,
}

/// The numbers of items by their keys; the keys themselves lie with the items.
pub(crate) struct HashIndex {
    tables: Box<[HashTable<Slot>]>,
    random: RandomState,
}

/// A hash as an [`HashIndex`] made it.
#[derive(Clone, Copy)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    fn table(self) -> usize {
        (self.0 >> 32) as usize % TABLES
    }

    fn kept(self) -> u32 {
        self.0 as u32
    }
}

/// The 64 bits that a table works with, from the 32 that a slot keeps: it takes a tag from the top
/// and a place from the bottom.
fn widen(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Default for HashIndex {
    fn default() -> Self {
        Self {
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
            random: RandomState::default(),
        }
    }
}

impl HashIndex {
    pub(crate) fn hash(&self, key: &impl Hash) -> KeyHash {
        KeyHash(self.random.hash_one(key))
    }

    /// The number of the item whose key `is_it`. Cost: one probe of one table, and one look at an
    /// item.
    pub(crate) fn find(&self, hash: KeyHash, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let kept = hash.kept();
        let found = self.tables[hash.table()]
            .find(widen(kept), |slot| slot.hash == kept && is_it(slot.number));
        found.map(|slot| slot.number)
    }

    /// Adds an item that is not there yet. Allocates when the table is full.
    pub(crate) fn insert(&mut self, hash: KeyHash, number: u32) {
        let slot = Slot { hash: hash.kept(), number };
        self.tables[hash.table()].insert_unique(widen(slot.hash), slot, |slot| widen(slot.hash));
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> u64 {
        let tables: usize = self.tables.iter().map(HashTable::allocation_size).sum();
        (tables + size_of_val(&*self.tables)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_found_by_its_key_and_no_other() {
        let mut index = HashIndex::default();
        for number in 0..50_000u32 {
            let hash = index.hash(&(number * 7));
            assert_eq!(index.find(hash, |found| found * 7 == number * 7), None);
            index.insert(hash, number);
        }
        for key in 0..50_000u32 {
            let found = index.find(index.hash(&key), |found| found * 7 == key);
            assert_eq!(
                found,
                key.is_multiple_of(7).then_some(key / 7).filter(|found| *found < 50_000)
            );
        }
        assert!(index.memory() > 50_000 * 8);
    }
}
