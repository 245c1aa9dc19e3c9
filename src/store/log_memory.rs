//! The log in memory, as it is read: the bytes of a shard's segments, and locations in them.
//!
//! A segment's bytes are reached only through here. Nothing holds a pointer into one: a reader
//! takes a [`RegionSlice`], which keeps the segment's memory alive for as long as a socket needs
//! it.
//!
//! This is the one module that takes bytes of the log for validated. The promise behind it: a
//! [`Location`] of type `R` is made only for bytes of which [`Checked<R>`] vouched. The log has
//! copied them from a checked record, or recovery has validated them. Bytes below a region's
//! watermark never change.

use std::marker::PhantomData;
use std::sync::Arc;

use sutra_runtime::{Region, RegionSlice};
use sutra_wire::{Checked, Payload};

use crate::format::{ENTRY_HEADER, Entry};
use crate::marks::Position;

/// Where in the log a validated archive of `R` lies.
pub(crate) struct Location<R> {
    segment: u32,
    offset: u32,
    length: u32,
    of: PhantomData<fn() -> R>,
}

impl<R> Clone for Location<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Location<R> {}

impl<R: Payload> Location<R> {
    /// # Safety
    /// The `length` bytes from `offset` on in segment `segment` are, or will be when the region's
    /// watermark has passed them, an archive that [`Checked::<R>::new`] accepted, but for its
    /// times, on a 16-byte boundary.
    pub(crate) unsafe fn new(segment: u32, offset: usize, length: usize) -> Self {
        let fits = |number| u32::try_from(number).expect("a segment is shorter than 4 GiB");
        Self { segment, offset: fits(offset), length: fits(length), of: PhantomData }
    }

    /// Where the header of its entry stands.
    pub(crate) fn entry(self) -> Position {
        Position { segment: self.segment, offset: self.offset - ENTRY_HEADER as u32 }
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = self.offset as usize;
        start..start + self.length as usize
    }
}

/// The memory of a shard's segments, by number.
#[derive(Default)]
pub(crate) struct LogMemory {
    /// The number of the first.
    first: u32,
    segments: Vec<Stretch>,
}

/// The memory of one segment.
struct Stretch {
    region: Arc<Region>,
    /// Bytes that recovery read into it.
    loaded: usize,
    /// Where its last commit ends that has landed. The watermark may lie behind one that has not.
    landed: usize,
}

impl LogMemory {
    /// Adds the next segment, of which recovery read so many bytes.
    pub(crate) fn push(&mut self, number: u32, region: Arc<Region>, loaded: usize) {
        if self.segments.is_empty() {
            self.first = number;
        }
        debug_assert_eq!(number as usize, self.first as usize + self.segments.len());
        let landed = region.frozen();
        self.segments.push(Stretch { region, loaded, landed });
    }

    fn stretch(&self, number: u32) -> Option<&Stretch> {
        self.segments.get(number.wrapping_sub(self.first) as usize)
    }

    fn stretch_mut(&mut self, number: u32) -> Option<&mut Stretch> {
        self.segments.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// More of a segment was read.
    pub(crate) fn note_loaded(&mut self, number: u32, loaded: usize) {
        if let Some(segment) = self.stretch_mut(number) {
            segment.loaded = loaded;
        }
    }

    /// All that was read back has landed.
    pub(crate) fn settle(&mut self) {
        self.segments.iter_mut().for_each(|segment| segment.landed = segment.region.frozen());
    }

    /// A commit has landed that ends here.
    pub(crate) fn note_landed(&mut self, end: Position) {
        if let Some(segment) = self.stretch_mut(end.segment) {
            segment.landed = end.offset as usize;
        }
    }

    /// A segment's memory, and where its last commit ends that has landed.
    pub(crate) fn segment(&self, number: u32) -> Option<(&Arc<Region>, usize)> {
        self.stretch(number).map(|segment| (&segment.region, segment.landed))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.segments.len()
    }

    /// The number of the first segment.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// Bytes of the log in all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.region.frozen() as u64).sum()
    }

    /// Bytes of memory that they hold; what is mapped and was never touched takes none.
    pub(crate) fn memory(&self) -> u64 {
        self.segments.iter().map(|segment| segment.region.frozen().max(segment.loaded) as u64).sum()
    }

    /// Bytes of a segment that are sealed, with a hold on it.
    pub(crate) fn sealed(&self, number: u32, range: std::ops::Range<usize>) -> Option<RegionSlice> {
        self.stretch(number)?.region.slice(range)
    }

    /// Where the sealed bytes of a segment end.
    pub(crate) fn end(&self, number: u32) -> usize {
        self.stretch(number).map_or(0, |segment| segment.region.frozen())
    }

    /// The entry whose header stands there, below the watermark.
    pub(crate) fn entry(&self, at: Position) -> Option<Entry<'_>> {
        let region = &self.stretch(at.segment)?.region;
        Entry::parse_without_crc(region.bytes(at.offset as usize..region.frozen())?)
    }

    /// The archive, with a hold on its segment. Cost: one count on the segment, no copy.
    pub(crate) fn slice<R: Payload>(&self, location: Location<R>) -> Option<RegionSlice> {
        self.stretch(location.segment)?.region.slice(location.range())
    }

    /// The record itself, in place.
    pub(crate) fn record<R: Payload>(&self, location: Location<R>) -> Option<Checked<'_, R>> {
        let bytes = self.stretch(location.segment)?.region.bytes(location.range())?;
        // SAFETY: a location is made only where its maker promised (`Location::new`) that these
        // bytes are a validated archive of `R` on a 16-byte boundary, and `bytes` are below the
        // watermark, so they don't change.
        Some(unsafe { Checked::from_validated(bytes) })
    }
}
