//! One segment: its memory and its file, which hold the same bytes.

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionWriter};

use crate::disk::{Disk, SegmentName};
use crate::format::{SEGMENT_HEADER, Seed, SegmentHeader, is_zero};
use crate::pages::Pages;

/// A segment that is written, or will be.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: Arc<DataFile>,
    /// Its watermark is the end of the last sealed commit.
    pub(crate) writer: RegionWriter,
    pub(crate) seed: Seed,
    /// Commits start at multiples of this.
    pub(crate) block: usize,
    /// Bytes from the start that are zero-filled on disk: commits must end here.
    pub(crate) prepared: usize,
    /// The most that `prepared` may become.
    pub(crate) capacity: usize,
}

impl Segment {
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
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !holds_data(disk, name)? => {
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
            generation: rand::random(),
            number: name.number,
            shard: name.shard,
            capacity: capacity as u64,
        };
        let mut writer = RegionWriter::new(capacity)?;
        Pages::of(&mut writer, 0..prepared).populate();
        writer.writable()[..SEGMENT_HEADER].copy_from_slice(&header.encode());
        writer.freeze(header.first_commit());
        disk.zero_fill(file, 0..prepared as u64)?;
        let bytes = writer.region().bytes(0..SEGMENT_HEADER).expect("the watermark is behind the header");
        disk.write(file, 0, bytes)?;
        disk.sync(file)?;
        disk.sync_shard(name.shard)?;
        Ok(Self {
            number: name.number,
            file: Arc::clone(file),
            writer,
            seed: header.seed(),
            block: block as usize,
            prepared,
            capacity,
        })
    }
}

/// Whether anything stands behind the header of a segment's file.
pub(crate) fn holds_data(disk: &dyn Disk, name: SegmentName) -> io::Result<bool> {
    let file = disk.open(name)?;
    let length = disk.len(&file)?;
    let mut block = vec![0; SEGMENT_HEADER];
    for offset in (SEGMENT_HEADER as u64..length).step_by(SEGMENT_HEADER) {
        block.truncate(usize::try_from(length - offset).map_or(SEGMENT_HEADER, |rest| rest.min(SEGMENT_HEADER)));
        disk.read(&file, offset, &mut block)?;
        if !is_zero(&block) {
            return Ok(true);
        }
    }
    Ok(false)
}
