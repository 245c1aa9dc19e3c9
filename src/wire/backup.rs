//! What a backup asks of a server: where its logs end at one moment, stretches of them, and the
//! note that it is done.

use rkyv::{Archive, Deserialize, Serialize};

use crate::checked::check_at_most;
use crate::{Payload, PayloadError, limits};

/// Asks for a stretch of a shard's log as it is on the disk.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct LogRange {
    /// The life of the file as a segment: it is drawn anew where the file becomes another.
    pub generation: u64,
    /// Number of the segment.
    pub segment: u32,
    /// Bytes from its start.
    pub offset: u32,
    /// Bytes, at most [`limits::MAX_LOG_READ`].
    pub length: u32,
    /// The shard.
    pub shard: u16,
}

/// Tells a server that a backup of it is complete.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct BackupDone {
    /// When its cut was taken, in µs since 1970, as [`BackupCut::taken`] says.
    pub taken: u64,
    /// Bytes of the log that it covers.
    pub bytes: u64,
    /// How long it took, in µs.
    pub elapsed: u64,
}

/// A segment of a shard's log, up to where a cut covers it.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct CutSegment {
    /// The life of the file as a segment.
    pub generation: u64,
    /// Its number.
    pub number: u32,
    /// Commits stand at multiples of this.
    pub block: u32,
    /// The most bytes that it may have.
    pub capacity: u32,
    /// Where its last commit ends that the cut covers, in bytes from its start.
    pub end: u32,
}

/// A shard's log, up to where a cut covers it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct CutShard {
    /// Number of the last commit, 0 for none.
    pub commit: u64,
    /// The crc32c of its entry, 0 for none: it tells this log from another one of the same length.
    pub crc32c: u32,
    /// Its segments, in order.
    pub segments: Vec<CutSegment>,
}

/// Where the logs of a server end, all at one moment, and what else a store is made of. It covers
/// every write that was acknowledged before it was asked for. Of what it covers, everything that
/// was acknowledged before is covered, too.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct BackupCut {
    /// The number that was drawn when the store was made.
    pub store: u64,
    /// When the cut was taken, in µs since 1970.
    pub taken: u64,
    /// Entries of the logs up to this sequence may name namespaces that are not listed.
    pub given_back: u64,
    /// Version of the logs' format.
    pub format: u32,
    /// How callers' strings become ids: an [`crate::IdRule`]'s name.
    pub id_rule: String,
    /// The data folder, for a backup on the same host.
    pub data: String,
    /// By number. The first is the empty one; others that are empty are no namespaces.
    pub namespaces: Vec<String>,
    /// Digests of files that were imported at starts.
    pub imports: Vec<String>,
    /// By number.
    pub shards: Vec<CutShard>,
}

impl Payload for LogRange {
    const NAME: &'static str = "log range";

    fn check(range: &ArchivedLogRange) -> Result<(), PayloadError> {
        check_at_most("length", range.length.to_native(), limits::MAX_LOG_READ)
    }
}

impl Payload for BackupDone {
    const NAME: &'static str = "backup note";

    fn check(_: &ArchivedBackupDone) -> Result<(), PayloadError> {
        Ok(())
    }
}

impl Payload for BackupCut {
    const NAME: &'static str = "backup cut";

    fn check(_: &ArchivedBackupCut) -> Result<(), PayloadError> {
        Ok(())
    }
}
