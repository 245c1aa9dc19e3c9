//! One segment as it is written: its memory and its file, which hold the same bytes.

use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use sutra_runtime::{DataFile, Region, RegionSlice, RegionWriter};

use crate::disk::{Disk, SegmentName};
use crate::format::{SEGMENT_HEADER, Seed, SegmentHeader, is_zero};
use crate::pages::Pages;

/// The smallest segment, for tests and tiny stores.
pub(crate) const MIN_SEGMENT: u64 = 64 << 10;
/// The largest: offsets in it are 32 bits.
pub(crate) const MAX_SEGMENT: u64 = 2 << 30;

/// A segment that is written, or will be.
pub(crate) struct Segment {
    number: u32,
    file: Arc<DataFile>,
    /// Its watermark is the end of the last sealed commit.
    writer: RegionWriter,
    seed: Seed,
    /// Commits start at multiples of this.
    block: usize,
    /// Bytes from the start that are zero-filled on disk: commits must end here.
    prepared: usize,
    /// The most that `prepared` may become.
    capacity: usize,
}

impl Segment {
    /// One whose file is there, with `prepared` bytes that are zero-filled behind what was written.
    /// It may grow to `capacity`.
    pub(crate) fn new(
        number: u32,
        file: Arc<DataFile>,
        writer: RegionWriter,
        header: &SegmentHeader,
        prepared: usize,
        capacity: usize,
    ) -> Self {
        Self {
            number,
            file,
            writer,
            seed: header.seed(),
            block: header.block as usize,
            prepared,
            capacity,
        }
    }

    /// Makes a new segment's file and memory, and its first `prepared` bytes ready. Blocks. What an
    /// earlier attempt has left is made anew.
    pub(crate) fn create(
        disk: &dyn Disk,
        name: SegmentName,
        store: u64,
        prepared: usize,
        capacity: usize,
    ) -> io::Result<Self> {
        let file = match disk.create(name) {
            // An attempt that could not be undone, for lack of descriptors or because the server
            // was stopped in it.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && !holds_data(disk, name)? =>
            {
                tracing::info!(segment = %name, "making a segment anew that was left half made");
                disk.remove(name)?;
                disk.create(name)?
            }
            created => created?,
        };
        Self::fill(disk, &file, name, store, prepared, capacity).inspect_err(|_| {
            // Best effort: what stays is recognised as half made by the next attempt, and by the
            // next start.
            let _ = disk.remove(name);
        })
    }

    fn fill(
        disk: &dyn Disk,
        file: &Arc<DataFile>,
        name: SegmentName,
        store: u64,
        prepared: usize,
        capacity: usize,
    ) -> io::Result<Self> {
        let block = file.alignment();
        let capacity = capacity.next_multiple_of(block as usize);
        let prepared = prepared.next_multiple_of(block as usize).min(capacity);
        let header = SegmentHeader {
            block,
            store,
            generation: disk.random(),
            number: name.number,
            shard: name.shard,
            capacity: capacity as u64,
        };
        let mut writer = RegionWriter::new(capacity)?;
        Pages::of(&mut writer, 0..prepared).populate();
        writer.writable()[..SEGMENT_HEADER].copy_from_slice(&header.encode());
        writer.freeze(header.first_commit());
        disk.zero_fill(file, 0..prepared as u64)?;
        let bytes =
            writer.region().bytes(0..SEGMENT_HEADER).expect("the watermark is behind the header");
        disk.write(file, 0, bytes)?;
        disk.sync(file)?;
        disk.sync_shard(name.shard)?;
        Ok(Self::new(name.number, Arc::clone(file), writer, &header, prepared, capacity))
    }

    /// Its place in the shard's log.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn file(&self) -> &Arc<DataFile> {
        &self.file
    }

    pub(crate) fn region(&self) -> &Arc<Region> {
        self.writer.region()
    }

    /// What the crc of its entries starts with.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// Where the last sealed commit ends.
    pub(crate) fn end(&self) -> usize {
        self.writer.frozen()
    }

    /// So many bytes with the padding behind them: commits end where blocks do.
    pub(crate) fn padded(&self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.block)
    }

    /// Whether a commit may end here now.
    pub(crate) fn is_ready_up_to(&self, end: usize) -> bool {
        end <= self.prepared
    }

    /// Whether a commit may ever end here.
    pub(crate) fn can_reach(&self, end: usize) -> bool {
        end <= self.capacity
    }

    /// Whether no more than `ahead` bytes, or half of it, can follow `tail`.
    pub(crate) fn is_nearly_full(&self, tail: usize, ahead: usize) -> bool {
        self.capacity.saturating_sub(tail) <= ahead.min(self.capacity / 2)
    }

    /// The bytes from `at` on, which no sealed commit has.
    pub(crate) fn space(&mut self, at: usize, bytes: usize) -> &mut [u8] {
        let from = at - self.writer.frozen();
        &mut self.writer.writable()[from..][..bytes]
    }

    /// Seals the commit that ends here: its bytes never change any more.
    pub(crate) fn seal(&mut self, end: usize) -> RegionSlice {
        let start = self.end();
        self.writer.freeze(end);
        self.writer.region().slice(start..end).expect("the watermark was just moved behind it")
    }

    /// The stretch to be zero-filled next, with its memory, where it is not ready up to `end`: one
    /// step, as long as what is ready already within these bounds.
    pub(crate) fn next_step(
        &mut self,
        end: usize,
        step: RangeInclusive<usize>,
    ) -> Option<(Range<usize>, Pages)> {
        if self.prepared >= end.min(self.capacity) {
            return None;
        }
        let to = self.prepared + self.prepared.clamp(*step.start(), *step.end());
        let range = self.prepared..self.padded(to).min(self.capacity);
        Some((range.clone(), Pages::of(&mut self.writer, range)))
    }

    /// It is ready up to here.
    pub(crate) fn set_ready(&mut self, to: usize) {
        self.prepared = to.min(self.capacity);
    }

    /// Nothing is written to it until [`Segment::set_ready`]; returns up to where it was ready.
    pub(crate) fn suspend(&mut self) -> usize {
        std::mem::take(&mut self.prepared)
    }

    /// Nothing is ever written to it again.
    pub(crate) fn close(&mut self) {
        (self.prepared, self.capacity) = (0, 0);
    }
}

/// Whether anything stands behind the header of a segment's file.
pub(crate) fn holds_data(disk: &dyn Disk, name: SegmentName) -> io::Result<bool> {
    let file = disk.open(name)?;
    let length = disk.len(&file)?;
    let mut block = vec![0; SEGMENT_HEADER];
    for offset in (SEGMENT_HEADER as u64..length).step_by(SEGMENT_HEADER) {
        block.truncate(
            usize::try_from(length - offset)
                .map_or(SEGMENT_HEADER, |rest| rest.min(SEGMENT_HEADER)),
        );
        disk.read(&file, offset, &mut block)?;
        if !is_zero(&block) {
            return Ok(true);
        }
    }
    Ok(false)
}
