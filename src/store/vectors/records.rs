//! The embeddings that the log holds: where they are, and what tells two of them apart.

use rkyv::rend::f32_le;
use sutra_wire::{Checked, ConceptRecord};

use crate::segments::Segments;
use crate::table::Table;

/// Where the visible records are.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    pub(crate) table: &'a Table,
    pub(crate) segments: &'a Segments,
}

impl<'a> Records<'a> {
    /// The record of a node's concept.
    pub(super) fn record(&self, node: u32) -> Option<Checked<'a, ConceptRecord>> {
        self.segments.record(self.table.location_of(node)?)
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
