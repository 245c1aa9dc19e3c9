//! The concepts that a traversal of the graph has met, numbered in the order in which it met them.
//!
//! A concept that this core's shard had heard of when the traversal began goes by its node, which
//! needs no look at its id. Any other goes by its id. Nodes are numbered upwards, so a concept that
//! the shard hears of meanwhile is told by its number and stays with its id: no concept is two.
//!
//! Cost: a probe a look. The hash is seeded anew for each traversal, as ids may be chosen by
//! whoever wants them to collide. The concepts are spread over several tables. So growing moves
//! some thousands of entries at a time, and holds the core up for no longer than a slice of work
//! does.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use sutra_store::{NodeNumber, Slab};
use sutra_wire::ConceptId;

/// Tables: of the 262,144 concepts that a traversal visits by default each holds some 4,000.
const TABLES: usize = 64;

/// How a concept is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Name {
    /// By a node of this core's shard.
    Node(NodeNumber),
    Id(ConceptId),
}

#[derive(Clone, Copy)]
struct Entry {
    /// The node, or a part of the id's hash.
    key: u32,
    number: u32,
    is_node: bool,
}

/// The concepts, by number and by name.
pub(super) struct Visited {
    names: Slab<Name>,
    tables: [HashTable<Entry>; TABLES],
    random: RandomState,
    seed: u64,
}

impl Default for Visited {
    fn default() -> Self {
        let random = RandomState::default();
        Self {
            names: Slab::default(),
            tables: std::array::from_fn(|_| HashTable::new()),
            seed: seed(&random),
            random,
        }
    }
}

fn seed(random: &RandomState) -> u64 {
    random.hash_one(0u64)
}

/// A seeded hash of a node: a multiplication of which both halves count (as in wyhash).
fn mix(key: u32, seed: u64) -> u64 {
    let product = u128::from(u64::from(key) ^ seed) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ ((product >> 64) as u64)
}

fn table(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

impl Visited {
    /// The number of a concept that is known by its node, and by no id.
    pub(super) fn number_of_node(&mut self, node: NodeNumber) -> u32 {
        let (hash, seed) = (mix(node, self.seed), self.seed);
        let table = &mut self.tables[table(hash)];
        if let Some(entry) = table.find(hash, |entry| entry.key == node && entry.is_node) {
            return entry.number;
        }
        let number = self.names.push(Name::Node(node));
        let entry = Entry { key: node, number, is_node: true };
        table.insert_unique(hash, entry, |entry| mix(entry.key, seed));
        number
    }

    /// The number of a concept that is known by its id, and by no node.
    pub(super) fn number_of_id(&mut self, id: &ConceptId) -> u32 {
        let key = self.random.hash_one(id.0) as u32;
        let (hash, seed) = (mix(key, self.seed), self.seed);
        let (table, names) = (&mut self.tables[table(hash)], &mut self.names);
        let is_it = |entry: &Entry| {
            entry.key == key && !entry.is_node && names[entry.number] == Name::Id(*id)
        };
        if let Some(entry) = table.find(hash, is_it) {
            return entry.number;
        }
        let number = names.push(Name::Id(*id));
        table.insert_unique(hash, Entry { key, number, is_node: false }, |entry| {
            mix(entry.key, seed)
        });
        number
    }

    /// Forgets all concepts, for another traversal; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.tables.iter_mut().for_each(HashTable::clear);
        self.random = RandomState::default();
        self.seed = seed(&self.random);
    }

    /// How many concepts there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// How a concept is known.
    pub(super) fn name(&self, number: u32) -> Name {
        self.names[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concept_keeps_the_number_under_which_it_was_met_first() {
        let mut visited = Visited::default();
        let id = |number: u32| ConceptId(u128::from(number).to_le_bytes());
        for _ in 0..2 {
            for number in 0..20_000 {
                assert_eq!(visited.number_of_node(number), 2 * number);
                assert_eq!(visited.number_of_id(&id(number)), 2 * number + 1);
            }
        }
        assert_eq!((visited.name(6), visited.name(7)), (Name::Node(3), Name::Id(id(3))));
        assert_eq!(visited.len(), 40_000);
        visited.clear();
        assert_eq!(
            (visited.len(), visited.number_of_id(&id(9)), visited.number_of_node(9)),
            (0, 0, 1)
        );
    }
}
