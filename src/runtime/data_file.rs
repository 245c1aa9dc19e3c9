//! A file for log writes: how it is written to be durable when the write is over, and the alignment
//! that this asks for.
//!
//! Where the filesystem does direct I/O, a write with O_DIRECT|O_DSYNC is durable when it
//! completes. Elsewhere a buffered write is followed by fdatasync(2). The blocking work on a file
//! (zero-filling, reading back) is in `file_io`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, StatxFlags};

use crate::file_error::in_context;
use crate::folder::{FileIdentity, Folder};
use crate::simulated::files::SimulatedFile;
use crate::write_mode::WriteMode;

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the data is on stable storage.
    Always,
    /// When the kernel has it; [`crate::Core::sync`] brings it to stable storage.
    Relaxed,
}

/// What commits are aligned to where the file does not say: the block of nearly every disk and
/// filesystem, and a page.
const DEFAULT_ALIGNMENT: u32 = 4096;

/// An open file for log writes.
#[derive(Debug)]
pub struct DataFile {
    path: PathBuf,
    mode: WriteMode,
    on: On,
}

/// Where a file is.
#[derive(Debug)]
enum On {
    /// In a filesystem.
    Disk(OnDisk),
    /// On the disk of a simulation.
    Simulation(Arc<dyn SimulatedFile>),
}

/// The descriptors of a file.
#[derive(Debug)]
pub(crate) struct OnDisk {
    /// Through the page cache.
    pub(crate) plain: File,
    /// O_DIRECT|O_DSYNC, in that mode.
    pub(crate) direct: Option<File>,
}

impl DataFile {
    /// Creates an empty file that must not exist yet. Its name is durable only after
    /// [`Folder::sync`]. After an error there is none.
    ///
    /// # Errors
    /// Those of openat(2), with the path.
    pub fn create(folder: &Folder, name: &str, durability: Durability) -> io::Result<DataFile> {
        let plain = folder.file(name, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)?;
        DataFile::from_plain(folder, name, plain, durability).inspect_err(|_| {
            // It would be in the next attempt's way. Where it stays, whoever meets it has to tell
            // that it is half made.
            let _ = folder.remove(name);
        })
    }

    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    /// Those of openat(2), with the path.
    pub fn open(folder: &Folder, name: &str, durability: Durability) -> io::Result<DataFile> {
        let plain = folder.file(name, OFlags::RDWR)?;
        DataFile::from_plain(folder, name, plain, durability)
    }

    /// Opens a file that exists, for reading alone: from the disk, past the page cache, where the
    /// filesystem does direct I/O; elsewhere the page cache is told to let go of what it has read.
    ///
    /// # Errors
    /// Those of openat(2), with the path; what is not a file is named.
    pub fn open_to_read(folder: &Folder, name: &str) -> io::Result<DataFile> {
        let plain = folder.plain_file(name, OFlags::RDONLY)?;
        let file = DataFile::with_direct(folder, name, plain, WriteMode::Buffered, OFlags::RDONLY)?;
        if let (WriteMode::Buffered, Ok(OnDisk { plain, .. })) = (file.mode, file.on_disk()) {
            // Where it is not heeded the cache is read, as at a start.
            let _ = rustix::fs::fadvise(plain, 0, None, rustix::fs::Advice::DontNeed);
        }
        Ok(file)
    }

    fn from_plain(
        folder: &Folder,
        name: &str,
        plain: File,
        durability: Durability,
    ) -> io::Result<DataFile> {
        let mode = match durability {
            Durability::Always => WriteMode::Buffered,
            Durability::Relaxed => WriteMode::Relaxed,
        };
        DataFile::with_direct(folder, name, plain, mode, OFlags::RDWR | OFlags::DSYNC)
    }

    fn with_direct(
        folder: &Folder,
        name: &str,
        plain: File,
        mut mode: WriteMode,
        flags: OFlags,
    ) -> io::Result<DataFile> {
        let path = folder.path().join(name);
        let mut direct = None;
        if let (WriteMode::Buffered, Some(align)) = (mode, direct_alignment(&plain)) {
            match folder.file(name, flags | OFlags::DIRECT) {
                Ok(file) => {
                    same(&plain, &file).map_err(in_context("open for direct I/O", &path))?;
                    direct = Some(file);
                    mode = WriteMode::Direct { align };
                }
                // Some filesystems tell an alignment and then refuse the flag.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        Ok(DataFile { path, mode, on: On::Disk(OnDisk { plain, direct }) })
    }

    /// An empty file that is in no folder, and goes with what holds it.
    ///
    /// # Errors
    /// Those of memfd_create(2).
    pub fn in_memory(name: &str) -> io::Result<DataFile> {
        let plain = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| in_context("create", Path::new(name))(error.into()))?;
        let on = On::Disk(OnDisk { plain: File::from(plain), direct: None });
        Ok(DataFile { path: PathBuf::from(name), mode: WriteMode::Relaxed, on })
    }

    /// A file of a simulated disk.
    pub fn simulated(file: Arc<dyn SimulatedFile>) -> DataFile {
        DataFile { path: file.path().to_owned(), mode: file.mode(), on: On::Simulation(file) }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn mode(&self) -> WriteMode {
        self.mode
    }

    /// What the offset and length of every commit shall be a multiple of, so that no block is
    /// written twice.
    pub fn alignment(&self) -> u32 {
        match self.mode {
            WriteMode::Direct { align } => align,
            WriteMode::Buffered | WriteMode::Relaxed => DEFAULT_ALIGNMENT,
        }
    }

    /// Its present length in bytes.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn len(&self) -> io::Result<u64> {
        match &self.on {
            On::Disk(OnDisk { plain, .. }) => plain.metadata().map(|found| found.len()),
            On::Simulation(file) => file.len(),
        }
        .map_err(in_context("read the length of", &self.path))
    }

    /// Whether it is empty.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Which file it is, and how long.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn identity(&self) -> io::Result<FileIdentity> {
        match &self.on {
            On::Disk(OnDisk { plain, .. }) => FileIdentity::of_file(plain),
            On::Simulation(file) => {
                file.len().map(|length| FileIdentity::simulated(file.number(), length))
            }
        }
        .map_err(in_context("look at", &self.path))
    }

    /// The descriptor that the ring writes to.
    pub(crate) fn write_fd(&self) -> RawFd {
        match &self.on {
            On::Disk(OnDisk { plain, direct }) => direct.as_ref().unwrap_or(plain).as_raw_fd(),
            // No descriptor: the kernel refuses it.
            On::Simulation(_) => -1,
        }
    }

    /// Its descriptors, or the file of a simulated disk.
    pub(crate) fn on_disk(&self) -> Result<&OnDisk, &dyn SimulatedFile> {
        match &self.on {
            On::Disk(on_disk) => Ok(on_disk),
            On::Simulation(file) => Err(&**file),
        }
    }

    /// The file of a simulated disk, where it is one.
    pub(crate) fn as_simulated(&self) -> Option<&dyn SimulatedFile> {
        self.on_disk().err()
    }

    /// An error of an operation on this file, with the path.
    pub(crate) fn in_context(&self, what: &'static str) -> impl Fn(io::Error) -> io::Error {
        in_context(what, &self.path)
    }
}

/// Refuses two descriptors of different files: one took the other's name in between.
fn same(one: &File, other: &File) -> io::Result<()> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    match (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) {
        true => Ok(()),
        false => Err(io::Error::other("another file took its place meanwhile")),
    }
}

/// The alignment that direct I/O on this file needs, in memory and on disk (statx(2),
/// STATX_DIOALIGN, Linux 6.1). `None` where the filesystem has no direct I/O or does not say. It is
/// no less than the disk's physical block, the unit in which a write can tear. It is at least 512,
/// and at most a page, as log regions are page-aligned.
fn direct_alignment(file: &File) -> Option<u32> {
    let found =
        rustix::fs::statx(file.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    if found.stx_mask & StatxFlags::DIOALIGN.bits() == 0 || found.stx_dio_offset_align == 0 {
        return None;
    }
    let needed = found.stx_dio_offset_align.max(found.stx_dio_mem_align).max(512);
    let physical = physical_block(found.stx_dev_major, found.stx_dev_minor).unwrap_or(needed);
    let page = rustix::param::page_size() as u32;
    (needed.is_power_of_two() && needed <= page).then_some(needed.max(physical.min(page)))
}

/// The physical block of a disk, by its device number, as the kernel knows it; `None` for what is
/// no disk.
fn physical_block(major: u32, minor: u32) -> Option<u32> {
    let device = format!("/sys/dev/block/{major}:{minor}");
    // A partition has no queue of its own; its disk is the folder above.
    let text = ["queue", "../queue"].iter().find_map(|queue| {
        std::fs::read_to_string(format!("{device}/{queue}/physical_block_size")).ok()
    })?;
    text.trim().parse().ok().filter(|size: &u32| size.is_power_of_two())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        (place, folder)
    }

    #[test]
    fn a_new_file_is_empty_and_has_a_mode_that_names_itself() {
        let (_place, folder) = held();
        let file = DataFile::create(&folder, "segment", Durability::Always).unwrap();
        assert!(file.is_empty().unwrap());
        assert!(file.alignment().is_power_of_two());
        match file.mode() {
            WriteMode::Direct { align } => {
                assert_eq!(
                    file.mode().to_string(),
                    format!("O_DIRECT|O_DSYNC, {align}-byte blocks")
                );
            }
            mode => assert_eq!(mode.to_string(), "write + fdatasync"),
        }
        let again = DataFile::open(&folder, "segment", Durability::Relaxed).unwrap();
        assert_eq!(again.mode(), WriteMode::Relaxed);
        assert_eq!(again.alignment(), 4096);
        assert!(again.identity().unwrap().is(&file.identity().unwrap()));
        folder.sync().unwrap();
    }

    #[test]
    fn a_file_that_is_there_is_not_created_again() {
        let (_place, folder) = held();
        DataFile::create(&folder, "segment", Durability::Always).unwrap();
        let error = DataFile::create(&folder, "segment", Durability::Always).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("segment"), "{error}");
    }

    #[test]
    fn a_missing_file_or_folder_is_named_in_the_error() {
        let (place, folder) = held();
        for error in [
            DataFile::open(&folder, "nowhere", Durability::Always).unwrap_err(),
            Folder::open(place.path().join("nowhere")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().contains("nowhere"), "{error}");
        }
    }
}
