//! What a run does, apart from the requests themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::LoadError;

/// When a run has measured enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After this time.
    Duration(Duration),
    /// After this many requests on each thread, all of them answered. Without a warm-up exactly
    /// this many are sent.
    Requests(u64),
}

/// The default timeout, which is also the client library's.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The lowest and the highest rate of an open loop, in requests a second. Beyond the highest an
/// interval is shorter than the clock's nanosecond.
const MIN_RATE: f64 = 0.1;
const MAX_RATE: f64 = 1e8;

/// How many connections, how deep, how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Connections, spread over the threads.
    pub connections: usize,
    /// Requests in flight on each connection.
    pub depth: usize,
    /// Load before anything is measured.
    pub warm_up: Duration,
    /// How long is measured; a run whose workload has nothing more to send ends earlier.
    pub length: Length,
    /// How long the run waits for any reply before it fails.
    pub timeout: Duration,
    /// Never sleep while waiting for a reply.
    pub spin: bool,
    /// Send each request to the core that owns what it is about, as our client does, if every core
    /// has a connection. Otherwise requests go to any core, and the cores pass them on.
    pub layout_aware: bool,
    /// Makes this an open loop of so many requests a second in all. They are due at even intervals,
    /// whether or not earlier ones were answered. `depth` bounds what is in flight, and what is due
    /// beyond it waits. A latency counts from the time at which the request was due. Such a run
    /// never sleeps: a timer's wake-up would be measured as latency.
    pub rate: Option<f64>,
    /// The CPUs to pin the threads to, in the order of the threads. Threads beyond the list run
    /// anywhere.
    pub pin: Vec<usize>,
    /// When somebody sets it, the run ends and reports what was measured until then.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    /// One connection with one request in flight, a warm-up of one second, five seconds measured, a
    /// timeout of ten seconds. Threads sleep while they wait, know the layout, and are not pinned.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 1,
            depth: 1,
            warm_up: Duration::from_secs(1),
            length: Length::Duration(Duration::from_secs(5)),
            timeout: REPLY_TIMEOUT,
            spin: false,
            layout_aware: true,
            rate: None,
            pin: Vec::new(),
            stop: Arc::default(),
        }
    }

    /// Refuses a plan that would send nothing, that has more threads than connections, or whose
    /// depth or rate is out of range.
    pub(crate) fn check(&self, threads: usize) -> Result<(), LoadError> {
        let problem = if threads == 0 {
            "a run needs at least one workload".into()
        } else if self.connections < threads {
            format!(
                "{} connections can't be spread over {threads} threads; use more connections",
                self.connections
            )
        } else if self.depth == 0 || u32::try_from(self.depth).is_err() {
            format!(
                "a depth of {} is not possible; have at least one request in flight",
                self.depth
            )
        } else if self.rate.is_some_and(|rate| !(MIN_RATE..=MAX_RATE).contains(&rate)) {
            format!(
                "a rate of {:?} requests/s is not possible; have {MIN_RATE} to {MAX_RATE:e}",
                self.rate
            )
        } else {
            return Ok(());
        };
        Err(LoadError::Plan { problem })
    }

    /// How many connections the thread with this number drives, and the number of its first one.
    pub(crate) fn share(&self, thread: usize, threads: usize) -> (usize, usize) {
        let (each, more) = (self.connections / threads, self.connections % threads);
        (each + usize::from(thread < more), thread * each + thread.min(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: usize, depth: usize) -> Plan {
        Plan { connections, depth, ..Plan::new(([127, 0, 0, 1], 1).into()) }
    }

    #[test]
    fn connections_are_spread_over_threads_without_gap_or_overlap() {
        assert_eq!([0, 1, 2].map(|thread| plan(8, 1).share(thread, 3)), [(3, 0), (3, 3), (2, 6)]);
    }

    #[test]
    fn plans_that_send_nothing_are_refused() {
        assert!(plan(1, 1).check(1).is_ok());
        for (connections, depth, threads) in [(0, 1, 1), (1, 0, 1), (1, 1, 2), (1, 1, 0)] {
            assert!(
                plan(connections, depth).check(threads).is_err(),
                "{connections} {depth} {threads}"
            );
        }
    }
}
