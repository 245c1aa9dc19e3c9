//! What a thread of a run measured.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;

use crate::CpuTime;

/// The longest latency that the figures tell apart, in ns: a day.
const HIGHEST: u64 = 86_400_000_000_000;

/// What one thread measured. A load generator outside of this crate fills it in to get a
/// [`crate::Report`].
#[derive(Debug)]
pub struct Measured {
    /// How long it measured, in seconds.
    pub seconds: f64,
    /// Requests answered, without refused ones. In an open loop only those that were due while
    /// measuring.
    pub answered: u64,
    /// In an open loop: requests that were due earlier and answered while measuring. No figure
    /// counts them, except that the server's CPU time and the bytes are shared with them.
    pub carried: u64,
    /// Latencies, in ns. See [`crate::Report::latency`] for whose.
    pub latencies: Histogram<u64>,
    /// Requests refused, by status.
    pub refused: BTreeMap<String, u64>,
    /// The words of the last refusal.
    pub last_refusal: Option<String>,
    /// The server's CPU time when measuring began and when it ended.
    pub cpu: Option<(CpuTime, CpuTime)>,
    /// See [`crate::Report::overdue`].
    pub overdue: u64,
    /// See [`crate::Report::stalls`].
    pub stalls: u64,
    /// See [`crate::Report::longest_stall_ns`].
    pub longest_stall_ns: u64,
    /// See [`crate::Report::unanswered`].
    pub unanswered: u64,
    /// Bytes that the sockets took.
    pub bytes_sent: u64,
    /// Bytes that the sockets gave.
    pub bytes_received: u64,
    /// CPU time of the thread, in seconds.
    pub load_cpu: f64,
    /// Time in which the thread polled without result, in seconds. It is part of `load_cpu`; time
    /// asleep is not.
    pub polled: f64,
}

impl Measured {
    /// Before anything was measured.
    #[allow(
        clippy::new_without_default,
        reason = "a default would hide that it allocates a histogram"
    )]
    pub fn new() -> Self {
        Self {
            seconds: 0.0,
            answered: 0,
            carried: 0,
            latencies: Histogram::new_with_bounds(1, HIGHEST, 3)
                .expect("the bounds are constants that histograms take"),
            refused: BTreeMap::new(),
            last_refusal: None,
            cpu: None,
            overdue: 0,
            stalls: 0,
            longest_stall_ns: 0,
            unanswered: 0,
            bytes_sent: 0,
            bytes_received: 0,
            load_cpu: 0.0,
            polled: 0.0,
        }
    }

    /// Counts a request of an open loop that was due at `due` and is answered at `now`, where
    /// `window` is the time that is measured. Answers to what was due earlier count as carried:
    /// otherwise more would be answered than was due.
    pub fn answer_due(&mut self, due: u64, now: u64, window: &Range<u64>) {
        if window.contains(&now) {
            let count = if due >= window.start { &mut self.answered } else { &mut self.carried };
            *count += 1;
        }
        if window.contains(&due) {
            self.latencies.saturating_record(now.saturating_sub(due));
        }
    }

    /// Requests answered or refused, carried ones included.
    pub(crate) fn completed(&self) -> u64 {
        self.answered + self.carried + self.refused.values().sum::<u64>()
    }
}
