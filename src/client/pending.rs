//! A request that was sent, and the wait for its reply: looking without sleeping first, where the
//! caller asked for that.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::ClientError;
use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::in_flight::Outcome;
use crate::request::Request;

/// Where a call is dropped after this time without an answer, its connection is tried before the
/// next use.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request that was sent. Dropping it forgets its reply.
pub(crate) struct Pending {
    connection: Arc<Connection>,
    request: u64,
    taken: bool,
    since: Instant,
}

impl Pending {
    /// Sends a request over a connection, waiting for room where there is none. `at_once` writes it
    /// to the socket from here if that is possible.
    pub(crate) async fn send(
        connection: &Arc<Connection>,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<Self, ClientError> {
        let request = connection.send(request, deadline, at_once).await?;
        Ok(Self {
            connection: connection.clone(),
            request,
            taken: false,
            since: deadline.started(),
        })
    }

    /// The reply, as it came. For the time of `spin` the socket is looked at without sleeping.
    pub(crate) async fn wait(&mut self, deadline: &Deadline, spin: Duration) -> Outcome {
        if !spin.is_zero()
            && let Poll::Ready(outcome) = self.spin((Instant::now() + spin).min(deadline.at()))
        {
            return outcome;
        }
        let connection = self.connection.clone();
        let answer = poll_fn(|context| self.poll(Some(context.waker())));
        let outcome = deadline.limit(connection.endpoint(), answer).await;
        outcome.inspect_err(|_| connection.doubt())?
    }

    fn poll(&mut self, waker: Option<&Waker>) -> Poll<Outcome> {
        let outcome = self.connection.poll(self.request, waker);
        self.taken = outcome.is_ready();
        outcome
    }

    fn spin(&mut self, until: Instant) -> Poll<Outcome> {
        loop {
            self.connection.receive_now();
            let outcome = self.poll(None);
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
        self.connection.abandon(self.request);
        if self.since.elapsed() >= PATIENCE {
            self.connection.doubt();
        }
    }
}
