//! One connection: requests go into one send buffer, replies come out of one receive buffer and
//! find their requests by number.
//!
//! A request is archived straight into the send buffer. Where nothing else is under way the caller
//! writes it to the socket itself. Where the connection is busy, the driver ([`crate::driver`])
//! writes all that has gathered at once. At most as many requests are unanswered as the server
//! allows, the next ones wait here. Dropping a call forgets its reply and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::ClientError;
use crate::deadline::Deadline;
use crate::handshake::ServerInfo;
use crate::in_flight::Outcome;
use crate::request::Request;
use crate::shared::Shared;

/// Silence after which a connection is tried before it is trusted: routers forget idle connections
/// after minutes, some after one.
const IDLE: Duration = Duration::from_secs(30);

/// What a connection looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Use it.
    Ready,
    /// It was silent for long, or failed to answer in time: try it first.
    Doubtful,
    /// It has ended.
    Closed,
}

/// A connection in use; dropping the last handle ends it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    core: u16,
    doubtful: AtomicBool,
    opened: Instant,
    /// When it was used last, in ms since it was opened.
    used: AtomicU64,
}

impl Connection {
    /// A handle on a connection that a driver serves, to this core.
    pub(crate) fn new(shared: Arc<Shared>, core: u16) -> Self {
        let (doubtful, used) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { shared, core, doubtful, opened: Instant::now(), used }
    }

    /// What errors call the server.
    pub(crate) fn endpoint(&self) -> &str {
        self.shared.endpoint()
    }

    /// What the server said when the connection opened.
    pub(crate) fn info(&self) -> &ServerInfo {
        self.shared.info()
    }

    /// The core that serves it.
    pub(crate) fn core(&self) -> u16 {
        self.core
    }

    /// Whether it can be used at this time.
    pub(crate) fn condition(&self, now: Instant) -> Condition {
        if self.shared.is_closed() {
            return Condition::Closed;
        }
        let used = self.opened + Duration::from_millis(self.used.load(Ordering::Relaxed));
        if self.doubtful.load(Ordering::Relaxed) || now.saturating_duration_since(used) >= IDLE {
            return Condition::Doubtful;
        }
        Condition::Ready
    }

    /// Has it tried before it is used again.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// It has answered: it is used again.
    pub(crate) fn trust(&self) {
        self.doubtful.store(false, Ordering::Relaxed);
    }

    /// Sends a request and returns its number, as [`Shared::send`]. Whoever sends one takes its
    /// outcome or abandons it.
    pub(crate) async fn send(
        &self,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<u64, ClientError> {
        let sent = self.shared.send(request, deadline, at_once).await;
        match &sent {
            Ok(_) => self.use_at(deadline.started()),
            Err(ClientError::TimedOut { .. }) => self.doubt(),
            Err(_) => {}
        }
        sent
    }

    fn use_at(&self, now: Instant) {
        let since = now.saturating_duration_since(self.opened).as_millis();
        self.used.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What came of a request, as [`Shared::poll`].
    pub(crate) fn poll(&self, request: u64, waker: Option<&Waker>) -> Poll<Outcome> {
        self.shared.poll(request, waker)
    }

    /// Nobody waits for this request any more.
    pub(crate) fn abandon(&self, request: u64) {
        self.shared.abandon(request);
    }

    /// Takes what the socket has right now, without the runtime.
    pub(crate) fn receive_now(&self) {
        self.shared.receive_now();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.fail(self.shared.lost("the client dropped it"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::{Durability, Opcode};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::pending::Pending;
    use crate::receive::ReceiveBuffer;

    /// A connection without a driver, and the peer's end of it.
    async fn connection() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let info = ServerInfo {
            store: 1,
            started: 1,
            cores: 1,
            durability: Durability::Always,
            max_payload: 1000,
            max_in_flight: 10,
            version: 1,
            layout: None,
        };
        let shared =
            Shared::new("server".into(), info, stream.into_split().1, ReceiveBuffer::new(1000));
        (Connection::new(Arc::new(shared), 0), peer)
    }

    #[tokio::test]
    async fn a_connection_that_was_silent_for_long_is_tried_first() {
        let (connection, _peer) = connection().await;
        let now = Instant::now();
        connection.use_at(now);
        assert_eq!(connection.condition(now + IDLE / 2), Condition::Ready);
        assert_eq!(connection.condition(now + IDLE * 2), Condition::Doubtful);
    }

    #[tokio::test]
    async fn a_connection_that_left_a_call_unanswered_is_tried_first_and_an_ended_one_is_not_used()
    {
        let (connection, peer) = connection().await;
        let connection = Arc::new(connection);
        let deadline = Deadline::of(Opcode::Stats, Duration::ZERO);
        let mut pending =
            Pending::send(&connection, &Request::Stats, &deadline, false).await.unwrap();
        assert!(matches!(
            pending.wait(&deadline, Duration::ZERO).await,
            Err(ClientError::TimedOut { .. })
        ));
        assert_eq!(connection.condition(Instant::now()), Condition::Doubtful);
        drop(peer);
        while connection.condition(Instant::now()) != Condition::Closed {
            connection.receive_now();
        }
        assert!(matches!(
            connection.send(&Request::Stats, &deadline, false).await,
            Err(ClientError::Closed { .. })
        ));
    }
}
