//! Memory of a log segment: written once from the front, read by many while it is still being
//! written.
//!
//! One [`RegionWriter`] fills a region beyond its watermark. Everything below the watermark is
//! frozen and never changes again. So [`RegionSlice`]s of it can be sent to sockets and written to
//! disk while the writer goes on.
//!
//! The whole safety argument: mutable references exist only above the watermark, and shared ones
//! only below it. The watermark only rises while anything is shared.

use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::mapping::Mapping;
use crate::shared::{AtomicUsize, Ordering};

/// A fixed piece of page-aligned memory whose first [`Region::frozen`] bytes never change again.
#[derive(Debug)]
pub struct Region {
    memory: Mapping,
    frozen: AtomicUsize,
}

impl Region {
    /// The watermark: how many bytes from the start are frozen.
    pub fn frozen(&self) -> usize {
        // Acquire pairs with the Release in `freeze`: who sees the watermark sees the bytes below
        // it.
        self.frozen.load(Ordering::Acquire)
    }

    /// The bytes of `range`, if it lies below the watermark.
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.frozen() {
            return None;
        }
        // SAFETY: the range lies inside the mapping, as the watermark never exceeds its length. It
        // lies below the watermark, where no mutable reference exists or will exist while this
        // region is shared.
        Some(unsafe { self.frozen_bytes(range) })
    }

    /// A slice of `range` that keeps the region alive, if it lies below the watermark.
    pub fn slice(self: &Arc<Self>, range: Range<usize>) -> Option<RegionSlice> {
        self.bytes(range.clone())?;
        Some(RegionSlice { region: Arc::clone(self), range })
    }

    /// # Safety
    /// `range` must have been checked against the watermark once: it only rises while the region is
    /// shared.
    unsafe fn frozen_bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: the range lies inside the mapping (the caller's promise). Frozen bytes are
        // initialised, as the mapping starts zeroed, and are not written again.
        unsafe { std::slice::from_raw_parts(self.memory.to_read(range.clone()), range.len()) }
    }
}

/// A frozen part of a region, which it keeps alive. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RegionSlice {
    region: Arc<Region>,
    range: Range<usize>,
}

impl RegionSlice {
    /// The region that it is a part of.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Where in the region it lies, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Deref for RegionSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range was below the watermark when the slice was made. While the slice holds
        // its Arc the writer can't reclaim the region, so the watermark has only risen since.
        unsafe { self.region.frozen_bytes(self.range.clone()) }
    }
}

/// The one who fills a region. Not cloneable: there is one for each region.
#[derive(Debug)]
pub struct RegionWriter {
    region: Arc<Region>,
}

impl RegionWriter {
    /// Maps a new region of `len` bytes, zeroed, nothing frozen. Errors: no memory, or `len` is 0.
    pub fn new(len: usize) -> io::Result<RegionWriter> {
        let region = Region { memory: Mapping::new(len)?, frozen: AtomicUsize::new(0) };
        Ok(RegionWriter { region: Arc::new(region) })
    }

    /// Everything from the watermark to the end, to be written.
    pub fn writable(&mut self) -> &mut [u8] {
        let frozen = self.frozen();
        let range = frozen..self.len();
        // SAFETY: these bytes lie above the watermark, where readers never look. `&mut self` of the
        // only writer makes this the only mutable reference. The watermark can't rise while it is
        // borrowed.
        unsafe {
            std::slice::from_raw_parts_mut(self.region.memory.to_write(range.clone()), range.len())
        }
    }

    /// Freezes everything below the absolute offset `to`.
    ///
    /// # Panics
    /// If `to` is below the watermark or beyond the end: a bug in the caller.
    pub fn freeze(&mut self, to: usize) {
        assert!(
            to >= self.frozen() && to <= self.len(),
            "the watermark rises, and stays inside the region"
        );
        self.region.frozen.store(to, Ordering::Release);
    }

    /// The region, to be read and sliced by anyone.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Bytes of the whole region.
    pub fn len(&self) -> usize {
        self.region.memory.len()
    }

    /// Whether the region has no bytes; never so, as `new` refuses 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The watermark.
    pub fn frozen(&self) -> usize {
        self.region.frozen()
    }

    /// Takes the region back for new content: watermark 0, bytes as they were. Fails, giving itself
    /// back, while a slice or another reference exists.
    pub fn reclaim(mut self) -> Result<RegionWriter, RegionWriter> {
        match Arc::get_mut(&mut self.region) {
            Some(region) => {
                region.frozen = AtomicUsize::new(0);
                Ok(self)
            }
            None => Err(self),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_frozen_bytes_can_be_read() {
        let mut writer = RegionWriter::new(8192).unwrap();
        assert_eq!(writer.writable().len(), 8192);
        writer.writable()[..5].copy_from_slice(b"hello");
        assert!(writer.region().bytes(0..1).is_none());
        writer.freeze(5);
        assert_eq!(writer.region().bytes(0..5), Some(&b"hello"[..]));
        assert!(writer.region().bytes(0..6).is_none());
        assert_eq!(writer.region().bytes(5..5), Some(&b""[..]));
        assert_eq!(writer.writable().len(), 8187);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn a_reversed_range_is_no_slice() {
        let mut writer = RegionWriter::new(4096).unwrap();
        writer.freeze(100);
        assert!(writer.region().slice(50..20).is_none());
    }

    #[test]
    fn a_slice_outlives_the_writer_and_sees_the_same_bytes() {
        let mut writer = RegionWriter::new(4096).unwrap();
        writer.writable()[..3].copy_from_slice(b"abc");
        writer.freeze(3);
        let slice = writer.region().slice(1..3).unwrap();
        writer.writable()[0] = b'x';
        drop(writer);
        assert_eq!(&*slice, b"bc");
        let other = slice.clone();
        assert_eq!(std::thread::spawn(move || other.to_vec()).join().unwrap(), b"bc");
    }

    #[test]
    fn a_region_is_reclaimed_only_when_nobody_holds_it() {
        let mut writer = RegionWriter::new(4096).unwrap();
        writer.freeze(64);
        let slice = writer.region().slice(0..64).unwrap();
        let writer = writer.reclaim().unwrap_err();
        assert_eq!(writer.frozen(), 64);
        drop(slice);
        let mut writer = writer.reclaim().unwrap();
        assert_eq!(writer.frozen(), 0);
        assert_eq!(writer.writable().len(), 4096);
    }

    #[test]
    #[should_panic(expected = "watermark rises")]
    fn the_watermark_never_falls() {
        let mut writer = RegionWriter::new(4096).unwrap();
        writer.freeze(10);
        writer.freeze(9);
    }

    #[test]
    fn an_empty_region_is_refused() {
        assert!(RegionWriter::new(0).is_err());
    }
}
