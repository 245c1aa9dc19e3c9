//! How far each shard's log has come, and the marks that a start holds it against.
//!
//! A shard's *mark* stands in the manifest: the place up to which its log was on stable storage
//! when the manifest was written. A log that is shorter at the next start, or damaged before its
//! mark, has lost something that was there, and is refused. Behind the mark a torn tail is cut as
//! it would be without one. A mark is a lower bound: it may be old, and is never taken back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

    fn pack(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    fn unpack(packed: u64) -> Self {
        Self { segment: (packed >> 32) as u32, offset: packed as u32 }
    }
}

/// A part of a log, as it is to stand in its file.
pub(crate) struct LogPart {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: RegionSlice,
}

/// How far a shard's log has come: set by its core and read by whoever writes the manifest. A cache
/// line of its own, as every commit writes to it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Progress {
    landed: AtomicU64,
    durable: AtomicU64,
    /// Whether a sync failed, and what it covered is not written again; or what a start has read
    /// from the page cache, for lack of space.
    is_uncertain: AtomicBool,
}

impl Progress {
    /// Everything up to here was written.
    pub(crate) fn set_landed(&self, position: Position) {
        self.landed.store(position.pack(), Ordering::Release);
    }

    /// Everything up to here is on stable storage. A place that was passed before changes nothing.
    pub(crate) fn set_durable(&self, position: Position) {
        self.durable.fetch_max(position.pack(), Ordering::AcqRel);
    }

    /// What was written and not synced is not known to be there any more.
    pub(crate) fn give_up_unsynced(&self) {
        self.is_uncertain.store(true, Ordering::Release);
        self.set_landed(self.durable());
    }

    /// It is written again, and on stable storage up to here.
    pub(crate) fn written_again(&self, position: Position) {
        self.set_durable(position);
        self.set_landed(position);
        self.is_uncertain.store(false, Ordering::Release);
    }

    /// Whether something that was acknowledged may not be on the disk.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_uncertain.load(Ordering::Acquire)
    }

    pub(crate) fn landed(&self) -> Position {
        Position::unpack(self.landed.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Position {
        Position::unpack(self.durable.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_log_are_ordered_as_it_was_written_and_never_go_back() {
        let progress = Progress::default();
        assert_eq!(progress.durable(), Position::default());
        for place in [(0, 4096), (1, 8192), (7, u32::MAX as usize)]
            .map(|(segment, at)| Position::new(segment, at))
        {
            progress.set_durable(place);
            progress.set_durable(Position::new(0, 5000));
            assert_eq!(progress.durable(), place.max(Position::new(0, 5000)));
        }
    }

    #[test]
    fn what_no_sync_covered_is_given_up() {
        let progress = Progress::default();
        progress.set_durable(Position::new(1, 4096));
        progress.set_landed(Position::new(2, 8192));
        progress.give_up_unsynced();
        assert_eq!(progress.landed(), Position::new(1, 4096));
        assert!(progress.is_uncertain());
        progress.written_again(Position::new(2, 8192));
        assert_eq!(
            (progress.landed(), progress.durable()),
            (Position::new(2, 8192), progress.landed())
        );
        assert!(!progress.is_uncertain());
    }
}
