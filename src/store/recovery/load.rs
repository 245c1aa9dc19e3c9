//! Segment files read into the memory that will serve them; nothing of them is believed yet.

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionWriter, WriteMode};

use super::Source;
use crate::StoreError;
use crate::disk::SegmentName;
use crate::format::{Covered, HeaderFault, SEGMENT_HEADER, SegmentHeader, is_zero};

/// A segment file in memory, nothing of it believed yet.
pub(crate) struct Loaded {
    pub(super) name: SegmentName,
    pub(super) file: Arc<DataFile>,
    pub(super) writer: RegionWriter,
    /// Bytes of the file.
    pub(super) bytes: usize,
    pub(super) header: Result<SegmentHeader, HeaderFault>,
}

impl Source {
    /// Reads a segment into the memory that will serve it. What is read may not be on the disk yet,
    /// so it is synced first.
    pub(super) fn load(&self, name: SegmentName) -> Result<Loaded, StoreError> {
        let disk = &*self.disk;
        let file = disk.open(name)?;
        self.sync(&file)?;
        let length = disk.len(&file)?;
        let bytes = usize::try_from(length).ok().filter(|bytes| u32::try_from(*bytes).is_ok());
        let bytes = bytes.ok_or_else(|| {
            self.damaged(name, 0, format!("a segment can't be {length} bytes long"))
        })?;
        // The header says how long the segment may become; until then a block is enough.
        let mut block = [0; SEGMENT_HEADER];
        let first = bytes.min(SEGMENT_HEADER);
        disk.read(&file, 0, &mut block[..first])?;
        let header = SegmentHeader::decode(&block[..first]);
        let capacity = header.as_ref().map_or(0, |header| header.capacity);
        let capacity =
            usize::try_from(capacity).ok().filter(|capacity| u32::try_from(*capacity).is_ok());
        let capacity =
            capacity.ok_or_else(|| self.damaged(name, 0, "the segment's size makes no sense"))?;
        let mut writer = RegionWriter::new(capacity.max(bytes).max(SEGMENT_HEADER))?;
        disk.read(&file, 0, &mut writer.writable()[..bytes])?;
        // What counts is what was read with all the rest: that may have passed the page cache by.
        let header = header.and_then(|_| SegmentHeader::decode(&writer.writable()[..first]));
        Ok(Loaded { name, file, writer, bytes, header })
    }

    fn sync(&self, file: &DataFile) -> io::Result<()> {
        if self.is_stable { Ok(()) } else { self.disk.sync(file) }
    }

    /// Reads what stands above the watermark again, as it is by now.
    pub(super) fn refresh(&self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let disk = &*self.disk;
        self.sync(&loaded.file)?;
        let length = disk.len(&loaded.file)?;
        let from = loaded.writer.frozen();
        let bytes = usize::try_from(length)
            .ok()
            .filter(|bytes| (from..=loaded.writer.len()).contains(bytes));
        let bytes = bytes.ok_or_else(|| {
            self.damaged(loaded.name, 0, format!("a segment can't be {length} bytes long"))
        })?;
        disk.read(&loaded.file, from as u64, &mut loaded.writer.writable()[..bytes - from])?;
        loaded.bytes = bytes;
        Ok(())
    }
}

impl Loaded {
    /// What it covers, if it is a segment of state whose header is whole and below the watermark.
    pub(super) fn covered(&self) -> Option<Covered> {
        self.writer.region().bytes(0..SEGMENT_HEADER).and_then(SegmentHeader::covered)
    }

    /// What the file holds above the watermark.
    pub(super) fn rest(&mut self) -> &[u8] {
        let end = self.bytes - self.writer.frozen().min(self.bytes);
        &self.writer.writable()[..end]
    }

    /// Whether the segment was being made when the server was stopped: nothing follows its header.
    pub(super) fn is_half_made(&mut self) -> bool {
        let bytes = self.bytes;
        let rest = &self.writer.writable()[SEGMENT_HEADER.min(bytes)..bytes];
        is_zero(rest)
    }

    /// Bytes above the watermark up to the last one that is not zero.
    pub(super) fn used(&mut self) -> usize {
        self.rest().iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }
}

/// Whether a file of so many bytes is read from the disk, past the page cache, which may have what
/// the disk has not.
pub(super) fn is_read_from_disk(file: &DataFile, bytes: usize) -> bool {
    matches!(file.mode(), WriteMode::Direct { align } if bytes.is_multiple_of(align as usize))
}
