//! Blocking work on a data file, for background threads and recovery: zero-filling, reading back,
//! syncing.
//!
//! In large steps, and past the page cache where the file and the memory allow it. So recovery runs
//! at the speed of the disk, and evicts nothing that others have cached.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::data_file::{DataFile, OnDisk};
use crate::region::RegionWriter;
use crate::simulated::SimulatedFile;

/// Bytes of one zero-filling write: large enough for full speed, small enough to hold up the writes
/// of others for no more than about a millisecond.
const FILL_STEP: usize = 1 << 20;

/// Bytes of one read: disks reach their sequential speed at 1 MiB and more.
const READ_STEP: usize = 4 << 20;

impl DataFile {
    /// Writes zeroes over `range` and makes them durable, so that later writes there neither
    /// allocate nor change metadata. Blocks; direct where the range is aligned.
    ///
    /// The file is opened anew for it. The kernel tells each open file once of what it could not
    /// write (fsync(2)). Where a commit is synced meanwhile, its sync must hear of that as well.
    ///
    /// # Errors
    /// Those of open(2), write(2) and fdatasync(2), with the path; a full disk is `StorageFull`.
    pub fn zero_fill(&self, range: Range<u64>) -> io::Result<()> {
        let on_disk = match self.on_disk() {
            Ok(on_disk) => on_disk,
            Err(file) => {
                let zeroes = vec![0; (range.end - range.start) as usize];
                return self.write_simulated(file, range.start, &zeroes);
            }
        };
        let mut zeroes = RegionWriter::new(FILL_STEP)?;
        let file = match self.direct_unsynced(on_disk, &range) {
            Some(file) => file,
            None => reopened(&on_disk.plain, 0).map_err(self.in_context("open"))?,
        };
        let mut at = range.start;
        while at < range.end {
            let step = (range.end - at).min(FILL_STEP as u64) as usize;
            file.write_all_at(&zeroes.writable()[..step], at)
                .map_err(self.in_context("fill with zeroes"))?;
            at += step as u64;
        }
        file.sync_data().map_err(self.in_context("sync"))
    }

    /// The same on a simulated disk: written, and made durable.
    fn write_simulated(
        &self,
        file: &dyn SimulatedFile,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            written += file
                .write(offset + written as u64, &bytes[written..])
                .map_err(self.in_context("write to"))?;
        }
        file.sync().map_err(self.in_context("sync"))
    }

    /// The file, opened for direct writes that are synced at the end and not one by one. `None`
    /// where that can't be, or `range` is not aligned.
    fn direct_unsynced(&self, on_disk: &OnDisk, range: &Range<u64>) -> Option<File> {
        let file = on_disk.direct.as_ref()?;
        let align = u64::from(self.alignment());
        if !range.start.is_multiple_of(align) || !range.end.is_multiple_of(align) {
            return None;
        }
        reopened(file, libc::O_DIRECT).ok()
    }

    /// Reads exactly the bytes from `offset` on that fill `buffer`. Blocks; direct where address,
    /// offset and length are aligned (a [`crate::RegionWriter`]'s memory is).
    ///
    /// # Errors
    /// Those of pread(2), with the path; `UnexpectedEof` where the file ends before.
    pub fn read_all_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let end = buffer.len().min(filled + READ_STEP);
            match self.read_some(offset + filled as u64, &mut buffer[filled..end]) {
                Ok(0) => {
                    let ends = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("it ends after {filled} of {} bytes", buffer.len()),
                    );
                    return Err(self.in_context("read")(ends));
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.in_context("read")(error)),
            }
        }
        Ok(())
    }

    /// Reads some bytes, as many as come at once; none at the end of the file. What a direct read
    /// has left off at a place that is not aligned is read through the page cache.
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.on_disk() {
            Ok(OnDisk { direct: Some(file), .. })
                if is_aligned(offset, buffer, self.alignment()) =>
            {
                file.read_at(buffer, offset)
            }
            Ok(OnDisk { plain, .. }) => plain.read_at(buffer, offset),
            Err(file) => file.read(offset, buffer),
        }
    }

    /// Writes bytes through the page cache, and makes them durable. Blocks.
    ///
    /// # Errors
    /// Those of pwrite(2) and fdatasync(2), with the path.
    pub fn write_synced(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.on_disk() {
            Ok(OnDisk { plain, .. }) => {
                let written = plain.write_all_at(bytes, offset).and_then(|()| plain.sync_data());
                written.map_err(self.in_context("write to"))
            }
            Err(file) => self.write_simulated(file, offset, bytes),
        }
    }

    /// Makes everything written to the file durable, its length too. Blocks.
    ///
    /// # Errors
    /// Those of fsync(2), with the path. After one nothing is known about what was written before.
    pub fn sync_all(&self) -> io::Result<()> {
        match self.on_disk() {
            Ok(OnDisk { plain, .. }) => plain.sync_all(),
            Err(file) => file.sync(),
        }
        .map_err(self.in_context("sync"))
    }
}

/// The file, opened for writing once more: by descriptor, as it may have been renamed since.
fn reopened(file: &File, flags: libc::c_int) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

fn is_aligned(offset: u64, buffer: &[u8], align: u32) -> bool {
    let align = align as usize;
    (buffer.as_ptr() as usize).is_multiple_of(align)
        && buffer.len().is_multiple_of(align)
        && offset.is_multiple_of(align as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Durability, Folder};

    fn plain(file: &DataFile) -> &File {
        &file.on_disk().unwrap().plain
    }

    #[test]
    fn zero_filling_clears_exactly_its_range() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        for (name, durability) in [("a", Durability::Always), ("r", Durability::Relaxed)] {
            let file = DataFile::create(&folder, name, durability).unwrap();
            plain(&file).write_all_at(&vec![0xAA; 3 << 20], 0).unwrap();
            file.zero_fill(4096..(2 << 20) + 4096).unwrap();
            file.zero_fill((3 << 20) - 10..3 << 20).unwrap();
            let mut back = vec![1; 3 << 20];
            file.read_all_into(0, &mut back).unwrap();
            for (at, byte) in back.iter().enumerate() {
                let cleared = (4096..(2 << 20) + 4096).contains(&at) || at >= (3 << 20) - 10;
                assert_eq!(*byte, if cleared { 0 } else { 0xAA }, "byte {at}");
            }
        }
    }

    #[test]
    fn aligned_and_unaligned_reads_agree() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let file = DataFile::create(&folder, "f", Durability::Always).unwrap();
        let content: Vec<u8> = (0..5u32 << 20).map(|i| (i / 3) as u8).collect();
        plain(&file).write_all_at(&content, 0).unwrap();
        file.sync_all().unwrap();
        let mut region = RegionWriter::new(5 << 20).unwrap();
        file.read_all_into(0, region.writable()).unwrap();
        assert!(region.writable() == content);
        let mut odd = vec![0; 12345];
        file.read_all_into(777, &mut odd).unwrap();
        assert!(odd == content[777..777 + 12345]);
    }

    #[test]
    fn reading_past_the_end_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let file = DataFile::create(&folder, "short", Durability::Always).unwrap();
        plain(&file).set_len(100).unwrap();
        let error = file.read_all_into(50, &mut [0; 51]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("short"), "{error}");
    }
}
