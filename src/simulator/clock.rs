//! The store's clock in a simulation: the same virtual time, and a wall clock that somebody sets.

use std::sync::atomic::{AtomicI64, Ordering};

use sutra_runtime::VirtualClock;
use sutra_store::Clock;

/// When every simulation begins, in µs since 1970: any moment will do.
const BEGINNING: u64 = 1_700_000_000_000_000;

/// The store's clock.
#[derive(Debug)]
pub(crate) struct WallClock {
    time: VirtualClock,
    /// µs by which the wall clock is off.
    off: AtomicI64,
}

impl WallClock {
    pub(crate) fn new(time: VirtualClock) -> WallClock {
        WallClock { time, off: AtomicI64::new(0) }
    }

    /// Somebody sets the wall clock, this many µs forwards or back.
    pub(crate) fn jump(&self, by: i64) {
        self.off.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for WallClock {
    fn now(&self) -> u64 {
        (BEGINNING + self.monotonic()).saturating_add_signed(self.off.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> u64 {
        self.time.now();
        self.time.elapsed().as_micros() as u64
    }
}
