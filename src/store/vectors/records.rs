//! The embeddings that the log holds: where they are, and what tells two of them apart.

use rkyv::rend::f32_le;
use sutra_wire::{Checked, ConceptId, ConceptRecord};

use crate::log_memory::LogMemory;
use crate::namespaces::NamespaceId;
use crate::table::Table;

/// Where the visible records are.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    table: &'a Table,
    memory: &'a LogMemory,
}

impl<'a> Records<'a> {
    /// The records of the concepts in a table.
    pub(crate) fn of(table: &'a Table, memory: &'a LogMemory) -> Self {
        Self { table, memory }
    }

    /// The node of a concept, if the shard has heard of it.
    pub(super) fn find(&self, namespace: NamespaceId, id: &ConceptId) -> Option<u32> {
        self.table.find(namespace, id)
    }

    /// The nodes that have an embedding, each with its namespace and its record. Cost: a look at
    /// every record.
    pub(super) fn with_embedding(
        &self,
    ) -> impl Iterator<Item = (u32, NamespaceId, Checked<'a, ConceptRecord>)> + use<'a> {
        let Self { table, .. } = *self;
        let records = *self;
        (0..table.len() as u32).filter_map(move |node| {
            let record = records.record(node).filter(|record| !record.embedding.is_empty())?;
            Some((node, table.namespace_of(node), record))
        })
    }

    /// The sequence of a node's record.
    pub(super) fn sequence(&self, node: u32) -> Option<u64> {
        self.table.sequence(node)
    }

    /// The record of a node's concept.
    pub(super) fn record(&self, node: u32) -> Option<Checked<'a, ConceptRecord>> {
        self.memory.record(self.table.location_of(node)?)
    }
}

/// crc32c of an embedding's bytes.
pub(super) fn checksum(embedding: &[f32_le]) -> u32 {
    let mut bytes = [0; 1024];
    embedding.chunks(bytes.len() / 4).fold(0, |crc, numbers| {
        for (bytes, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&number.to_native().to_le_bytes());
        }
        crc32c::crc32c_append(crc, &bytes[..4 * numbers.len()])
    })
}

/// Whether two embeddings are the same, bit for bit.
pub(super) fn is_same(a: &[f32_le], b: &[f32_le]) -> bool {
    let bits = |number: &f32_le| number.to_native().to_bits();
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(a) == bits(b))
}
