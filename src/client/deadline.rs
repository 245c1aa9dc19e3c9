//! The time that a call may take in all, across connecting, waiting, retries and the answer.

use std::future::Future;
use std::time::Duration;

use sutra_wire::Opcode;
use tokio::time::{Instant, timeout_at};

use crate::ClientError;

/// Stands for a timeout that is beyond what the clock can count.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// When a call must be over, and what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    opcode: Opcode,
    started: Instant,
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// A call of this kind that starts now.
    pub(crate) fn of(opcode: Opcode, timeout: Duration) -> Self {
        let started = Instant::now();
        let at = started.checked_add(timeout).unwrap_or_else(|| started + FAR);
        Self { opcode, started, at, timeout }
    }

    /// What kind of request the call is.
    pub(crate) fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// What kind of request the call is, in a word.
    pub(crate) fn operation(&self) -> &'static str {
        self.opcode.name()
    }

    /// When the call began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// When it must be over.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// What is left.
    pub(crate) fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// What is left, as a request's header says it: at least 1 µs, because 0 would mean for ever.
    pub(crate) fn remaining_micros(&self) -> u64 {
        u64::try_from(self.remaining().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Waits for `future` as long as the call may take.
    pub(crate) async fn limit<F: Future>(
        &self,
        endpoint: &str,
        future: F,
    ) -> Result<F::Output, ClientError> {
        timeout_at(self.at, future).await.map_err(|_| self.passed(endpoint))
    }

    /// The error that says that the time is over.
    pub(crate) fn passed(&self, endpoint: &str) -> ClientError {
        ClientError::TimedOut {
            operation: self.operation(),
            endpoint: endpoint.to_owned(),
            timeout: self.timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_no_time_and_one_beyond_the_clock_can_both_be_stated() {
        assert_eq!(Deadline::of(Opcode::Query, Duration::ZERO).remaining_micros(), 1);
        assert!(Deadline::of(Opcode::Query, Duration::MAX).remaining() > FAR / 2);
    }
}
