//! A store made anew from the segments of another: what restoring a backup ends with.
//!
//! The marks in its manifest stand at the logs' ends, so a start refuses what lacks anything.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::OFlags;
use sutra_runtime::{Folder, in_context};

use crate::cut::StoreFacts;
use crate::disk::{Disk, SegmentName, shard_folder};
use crate::format::{SEGMENT_HEADER, SegmentHeader};
use crate::manifest::Manifest;
use crate::marks::Position;
use crate::new_store::NewStore;
use crate::prepare::FIRST_STEP;
use crate::{StoreError, format};

/// A store that is being made. Dropped before [`Remake::finish`], it stays unfinished.
#[derive(Debug)]
pub struct Remake {
    store: NewStore,
    segment: Option<Open>,
    /// By shard: where its log ends so far.
    ends: Vec<Position>,
}

/// The segment that is being written.
#[derive(Debug)]
struct Open {
    name: SegmentName,
    file: File,
    folder: Folder,
    capacity: u64,
    bytes: u64,
    /// Of the header, until all of it is there.
    header: Vec<u8>,
}

impl Remake {
    /// Begins a store in a folder that is not there, is empty, or holds what an attempt has left.
    /// It is locked from here on.
    ///
    /// # Errors
    /// The folder holds something else, is in use, or can't be written to.
    pub fn begin(folder: &Path) -> Result<Self, StoreError> {
        let store = NewStore::begin(folder, "sutra restore")?;
        Ok(Self { store, segment: None, ends: Vec::new() })
    }

    /// Begins a shard's next segment.
    ///
    /// # Errors
    /// The folder can't be written to.
    pub fn segment(&mut self, header: &SegmentHeader) -> Result<(), StoreError> {
        self.end_segment()?;
        let name = SegmentName { shard: header.shard, number: header.number };
        let shards = usize::from(name.shard) + 1;
        self.ends.resize(self.ends.len().max(shards), Position::default());
        self.store.disk().create_shard(name.shard)?;
        let folder = self.store.folder().folder(&shard_folder(name.shard))?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = folder.file(&name.file_name(), flags)?;
        let (capacity, header) = (header.capacity, Vec::new());
        self.segment = Some(Open { name, file, folder, capacity, bytes: 0, header });
        Ok(())
    }

    /// The next bytes of the segment, as they stood in the other store. Its header becomes one of
    /// this store's.
    ///
    /// # Errors
    /// The disk refuses, or the header is none.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        let store = self.store.number();
        let open = self.segment.as_mut().expect("a segment was begun");
        if open.header.len() < SEGMENT_HEADER {
            let missing = (SEGMENT_HEADER - open.header.len()).min(bytes.len());
            open.header.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if open.header.len() < SEGMENT_HEADER {
                return Ok(());
            }
            let header = SegmentHeader::decode(&open.header).map_err(|fault| {
                let file = open.folder.path().join(open.name.file_name());
                StoreError::Damage { file, offset: 0, what: fault.to_string() }
            })?;
            let covered = SegmentHeader::covered(&open.header);
            let header = SegmentHeader { store, ..header };
            let header = covered.map_or(header.encode(), |covered| header.encode_state(covered));
            open.append(&header)?;
        }
        Ok(open.append(bytes)?)
    }

    /// The segment that is being written ends here: fills it up to where a start expects a file's
    /// end, and has it on the disk.
    fn end_segment(&mut self) -> Result<(), StoreError> {
        let Some(mut open) = self.segment.take() else { return Ok(()) };
        let end = open.bytes;
        let step = FIRST_STEP as u64;
        let filled = end.next_multiple_of(step).min(open.capacity).max(end);
        let zeros = vec![0; usize::try_from(filled - end).expect("less than a step")];
        open.append(&zeros)?;
        let path = open.folder.path().join(open.name.file_name());
        open.file.sync_all().map_err(in_context("sync", &path))?;
        open.folder.sync()?;
        let end = usize::try_from(end).expect("a segment is shorter than 4 GiB");
        self.ends[usize::from(open.name.shard)] = Position::new(open.name.number, end);
        Ok(())
    }

    /// All segments are there: makes a store of them. `commits`: by shard, the number of the last
    /// commit.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self, facts: &StoreFacts, commits: &[u64]) -> Result<(), StoreError> {
        self.end_segment()?;
        debug_assert!(format::is_known(facts.format), "whoever read the facts has checked it");
        let mut manifest = Manifest::of(self.store.number(), commits.len(), facts);
        let marks = self.ends.iter().zip(commits).map(|(end, commit)| match commit {
            0 => Position::default(),
            _ => *end,
        });
        manifest.set_marks(marks);
        self.store.finish(&manifest)
    }

    /// Gives up: the folder is left as empty as it was.
    ///
    /// # Errors
    /// Something can't be removed.
    pub fn abandon(self) -> Result<(), StoreError> {
        self.store.abandon()
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.path().join(self.name.file_name());
        self.file.write_all(bytes).map_err(in_context("write to", &path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
