//! Received bytes in a simulation, until they were handed over.

use crate::region::{RegionSlice, RegionWriter};

/// Pieces of received bytes, by their buffers' numbers. Each lies in memory of its own, at the
/// beginning of a page.
#[derive(Default)]
pub(crate) struct Pieces(Vec<Option<RegionSlice>>);

impl Pieces {
    /// Keeps a piece; returns its buffer's number.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u16 {
        let mut writer =
            RegionWriter::new(bytes.len()).expect("a simulation has memory for a received piece");
        writer.writable()[..bytes.len()].copy_from_slice(bytes);
        writer.freeze(bytes.len());
        let piece = writer.region().slice(0..bytes.len());
        let free = self.0.iter().position(Option::is_none).unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[free] = piece;
        u16::try_from(free).expect("what has completed is handed over in the next turn")
    }

    pub(crate) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        let piece = self.0[usize::from(buffer)].as_ref();
        &piece.expect("a completion names a buffer until it is given back")[..len]
    }

    pub(crate) fn recycle(&mut self, buffer: u16) {
        self.0[usize::from(buffer)] = None;
    }
}
