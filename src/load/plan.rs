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
    /// After this many requests a thread, all of them answered. Without a warm-up exactly so many
    /// are sent.
    Requests(u64),
}

/// The timeout unless said otherwise: as long as the client library's.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The rates that requests can be due at: beyond the highest an interval is below the clock's
/// nanosecond.
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
    /// Send each request to its owner where every core has a connection, as our client does; else
    /// all go anywhere, and the server's cores pass them on.
    pub layout_aware: bool,
    /// Open loop: so many requests a second in all, due at even intervals whether or not earlier
    /// ones were answered; `depth` bounds what is in flight, and what is due beyond it waits. A
    /// latency then counts from the time at which a request was due. Such a run never sleeps: a
    /// timer's wake-up would be measured as latency.
    pub rate: Option<f64>,
    /// The CPUs to pin the threads to, the first thread to the first; threads beyond the list run
    /// anywhere.
    pub pin: Vec<usize>,
    /// Set from elsewhere, it ends the run: what was measured until then is reported.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    /// One connection, one request in flight, a second's warm-up, five seconds measured, ten
    /// seconds' patience, sleeping, knowing the layout, unpinned.
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

    /// Refuses a plan that would send nothing, or that has more threads than connections.
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
