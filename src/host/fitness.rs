//! What a host can do, measured by the server's own means: how long a commit takes, and how long a
//! wake-up.
//!
//! Ten seconds in all. Nothing but the server's runtime is timed: its write path, its two rings,
//! its ways of waiting. What was measured is kept (`record.rs`), so that the next time tells what
//! has changed.

pub(crate) mod disk;
pub(crate) mod record;
pub(crate) mod scratch;
pub(crate) mod waking;

use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use hdrhistogram::Histogram;
use sutra_runtime::{Running, RuntimeError, StartError};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FitnessError {
    /// A file or a socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The runtime.
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
}

impl<E: Into<FitnessError>> From<StartError<E>> for FitnessError {
    fn from(error: StartError<E>) -> Self {
        match error {
            StartError::Runtime(error) => error.into(),
            StartError::Handler { error, .. } => error.into(),
        }
    }
}

/// How much longer than it was to take a measurement may take: a disk that hangs, a host that has
/// no time for it.
const GRACE: Duration = Duration::from_secs(20);

/// Waits for what cores measure in `time`, and ends them. Those that do not answer are left to the
/// end of the process: whatever they wait for may never come.
fn outcome_of<T>(
    running: Running,
    outcome: &Receiver<io::Result<T>>,
    time: Duration,
) -> Result<T, FitnessError> {
    let Ok(measured) = outcome.recv_timeout(time + GRACE) else {
        running.shutdown();
        let waited = (time + GRACE).as_secs();
        return Err(io::Error::other(format!("no answer within {waited} s")).into());
    };
    running.shutdown();
    running.join()?;
    Ok(measured?)
}

/// Times in ns, from 1 to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds that are valid")
}

/// A share of the times is no longer than so many µs.
fn micros(times: &Histogram<u64>, share: f64) -> f64 {
    times.value_at_quantile(share) as f64 / 1000.0
}
