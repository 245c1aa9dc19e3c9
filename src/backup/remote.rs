//! The server that is backed up: its cut, and its logs' bytes, one read at a time.
//!
//! A read is a fraction of a millisecond of a core's time, which its writers lose. So the next one
//! is asked for only after a pause of nine times as long as the last one took: the server works for
//! a backup at most a tenth of the time.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use sutra_client::blocking::Client;
use sutra_client::{BackupCut, BackupDone, CutSegment, Durability, LogRange, SharedBytes};
use sutra_store::{MAX_NAMESPACES, SegmentHeader, StoreFacts, is_known_format};

use crate::BackupError;

/// Bytes of one read: long enough that what a request costs is little beside it.
const READ: u32 = 256 << 10;
/// How many times as long as a read its pause is.
const PAUSES: u32 = 9;
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(20);

/// A server, asked gently.
pub(crate) struct Remote<'a> {
    client: &'a Client,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// The number of the store that it has.
    pub(crate) fn store(&self) -> u64 {
        self.client.server().store
    }

    /// Where its logs end, and what else its store is made of.
    pub(crate) fn cut(&self) -> Result<Cut, BackupError> {
        if self.client.server().durability != Durability::Always {
            // Before the cut, so that its own sync has little left to do.
            self.client.flush()?;
        }
        Cut::of(self.client.backup_cut()?.checked().to_owned())
    }

    /// A stretch of a segment, piece by piece.
    pub(crate) fn read(
        &self,
        header: &SegmentHeader,
        stretch: Range<u32>,
        mut pass: impl FnMut(&[u8]) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let mut at = stretch.start;
        while at < stretch.end {
            let length = READ.min(stretch.end - at);
            pass(&self.read_once(header, at, length)?)?;
            at += length;
        }
        Ok(())
    }

    /// So many bytes, at most what one read has.
    pub(crate) fn read_once(
        &self,
        header: &SegmentHeader,
        offset: u32,
        length: u32,
    ) -> Result<SharedBytes, BackupError> {
        let began = Instant::now();
        let range = LogRange {
            generation: header.generation,
            segment: header.number,
            offset,
            length: length.min(READ),
            shard: header.shard,
        };
        let bytes = self.client.read_log(range)?;
        thread::sleep((began.elapsed() * PAUSES).min(LONGEST));
        Ok(bytes)
    }

    /// Tells it that the backup is complete.
    pub(crate) fn done(&self, done: BackupDone) -> Result<(), BackupError> {
        Ok(self.client.backup_done(done)?)
    }
}

/// A cut whose parts were checked.
pub(crate) struct Cut {
    pub(crate) facts: StoreFacts,
    pub(crate) taken: u64,
    /// The data folder, as the server's host names it.
    pub(crate) data: String,
    /// By number: the last commit, and each segment with up to where it is covered.
    pub(crate) shards: Vec<(u64, Vec<(SegmentHeader, u32)>)>,
}

impl Cut {
    fn of(cut: BackupCut) -> Result<Self, BackupError> {
        let wrong = |what: &str| BackupError::Io {
            source: std::io::Error::other(format!("the server's answer makes no sense: {what}")),
        };
        if !is_known_format(cut.format) {
            return Err(wrong("its logs have another format: take the backup with its version"));
        }
        let id_rule = cut.id_rule.parse().map_err(|_| wrong("its id rule is unknown"))?;
        if cut.namespaces.len() > MAX_NAMESPACES || cut.shards.is_empty() {
            return Err(wrong("its namespaces or shards can't be"));
        }
        let header = |shard: usize, segment: &CutSegment| {
            let header = SegmentHeader {
                block: segment.block,
                store: cut.store,
                generation: segment.generation,
                number: segment.number,
                shard: u16::try_from(shard).ok()?,
                capacity: u64::from(segment.capacity),
            };
            let is_sound = header.block.is_power_of_two()
                && header.first_commit() <= segment.end as usize
                && segment.end <= segment.capacity;
            is_sound.then_some((header, segment.end))
        };
        let first = cut.shards.first().and_then(|shard| Some(shard.segments.first()?.number));
        let first = first.unwrap_or_default();
        let mut shards = Vec::with_capacity(cut.shards.len());
        for (number, shard) in cut.shards.iter().enumerate() {
            let numbered =
                (first..).zip(&shard.segments).all(|(number, segment)| segment.number == number);
            let segments: Option<Vec<_>> =
                shard.segments.iter().map(|segment| header(number, segment)).collect();
            let segments = segments.filter(|all| numbered && !all.is_empty());
            shards.push((shard.commit, segments.ok_or_else(|| wrong("its segments can't be"))?));
        }
        Ok(Self {
            facts: StoreFacts {
                store: cut.store,
                format: cut.format,
                id_rule,
                namespaces: cut.namespaces,
                imports: cut.imports,
                given_back: cut.given_back,
                first,
            },
            taken: cut.taken,
            data: cut.data,
            shards,
        })
    }

    /// Bytes of the logs that it covers.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.shards.iter().flat_map(|(_, segments)| segments);
        segments.map(|(_, end)| u64::from(*end)).sum()
    }
}
