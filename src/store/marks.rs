//! The marks that a start holds each shard's log against.
//!
//! A shard's *mark* stands in the manifest: the place up to which its log was on stable storage
//! when the manifest was written. A log that is shorter at the next start, or damaged before its
//! mark, has lost something that was there, and is refused. Behind the mark a torn tail is cut as
//! it would be without one. A mark is a lower bound: it may be old, and is never taken back.

use serde::{Deserialize, Serialize};
use sutra_runtime::RegionSlice;

/// A place in a shard's log: behind a commit. The default is the log's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Bytes from its start; segments are shorter than 4 GiB.
    pub(crate) offset: u32,
}

impl Position {
    pub(crate) fn new(segment: u32, offset: usize) -> Self {
        Self { segment, offset: u32::try_from(offset).expect("a segment is shorter than 4 GiB") }
    }
}

/// A part of a log, as it is to stand in its file.
pub(crate) struct LogPart {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: RegionSlice,
}
