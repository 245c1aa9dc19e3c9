//! How far each shard's log has come, as others than its core see it.
//!
//! Its core alone sets it. Whoever sees a place as durable sees all that its core did before it
//! said so.

use crate::marks::Position;
use crate::shared::{AtomicBool, AtomicU64, Ordering};

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
        self.landed.store(pack(position), Ordering::Release);
    }

    /// Everything up to here is on stable storage. A place that was passed before changes nothing.
    pub(crate) fn set_durable(&self, position: Position) {
        self.durable.fetch_max(pack(position), Ordering::AcqRel);
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

    /// Whether something that was acknowledged may not be on the disk, after a sync that failed.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_uncertain.load(Ordering::Acquire)
    }

    pub(crate) fn landed(&self) -> Position {
        unpack(self.landed.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Position {
        unpack(self.durable.load(Ordering::Acquire))
    }
}

/// So that places are in order as their words are.
fn pack(position: Position) -> u64 {
    u64::from(position.segment) << 32 | u64::from(position.offset)
}

fn unpack(packed: u64) -> Position {
    Position { segment: (packed >> 32) as u32, offset: packed as u32 }
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
