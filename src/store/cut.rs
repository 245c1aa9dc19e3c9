//! What a backup needs to know of a store that is open: where each shard's log ends, and what the
//! manifest says beside.

use crate::format::SegmentHeader;

/// A segment, up to where a cut covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentCut {
    /// What stands at its start.
    pub header: SegmentHeader,
    /// Bytes from its start that the cut covers.
    pub end: usize,
}

/// A shard's log, up to where a cut covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardCut {
    /// Number of the last commit, 0 for none.
    pub commit: u64,
    /// Its segments, in order.
    pub segments: Vec<SegmentCut>,
}

/// Why a stretch of a log can't be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// The log has no such segment.
    #[error("the log has no segment {segment}; take a new backup")]
    Segment {
        /// Its number.
        segment: u32,
    },
    /// The file has become another segment since.
    #[error("segment {segment} is not the one that it was: it was used again; take a new backup")]
    Generation {
        /// Its number.
        segment: u32,
    },
    /// So much of it is not on stable storage.
    #[error("segment {segment} is on the disk up to byte {end}, and was asked for up to {asked}")]
    Beyond {
        /// Its number.
        segment: u32,
        /// Up to where it is.
        end: usize,
        /// Up to where it was asked for.
        asked: usize,
    },
}

/// What a manifest says of a store, beside its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFacts {
    /// The number that was drawn when the store was made.
    pub store: u64,
    /// Version of the store's files.
    pub format: u32,
    /// How a caller's string becomes an id.
    pub id_rule: sutra_wire::IdRule,
    /// Names of the namespaces by number; empty ones are free places.
    pub namespaces: Vec<String>,
    /// Digests of files that were imported at starts.
    pub imports: Vec<String>,
    /// Entries up to this sequence may name namespaces that are not listed.
    pub given_back: u64,
    /// The number of every shard's first segment.
    pub first: u32,
}
