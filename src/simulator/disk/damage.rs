//! Bits that are not as they were written, and the disk as it was before.

use super::SimulatedDisk;
use super::content::Content;
use super::names::Names;
use super::state::{Flipped, How};

/// All that a disk holds at some moment.
pub(crate) struct Saved {
    contents: Vec<Content>,
    names: Names,
}

impl SimulatedDisk {
    /// Flips one bit of a file where it lies, in the page cache and on the disk.
    pub(crate) fn flip_at_rest(&self, name: &str, bit: usize) {
        let state = &mut *self.state();
        if let Some(file) = state.names.get(name) {
            state.contents[file].flip(bit);
            let how = How::AtRest(state.contents[file].byte(bit / 8));
            state.flipped = Some(Flipped { file, bit, how });
        }
    }

    /// Flips one bit of a file on its way to whoever reads it, so many times.
    pub(crate) fn flip_on_the_way(&self, name: &str, bit: usize, times: u32) {
        let state = &mut *self.state();
        if let Some(file) = state.names.get(name) {
            state.flipped = Some(Flipped { file, bit, how: How::OnTheWay(times) });
        }
    }

    /// Flips it back, where nobody has written there since.
    pub(crate) fn mend(&self) {
        let state = &mut *self.state();
        if let Some(Flipped { file, bit, how: How::AtRest(byte) }) = state.flipped.take()
            && state.contents[file].byte(bit / 8) == byte
        {
            state.contents[file].flip(bit);
        }
    }

    /// What it holds now.
    pub(crate) fn save(&self) -> Saved {
        let state = self.state();
        Saved { contents: state.contents.clone(), names: state.names.clone() }
    }

    /// It holds what it held then.
    pub(crate) fn restore(&self, saved: Saved) {
        let state = &mut *self.state();
        (state.contents, state.names) = (saved.contents, saved.names);
        state.flipped = None;
    }
}
