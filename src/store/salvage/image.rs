//! A segment file's bytes as far as they can be read. Where the disk refuses a block, zeros stand
//! in its place, and it is told which.

use std::io;
use std::ops::Range;

use sutra_runtime::{DataFile, RegionWriter, is_of_device};

use crate::disk::{Disk, SegmentName};
use crate::format::SEGMENT_HEADER;

/// Bytes of one read.
const STEP: usize = 1 << 20;
/// Bytes of one read where the disk has refused a longer one: what fails is a block.
const SMALL: usize = 4096;
/// The longest file that is read: offsets in a segment are 32 bits.
const MOST: u64 = u32::MAX as u64;

/// A segment file in memory; nothing of it is believed.
pub(crate) struct Image {
    pub(crate) writer: RegionWriter,
    /// Bytes of the file.
    pub(crate) bytes: usize,
    /// Stretches that the disk did not give.
    pub(crate) unreadable: Vec<Range<usize>>,
}

impl Image {
    /// Reads a segment; `pace` is told of every step's bytes.
    ///
    /// # Errors
    /// The file can't be opened, or is longer than a segment can be. Or the system lacks something.
    pub(super) fn read(
        disk: &dyn Disk,
        name: SegmentName,
        pace: &mut dyn FnMut(u64),
    ) -> io::Result<Self> {
        let file = disk.open(name)?;
        let length = disk.len(&file)?;
        if length > MOST {
            let what = format!("a segment can't be {length} bytes long");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let bytes = usize::try_from(length).unwrap_or_default();
        let mut writer = RegionWriter::new(bytes.max(SEGMENT_HEADER))?;
        let mut unreadable: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while at < bytes {
            let to = (at + STEP).min(bytes);
            read_step(disk, &file, at..to, &mut writer, &mut unreadable)?;
            pace((to - at) as u64);
            at = to;
        }
        Ok(Self { writer, bytes, unreadable })
    }

    /// Everything that the file has.
    pub(crate) fn content(&mut self) -> &[u8] {
        let bytes = self.bytes;
        &self.writer.writable()[..bytes]
    }
}

fn read_step(
    disk: &dyn Disk,
    file: &DataFile,
    step: Range<usize>,
    writer: &mut RegionWriter,
    unreadable: &mut Vec<Range<usize>>,
) -> io::Result<()> {
    let into = &mut writer.writable()[step.clone()];
    if is_read(disk.read(file, step.start as u64, into))? {
        return Ok(());
    }
    for at in step.clone().step_by(SMALL) {
        let small = at..(at + SMALL).min(step.end);
        let into = &mut writer.writable()[small.clone()];
        if is_read(disk.read(file, at as u64, into))? {
            continue;
        }
        into.fill(0);
        match unreadable.last_mut() {
            Some(last) if last.end == at => last.end = small.end,
            _ => unreadable.push(small),
        }
    }
    Ok(())
}

/// Whether bytes were read; `false` where the file is at fault.
fn is_read(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if is_of_file(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error says that a file is not as it was written. Any other, such as a lack of
/// descriptors, of memory or of a permission, says nothing of what is on the disk.
pub(crate) fn is_of_file(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::NotFound,
        io::ErrorKind::InvalidData,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::NotADirectory,
    ];
    is_of_device(error) || kinds.contains(&error.kind())
}
