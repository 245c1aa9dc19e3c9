//! The store's only way to the disk and the clock, small enough that a simulator of faults can stand in for both.
//!
//! Everything here blocks and is called while a store is opened or by background jobs, never on a data core; commits
//! themselves are written by whoever drives the shard ([`crate::CommitWrite`]). Errors name the file they are about.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sutra_runtime::{DataFile, sync_folder};

use crate::StoreError;
use crate::lock::FolderLock;

/// Names a segment's file: `shard-000/segment-00000000.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName {
    /// The shard it belongs to.
    pub shard: u16,
    /// Its place in the shard's log, from 0.
    pub number: u32,
}

impl SegmentName {
    /// The segment that a file of this name in the shard's folder is.
    pub(crate) fn parse(shard: u16, file_name: &str) -> Option<Self> {
        let digits = file_name.strip_prefix("segment-")?.strip_suffix(".log")?;
        let name = Self { shard, number: digits.parse().ok()? };
        (name.file_name() == file_name).then_some(name)
    }

    fn file_name(self) -> String {
        format!("segment-{:08}.log", self.number)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shard_folder(self.shard), self.file_name())
    }
}

/// Names the file of a vector index: `shard-000/vectors-0.index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointName {
    /// The shard it belongs to.
    pub shard: u16,
    /// The namespace's number.
    pub namespace: u32,
}

impl CheckpointName {
    /// Whether a file of this name in a shard's folder is a checkpoint, or one that was being written.
    pub(crate) fn is_one(file_name: &str) -> bool {
        let file_name = file_name.strip_suffix(NEW).unwrap_or(file_name);
        let number = file_name.strip_prefix("vectors-").and_then(|rest| rest.strip_suffix(".index"));
        number.is_some_and(|number| number.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == number))
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/vectors-{}.index", shard_folder(self.shard), self.namespace)
    }
}

fn shard_folder(shard: u16) -> String {
    format!("shard-{shard:03}")
}

/// What a store asks of the disk that it lives on.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The store's folder.
    fn folder(&self) -> &Path;
    /// The manifest's bytes; `None` where there is none.
    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>>;
    /// Replaces the manifest: after a crash the old or the new one is there, whole.
    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes a shard's folder, if it is not there; durable on return.
    fn create_shard(&self, shard: u16) -> io::Result<()>;
    /// The names of the files in a shard's folder; `None` where there is no such folder.
    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>>;
    /// Creates an empty segment file that must not exist yet.
    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>>;
    /// Opens a segment file.
    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>>;
    /// Removes a segment file.
    fn remove(&self, name: SegmentName) -> io::Result<()>;
    /// Makes creations and removals in a shard's folder durable.
    fn sync_shard(&self, shard: u16) -> io::Result<()>;
    /// A file's length in bytes.
    fn len(&self, file: &DataFile) -> io::Result<u64>;
    /// Reads exactly the bytes that fill `buffer`.
    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes zeros over a range, making the file longer where it ends before; durable on return.
    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()>;
    /// Writes bytes; durable on return.
    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written to the file durable.
    fn sync(&self, file: &DataFile) -> io::Result<()>;
    /// A checkpoint's bytes; `None` where there is none. One of more than `limit` bytes is an error.
    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// Replaces a checkpoint by these bytes, one after the other: after a crash the old or the new one is there, whole.
    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()>;
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// µs since 1970.
    fn now(&self) -> u64;
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

const MANIFEST: &str = "manifest.json";
/// Behind the name of a file while it is written to take another's place.
const NEW: &str = ".new";

/// A folder of a filesystem, locked for this process for as long as this lives.
#[derive(Debug)]
pub struct FileDisk {
    folder: PathBuf,
    durability: sutra_runtime::Durability,
    _lock: FolderLock,
}

impl FileDisk {
    /// Makes the folder where it is not there, and locks it. `listening` is told to whoever finds it locked.
    pub fn open(folder: &Path, durability: sutra_wire::Durability, listening: &str) -> Result<Self, StoreError> {
        // Each folder that is made is an entry of the one above it, which a power cut could take with all that is in it.
        let made =
            folder.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty() && !above.exists()).count();
        fs::create_dir_all(folder).map_err(in_context("create the folder", folder))?;
        let lock = FolderLock::acquire(folder, listening)?;
        for above in folder.ancestors().skip(1).take(made + 1) {
            sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
        }
        let durability = match durability {
            sutra_wire::Durability::Always => sutra_runtime::Durability::Always,
            sutra_wire::Durability::Interval(_) | sutra_wire::Durability::Os => sutra_runtime::Durability::Relaxed,
        };
        Ok(Self { folder: folder.to_owned(), durability, _lock: lock })
    }

    fn shard(&self, shard: u16) -> PathBuf {
        self.folder.join(shard_folder(shard))
    }

    fn segment(&self, name: SegmentName) -> PathBuf {
        self.folder.join(name.to_string())
    }
}

pub(crate) fn in_context(what: &'static str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

impl Disk for FileDisk {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.join(MANIFEST);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(crate::manifest::MAX_BYTES).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(in_context("read", &path)(error)),
        }
    }

    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        replace(&self.folder.join(MANIFEST), &[bytes])
    }

    fn create_shard(&self, shard: u16) -> io::Result<()> {
        let path = self.shard(shard);
        match fs::create_dir(&path) {
            Ok(()) => sync_folder(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(in_context("create the folder", &path)(error)),
        }
    }

    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        let path = self.shard(shard);
        let list = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            list => list,
        };
        let names =
            list.and_then(|list| list.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
        names.map(Some).map_err(in_context("list the folder", &path))
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        DataFile::create(self.segment(name), 0, self.durability).map(Arc::new)
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        DataFile::open(self.segment(name), self.durability).map(Arc::new)
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        let path = self.segment(name);
        fs::remove_file(&path).map_err(in_context("remove", &path))
    }

    fn sync_shard(&self, shard: u16) -> io::Result<()> {
        sync_folder(self.shard(shard))
    }

    fn len(&self, file: &DataFile) -> io::Result<u64> {
        file.len()
    }

    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        file.read_all_into(offset, buffer)
    }

    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()> {
        file.zero_fill(range)
    }

    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let opened = OpenOptions::new().write(true).open(file.path());
        opened
            .and_then(|file| file.write_all_at(bytes, offset).and_then(|()| file.sync_data()))
            .map_err(in_context("write to", file.path()))
    }

    fn sync(&self, file: &DataFile) -> io::Result<()> {
        file.sync_all()
    }

    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.join(name.to_string());
        let read = || {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            if length > limit {
                return Err(io::Error::other(format!(
                    "it has {length} bytes, more than the {limit} that it can be worth"
                )));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(in_context("read", &path)(error)),
        }
    }

    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()> {
        replace(&self.folder.join(name.to_string()), parts)
    }
}

/// Puts a new file in a file's place: after a crash the old or the new one is there, whole.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let folder = path.parent().expect("a file in a folder");
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let write = || {
        let mut file = File::create(&new)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| {
        // What was written of it only takes space, which may be what lacks. The next attempt makes it anew in any case.
        let _ = fs::remove_file(&new);
        in_context("replace", path)(error)
    })?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_segments_own_name_is_taken_for_one() {
        let name = SegmentName { shard: 3, number: 12 };
        assert_eq!(name.to_string(), "shard-003/segment-00000012.log");
        assert_eq!(SegmentName::parse(3, "segment-00000012.log"), Some(name));
        for stray in ["segment-12.log", "segment-00000012.log~", "segment-+0000012.log", "lost+found", ""] {
            assert_eq!(SegmentName::parse(3, stray), None, "{stray}");
        }
    }

    #[test]
    fn only_a_checkpoints_own_name_is_taken_for_one() {
        let name = CheckpointName { shard: 3, namespace: 12 };
        assert_eq!(name.to_string(), "shard-003/vectors-12.index");
        assert!(CheckpointName::is_one("vectors-12.index") && CheckpointName::is_one("vectors-12.index.new"));
        for stray in ["vectors-012.index", "vectors-12.index~", "vectors-+1.index", "vectors-.index", ""] {
            assert!(!CheckpointName::is_one(stray), "{stray}");
        }
    }

    #[test]
    fn the_manifest_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(&folder.path().join("a/b"), sutra_wire::Durability::Always, "").unwrap();
        assert_eq!(disk.read_manifest().unwrap(), None);
        disk.replace_manifest(b"one, and longer").unwrap();
        disk.replace_manifest(b"two").unwrap();
        assert_eq!(disk.read_manifest().unwrap().unwrap(), b"two");
    }

    #[test]
    fn a_folder_that_is_a_file_is_named_with_a_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = FileDisk::open(&path, sutra_wire::Durability::Always, "").unwrap_err().to_string();
        assert!(error.contains("file") && error.contains("--data"), "{error}");
    }
}
