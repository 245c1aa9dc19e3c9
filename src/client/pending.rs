//! A request that was sent, and the wait for its reply: looking without sleeping first, where the
//! caller asked for that.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{CHECK, Connection, Shared, lock};
use crate::deadline::Deadline;
use crate::in_flight::Outcome;

/// A request that was sent. Dropping it forgets its reply.
pub(crate) struct Pending {
    connection: Arc<Connection>,
    request: u64,
    taken: bool,
    since: Instant,
}

impl Pending {
    pub(crate) fn new(connection: Arc<Connection>, request: u64, since: Instant) -> Self {
        Self { connection, request, taken: false, since }
    }

    /// The reply, as it came. For the time of `spin` the socket is looked at without sleeping.
    pub(crate) async fn wait(&mut self, deadline: &Deadline, spin: Duration) -> Outcome {
        let shared = self.connection.shared.clone();
        if !spin.is_zero()
            && let Poll::Ready(outcome) = self.spin(&shared, (Instant::now() + spin).min(deadline.at))
        {
            return outcome;
        }
        let answer = poll_fn(|context| self.poll(&shared, Some(context.waker())));
        let outcome = deadline.limit(&shared.endpoint, answer).await;
        outcome.inspect_err(|_| self.connection.doubt())?
    }

    fn poll(&mut self, shared: &Shared, waker: Option<&Waker>) -> Poll<Outcome> {
        let outcome = lock(&shared.state).in_flight.poll(self.request, waker);
        self.taken = outcome.is_ready();
        outcome
    }

    fn spin(&mut self, shared: &Shared, until: Instant) -> Poll<Outcome> {
        loop {
            shared.receive_now();
            let outcome = self.poll(shared, None);
            if outcome.is_ready() || Instant::now() >= until {
                return outcome;
            }
            std::hint::spin_loop();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        lock(&self.connection.shared.state).in_flight.abandon(self.request);
        if self.since.elapsed() >= CHECK {
            self.connection.doubt();
        }
    }
}
