//! What a load asks, and when it is measured.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::client::Operation;

/// What is asked, and how many calls may be in flight on each connection.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) depth: usize,
}

/// When measuring begins and ends, on the run's clock.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) clock: Instant,
    pub(crate) since: Duration,
    pub(crate) until: Duration,
}

impl Window {
    /// The window in ns of the clock.
    pub(crate) fn nanoseconds(&self) -> Range<u64> {
        self.since.as_nanos() as u64..self.until.as_nanos() as u64
    }
}
