//! Asks the admin port again and again, on a thread of its own.

use std::thread;
use std::time::{Duration, Instant};

use super::sample::Stats;
use crate::admin_port::{AdminPort, AdminPortError};
use crate::exit::Failure;
use crate::slow::{self, SlowRequests};

/// Slow requests that are asked for: more than a screen shows.
const SLOW: u64 = 100;

/// What there is to see.
pub(super) struct Look {
    pub(super) stats: Stats,
    pub(super) slow: SlowRequests,
}

/// What came of asking.
pub(super) type Polled = Result<Look, AdminPortError>;

/// Asks once.
pub(super) fn look(port: &AdminPort) -> Polled {
    Ok(Look { stats: port.get("/api/v1/stats")?, slow: port.get(&slow::path(SLOW))? })
}

/// Asks every so often, as long as `told` is `true`.
pub(super) fn start(
    port: AdminPort,
    every: Duration,
    told: impl Fn(Polled) -> bool + Send + 'static,
) -> Result<(), Failure> {
    let poll = move || {
        let mut due = Instant::now();
        while told(look(&port)) {
            // An answer that came late makes up for nothing.
            due = (due + every).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    };
    let spawned = thread::Builder::new().name("poll".into()).spawn(poll);
    spawned.map(|_| ()).map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))
}
