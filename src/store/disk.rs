//! The store's only way to the disk and the clock, small enough that a simulator of faults can
//! stand in for both.
//!
//! Everything here blocks. It is called while a store is opened and by background jobs, never on a
//! data core. Commits themselves are written by whoever drives the shard ([`crate::CommitWrite`]).
//! Errors name the file they are about.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sutra_runtime::DataFile;

/// The most shards: their folders are numbered with three digits, and no host has more cores.
pub(crate) const MAX_SHARDS: u16 = 1000;

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

    pub(crate) fn file_name(self) -> String {
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
    /// Whether a file of this name in a shard's folder is a checkpoint.
    pub(crate) fn is_one(file_name: &str) -> bool {
        Self::number(file_name).is_some()
    }

    /// The number of the namespace whose checkpoint a file of this name is.
    pub(crate) fn number(file_name: &str) -> Option<u32> {
        let digits = file_name.strip_prefix("vectors-")?.strip_suffix(".index")?;
        digits.parse::<u32>().ok().filter(|number| number.to_string() == digits)
    }

    pub(crate) fn file_name(self) -> String {
        format!("vectors-{}.index", self.namespace)
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shard_folder(self.shard), self.file_name())
    }
}

pub(crate) fn shard_folder(shard: u16) -> String {
    format!("shard-{shard:03}")
}

/// Behind the name of a file while it is written to take another's place.
const NEW: &str = ".new";

/// A name for what is to take a file's place. The number is drawn, so that no two writers use the
/// same, even where each takes itself for the only one.
pub(crate) fn new_name(file_name: &str, number: u64) -> String {
    format!("{file_name}.{number:016x}{NEW}")
}

/// The name of the file whose place this one was to take. Without the 16 random characters it is an
/// earlier version's.
pub(crate) fn name_of_new(file_name: &str) -> Option<&str> {
    let name = file_name.strip_suffix(NEW)?;
    let is_random =
        |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.rsplit_once('.') {
        Some((name, random)) if is_random(random) => Some(name),
        _ => Some(name),
    }
}

/// What a store asks of the disk that it lives on.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The store's folder.
    fn folder(&self) -> &Path;
    /// The manifest's bytes; `None` where there is none.
    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>>;
    /// Replaces the manifest: after a crash the old or the new one is there, whole.
    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the manifest's name, and the shards' folders', durable.
    fn sync_folder(&self) -> io::Result<()>;
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
    /// Removes a shard's folder, its segments having been removed, with whatever else a store puts
    /// there. What is not a store's stays, and its folder.
    fn remove_shard(&self, shard: u16) -> io::Result<()>;
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
    /// A checkpoint's bytes; `None` where there is none. One of more than `limit` bytes is an
    /// error.
    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// Replaces a checkpoint by these bytes, one after the other: after a crash the old or the new
    /// one is there, whole.
    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()>;
    /// The bytes of the note of the last backup; `None` where there is none, as on a disk that
    /// keeps none.
    fn read_last_backup(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// Replaces that note, where the disk keeps one.
    fn replace_last_backup(&self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
    /// Whether the manifest is another than was last read or written here.
    fn is_manifest_touched(&self) -> io::Result<bool>;
    /// Looks at the folder and the store's files again: says what is no longer as this disk opened
    /// or made it.
    fn look(&self) -> io::Result<Option<Change>>;
    /// Notes beside the lock whether the store is in use: from when it was opened until it was
    /// closed in order.
    fn note_use(&self, in_use: bool) -> io::Result<()>;
    /// A number that nobody guesses, for what must not be taken for anything else: a store, and the
    /// life of a file as a segment.
    fn random(&self) -> u64 {
        rand::random()
    }
    /// Whether shards are recovered one after the other, on the thread that opens the store, and
    /// not at the same time: so that a simulation is the same again.
    fn is_for_one_thread(&self) -> bool {
        false
    }
    /// Lets go of the lock, so that another process may have the folder.
    fn release(&self) -> io::Result<()>;
}

/// The folder, or something in it, is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The folder is whole, and its path does not lead to it: what of it.
    Moved(String),
    /// Something is gone, or is something else: what.
    Lost(String),
}

impl Change {
    /// What it is, in words.
    pub fn what(&self) -> &str {
        match self {
            Change::Moved(what) | Change::Lost(what) => what,
        }
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// µs since 1970. People and other programs set it, so it is written down, and no timeout is
    /// measured by it.
    fn now(&self) -> u64;
    /// µs since some moment; never goes back. What waits is measured by it.
    fn monotonic(&self) -> u64;
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds =
            time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000);
        u64::try_from(microseconds).unwrap_or_default()
    }
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
        for stray in
            ["segment-12.log", "segment-00000012.log~", "segment-+0000012.log", "lost+found", ""]
        {
            assert_eq!(SegmentName::parse(3, stray), None, "{stray}");
        }
    }

    #[test]
    fn only_a_checkpoints_own_name_is_taken_for_one() {
        let name = CheckpointName { shard: 3, namespace: 12 };
        assert_eq!(name.to_string(), "shard-003/vectors-12.index");
        assert!(CheckpointName::is_one("vectors-12.index"));
        for stray in [
            "vectors-012.index",
            "vectors-12.index~",
            "vectors-+1.index",
            "vectors-.index",
            "",
            "vectors-1.index.new",
        ] {
            assert!(!CheckpointName::is_one(stray), "{stray}");
        }
    }

    #[test]
    fn what_was_to_take_a_files_place_is_known_by_its_name() {
        let new = new_name("manifest.json", 7);
        assert_ne!(new, new_name("manifest.json", 8));
        assert_eq!(name_of_new(&new), Some("manifest.json"));
        assert_eq!(name_of_new("manifest.json.new"), Some("manifest.json"));
        assert_eq!(name_of_new("vectors-0.index.new"), Some("vectors-0.index"));
        assert_eq!([name_of_new("manifest.json"), name_of_new("")], [None, None]);
    }
}
