//! The concept table: every id that a shard has heard of, and where its concept's latest record
//! lies.
//!
//! A *node* is an id's slot: a concept of this shard, or the far end of an association, learned
//! here, elsewhere or not at all. Nodes are numbered and never move, so that associations can name
//! them by 32 bits.

use sutra_wire::{ConceptId, ConceptRecord};

use crate::hash_index::HashIndex;
use crate::log_memory::Location;
use crate::namespaces::NamespaceId;
use crate::slab::Slab;

/// The latest version of a concept.
struct Version {
    sequence: u64,
    /// `None` where it says that the concept is deleted.
    record: Option<Stored>,
}

/// A concept's record in the log.
struct Stored {
    location: Location<ConceptRecord>,
    /// Whether it has an embedding.
    vector: bool,
}

/// An id's slot.
struct Node {
    id: ConceptId,
    namespace: NamespaceId,
    version: Option<Version>,
}

impl Node {
    fn record(&self) -> Option<&Stored> {
        self.version.as_ref()?.record.as_ref()
    }
}

/// The nodes of a shard.
#[derive(Default)]
pub(crate) struct Table {
    nodes: Slab<Node>,
    index: HashIndex,
    concepts: u64,
    vectors: u64,
}

impl Table {
    /// The node of an id, if the shard has heard of it. Cost: one hash, one probe.
    pub(crate) fn find(&self, namespace: NamespaceId, id: &ConceptId) -> Option<u32> {
        let nodes = &self.nodes;
        self.index.find(self.index.hash(&(namespace, id)), |node| {
            nodes[node].id == *id && nodes[node].namespace == namespace
        })
    }

    /// The node of an id, made if there is none. Allocates only as the table grows.
    pub(crate) fn find_or_insert(&mut self, namespace: NamespaceId, id: &ConceptId) -> u32 {
        if let Some(node) = self.find(namespace, id) {
            return node;
        }
        let node = self.nodes.push(Node { id: *id, namespace, version: None });
        self.index.insert(self.index.hash(&(namespace, id)), node);
        node
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The id of a node, which must be there.
    pub(crate) fn id_of(&self, node: u32) -> ConceptId {
        self.nodes[node].id
    }

    /// The namespace of a node, which must be there.
    pub(crate) fn namespace_of(&self, node: u32) -> NamespaceId {
        self.nodes[node].namespace
    }

    /// Where the visible record of a node's concept lies.
    pub(crate) fn location_of(&self, node: u32) -> Option<Location<ConceptRecord>> {
        self.nodes.get(node)?.record().map(|record| record.location)
    }

    /// The sequence of a node's latest version, where it has one.
    pub(crate) fn sequence(&self, node: u32) -> Option<u64> {
        Some(self.nodes.get(node)?.version.as_ref()?.sequence)
    }

    /// The records of all concepts that are learned: each with its id and its sequence.
    pub(crate) fn records(
        &self,
    ) -> impl Iterator<Item = (ConceptId, u64, Location<ConceptRecord>)> + '_ {
        let nodes = (0..self.nodes.len() as u32).map(|node| &self.nodes[node]);
        nodes.filter_map(|node| {
            let location = node.record()?.location;
            Some((node.id, node.version.as_ref()?.sequence, location))
        })
    }

    /// Where a concept's visible record lies.
    pub(crate) fn location(
        &self,
        namespace: NamespaceId,
        id: &ConceptId,
    ) -> Option<Location<ConceptRecord>> {
        self.nodes[self.find(namespace, id)?].record().map(|record| record.location)
    }

    /// Makes a concept's record visible, unless a newer version is. `has_vector`: it has an
    /// embedding.
    pub(crate) fn learn(
        &mut self,
        namespace: NamespaceId,
        id: &ConceptId,
        sequence: u64,
        location: Location<ConceptRecord>,
        has_vector: bool,
    ) {
        let stored = Stored { location, vector: has_vector };
        self.set(namespace, id, Version { sequence, record: Some(stored) });
    }

    /// Makes a concept's deletion visible, unless a newer version is. Whether the concept was there
    /// before.
    pub(crate) fn delete(&mut self, namespace: NamespaceId, id: &ConceptId, sequence: u64) -> bool {
        self.set(namespace, id, Version { sequence, record: None })
    }

    fn set(&mut self, namespace: NamespaceId, id: &ConceptId, version: Version) -> bool {
        let node = self.find_or_insert(namespace, id);
        let node = &mut self.nodes[node];
        let count =
            |node: &Node| node.record().map_or((0, 0), |record| (1, u64::from(record.vector)));
        let (concepts, vectors) = count(node);
        if node.version.as_ref().is_none_or(|current| current.sequence < version.sequence) {
            node.version = Some(version);
        }
        let (concepts_now, vectors_now) = count(node);
        self.concepts = self.concepts - concepts + concepts_now;
        self.vectors = self.vectors - vectors + vectors_now;
        concepts > 0
    }

    /// Appends the ids of a namespace's nodes that are wanted to `out`, from node `first` on, at
    /// most `limit`, after a look at no more than `visits` nodes. Returns the node to go on with,
    /// `None` at the end.
    pub(crate) fn list_from(
        &self,
        namespace: NamespaceId,
        first: u32,
        limit: u32,
        visits: u32,
        is_wanted: impl Fn(u32) -> bool,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        let mut found = 0;
        for number in first..=first.saturating_add(visits - 1) {
            let node = self.nodes.get(number)?;
            if found == limit {
                return Some(number);
            }
            if node.namespace == namespace && is_wanted(number) {
                found += 1;
                out.push(node.id.0);
            }
        }
        Some(first.saturating_add(visits))
    }

    /// Concepts that are learned.
    pub(crate) fn concepts(&self) -> u64 {
        self.concepts
    }

    /// How many of the concepts have an embedding.
    pub(crate) fn vectors(&self) -> u64 {
        self.vectors
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> u64 {
        self.nodes.memory() + self.index.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(sequence: u64, vector: bool) -> Version {
        // SAFETY: these tests never read what lies there.
        let location = unsafe { Location::new(0, sequence as usize, 0) };
        Version { sequence, record: Some(Stored { location, vector }) }
    }

    fn tombstone(sequence: u64) -> Version {
        Version { sequence, record: None }
    }

    /// Lists the learned concepts of the default namespace.
    fn concepts_from(
        table: &Table,
        first: u32,
        limit: u32,
        visits: u32,
        out: &mut Vec<[u8; 16]>,
    ) -> Option<u32> {
        let is_learned = |node| table.location_of(node).is_some();
        table.list_from(NamespaceId::DEFAULT, first, limit, visits, is_learned, out)
    }

    #[test]
    fn a_node_takes_48_bytes() {
        assert_eq!(size_of::<Node>(), 48);
    }

    #[test]
    fn a_deleted_concept_is_gone_until_it_is_learned_again_and_an_older_version_changes_nothing() {
        let (mut table, id) = (Table::default(), ConceptId([1; 16]));
        assert!(!table.set(NamespaceId::DEFAULT, &id, version(5, true)));
        assert!(table.set(NamespaceId::DEFAULT, &id, tombstone(7)));
        assert!(!table.set(NamespaceId::DEFAULT, &id, version(6, true)));
        assert!(!table.set(NamespaceId::DEFAULT, &id, tombstone(8)));
        assert!(table.location(NamespaceId::DEFAULT, &id).is_none());
        assert_eq!((table.concepts(), table.vectors()), (0, 0));
        assert_eq!(concepts_from(&table, 0, 10, 10, &mut Vec::new()), None);
        table.set(NamespaceId::DEFAULT, &id, version(9, true));
        assert!(table.location(NamespaceId::DEFAULT, &id).is_some());
        assert_eq!((table.concepts(), table.vectors()), (1, 1));
    }

    #[test]
    fn the_newest_version_stays_visible_in_whatever_order_they_come() {
        let (mut table, id) = (Table::default(), ConceptId([1; 16]));
        assert!(table.location(NamespaceId::DEFAULT, &id).is_none());
        table.set(NamespaceId::DEFAULT, &id, version(5, true));
        table.set(NamespaceId::DEFAULT, &id, version(4, false));
        assert_eq!((table.concepts(), table.vectors()), (1, 1));
        table.set(NamespaceId::DEFAULT, &id, version(6, false));
        assert_eq!((table.concepts(), table.vectors()), (1, 0));
        let newest = table
            .find(NamespaceId::DEFAULT, &id)
            .and_then(|node| table.nodes[node].version.as_ref());
        assert_eq!(newest.map(|version| version.sequence), Some(6));
    }

    #[test]
    fn the_same_id_in_two_namespaces_is_two_concepts() {
        let (mut table, id) = (Table::default(), ConceptId([1; 16]));
        let other = NamespaceId::from_number(1);
        table.set(other, &id, version(1, false));
        assert!(table.location(NamespaceId::DEFAULT, &id).is_none());
        assert_ne!(
            table.find_or_insert(NamespaceId::DEFAULT, &id),
            table.find_or_insert(other, &id)
        );
        assert_eq!(table.concepts(), 1);
    }

    #[test]
    fn concepts_are_listed_once_each_in_pieces_of_bounded_work_while_others_are_learned() {
        let (mut table, other) = (Table::default(), NamespaceId::from_number(1));
        let id = |number: u32| ConceptId(u128::from(number).to_le_bytes());
        for number in 0..1000 {
            match number % 3 {
                0 => drop(table.set(NamespaceId::DEFAULT, &id(number), version(1, false))),
                1 => drop(table.set(other, &id(number), version(1, false))),
                _ => drop(table.find_or_insert(NamespaceId::DEFAULT, &id(number))),
            }
        }
        for (limit, visits) in [(7, 1000), (1000, 7), (1, 1), (1000, 1000)] {
            let (mut listed, mut next) = (Vec::new(), Some(0));
            while let Some(node) = next {
                let before = listed.len();
                next = concepts_from(&table, node, limit, visits, &mut listed);
                assert!(listed.len() - before <= limit.min(visits) as usize);
                if listed.len() == 100 {
                    table.set(other, &id(5000 + limit), version(1, false));
                }
            }
            let expected: Vec<_> = (0..1000).step_by(3).map(|number| id(number).0).collect();
            assert_eq!(listed, expected, "limit {limit}, visits {visits}");
        }
        assert_eq!(concepts_from(&table, u32::MAX, 1, 1, &mut Vec::new()), None);
    }

    #[test]
    fn a_node_without_a_concept_is_not_counted() {
        let mut table = Table::default();
        let node = table.find_or_insert(NamespaceId::DEFAULT, &ConceptId([2; 16]));
        assert_eq!((node, table.concepts()), (0, 0));
        assert!(table.memory() > 0);
    }
}
