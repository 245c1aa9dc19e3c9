//! The clock of a simulation: it goes on when it is told to, and a little whenever it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that all parts of a simulation share. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<State>);

#[derive(Debug)]
struct State {
    /// Any moment: nothing depends on which.
    origin: Instant,
    /// ns since then.
    elapsed: AtomicU64,
    /// ns by which it goes on whenever it is read.
    tick: AtomicU64,
}

impl VirtualClock {
    /// One that has not begun to run. `tick` is by how much it goes on whenever it is read: with
    /// none, what works until some time has passed would never end.
    pub fn new(tick: Duration) -> VirtualClock {
        VirtualClock(Arc::new(State {
            origin: Instant::now(),
            elapsed: AtomicU64::new(0),
            tick: AtomicU64::new(nanos(tick)),
        }))
    }

    /// Sets by how much it goes on whenever it is read.
    pub fn set_tick(&self, tick: Duration) {
        self.0.tick.store(nanos(tick), Ordering::Relaxed);
    }

    /// Reads it.
    pub fn now(&self) -> Instant {
        let tick = self.0.tick.load(Ordering::Relaxed);
        let elapsed = self.0.elapsed.fetch_add(tick, Ordering::Relaxed) + tick;
        self.0.origin + Duration::from_nanos(elapsed)
    }

    /// What it shows, without reading it: it does not go on.
    pub fn peek(&self) -> Instant {
        self.0.origin + self.elapsed()
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.elapsed.load(Ordering::Relaxed))
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.0.elapsed.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
