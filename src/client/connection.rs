//! One connection: requests go into one send buffer, replies come out of one receive buffer and
//! find their requests by number.
//!
//! A request is archived straight into the send buffer. Where nothing else is under way the caller
//! writes it to the socket itself; where the connection is busy, the driver ([`crate::driver`])
//! writes all that has gathered at once. At most as many requests are unanswered as the server
//! allows, the next ones wait here. Dropping a call forgets its reply and nothing else.
//!
//! Cost of a request in steady state: one lock on the way out, one for a batch of replies, one to
//! take the reply; no allocation in this file.

use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::time::Duration;

use socket2::SockRef;
use sutra_wire::{FrameBuffer, HEADER_BYTES, Header, MORE, Opcode, Status};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::ClientError;
use crate::deadline::Deadline;
use crate::handshake::ServerInfo;
use crate::in_flight::{Completion, InFlight};
use crate::pending::Pending;
use crate::receive::ReceiveBuffer;
use crate::request::Request;

/// Bytes that may wait for the socket before the next request waits for them: a few of the longest
/// embeddings.
const MAX_QUEUED: usize = 4 << 20;
/// Send buffers that grew beyond this are not kept.
pub(crate) const MAX_KEPT: usize = 1 << 20;
/// Unanswered requests that are kept track of, whatever the server allows.
const MAX_UNANSWERED: u32 = 1 << 16;
/// Silence after which a connection is tried before it is trusted: routers forget idle connections
/// after minutes, some after one.
const IDLE: Duration = Duration::from_secs(30);
/// What a health check may take, and how long an answer may be missing before its connection needs
/// one.
pub(crate) const CHECK: Duration = Duration::from_secs(1);

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
    pub(crate) shared: Arc<Shared>,
}

/// What callers and the driver share.
pub(crate) struct Shared {
    pub(crate) endpoint: Arc<str>,
    info: ServerInfo,
    core: u16,
    pub(crate) state: Mutex<State>,
    pub(crate) receiver: Mutex<Receiver>,
    pub(crate) socket: OwnedWriteHalf,
    /// One permit for every request that the server will still take.
    room: Semaphore,
    /// Told when the driver has taken the send queue.
    pub(crate) drained: Notify,
    closed: AtomicBool,
    doubtful: AtomicBool,
    opened: Instant,
    /// When it was used last, in ms since it was opened.
    used: AtomicU64,
}

pub(crate) struct State {
    /// Requests that the driver has not taken yet.
    pub(crate) queue: FrameBuffer,
    /// How much of the queue's beginning was written already.
    pub(crate) queue_sent: usize,
    /// Whether the driver holds bytes that must go out before the queue's.
    pub(crate) sending: bool,
    pub(crate) driver: Option<Waker>,
    pub(crate) closed: Option<ClientError>,
    pub(crate) in_flight: InFlight,
}

pub(crate) struct Receiver {
    pub(crate) buffer: ReceiveBuffer,
    wakers: Vec<Waker>,
}

/// Nothing that is done under these locks panics half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        endpoint: Arc<str>,
        info: ServerInfo,
        core: u16,
        socket: OwnedWriteHalf,
        buffer: ReceiveBuffer,
    ) -> Self {
        let state = State {
            queue: FrameBuffer::new(),
            queue_sent: 0,
            sending: false,
            driver: None,
            closed: None,
            in_flight: InFlight::default(),
        };
        Self {
            endpoint,
            info,
            core,
            state: Mutex::new(state),
            receiver: Mutex::new(Receiver { buffer, wakers: Vec::new() }),
            socket,
            room: Semaphore::new(info.max_in_flight.clamp(1, MAX_UNANSWERED) as usize),
            drained: Notify::new(),
            closed: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            opened: Instant::now(),
            used: AtomicU64::new(0),
        }
    }

    fn use_at(&self, now: Instant) {
        let since = now.saturating_duration_since(self.opened).as_millis();
        self.used.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends the connection: every request on it fails with this error. Only the first reason
    /// counts.
    pub(crate) fn fail(&self, error: ClientError) {
        let mut wakers = Vec::new();
        {
            let mut state = lock(&self.state);
            if state.closed.is_some() {
                return;
            }
            state.in_flight.fail(&error, &mut wakers);
            state.closed = Some(error);
            wakers.extend(state.driver.take());
        }
        self.closed.store(true, Ordering::Release);
        self.room.close();
        self.drained.notify_waiters();
        // The peer learns of it now and not when the last caller has looked; if it knows already,
        // so much the better.
        let _ = SockRef::from(self.socket.as_ref()).shutdown(std::net::Shutdown::Both);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Gives the received replies to the requests that they belong to.
    pub(crate) fn dispatch(&self, receiver: &mut Receiver) -> Result<(), ClientError> {
        let mut answered = 0;
        let mut state = lock(&self.state);
        let result = loop {
            let reply = match receiver.buffer.next_reply() {
                Ok(Some(reply)) => reply,
                Ok(None) => break Ok(()),
                Err(error) => break Err(ClientError::protocol(&self.endpoint, error.to_string())),
            };
            let header = reply.header;
            if header.flags & MORE != 0 {
                break Err(ClientError::protocol(&self.endpoint, "a reply in parts, which nothing asks for"));
            }
            // What the server says about the connection as a whole comes under no request's number.
            if header.request == 0
                && let Some(status) = Status::from_number(header.status).filter(|status| status.is_error())
            {
                break Err(ClientError::refused(status, reply.payload));
            }
            match state.in_flight.complete(reply) {
                Completion::Delivered(waker) => receiver.wakers.extend(waker),
                Completion::Late => {}
                Completion::Unknown => {
                    let problem = format!("a reply (opcode 0x{:02x}) to a request that was not sent", header.opcode);
                    break Err(ClientError::protocol(&self.endpoint, problem));
                }
            }
            answered += 1;
        };
        drop(state);
        self.room.add_permits(answered);
        receiver.wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// Takes what the socket has right now, without the runtime.
    pub(crate) fn receive_now(&self) {
        let mut receiver = match self.receiver.try_lock() {
            Ok(receiver) => receiver,
            Err(TryLockError::Poisoned(receiver)) => receiver.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let socket = SockRef::from(self.socket.as_ref());
        let result = match (&*socket).read(receiver.buffer.space()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(error) => Err(ClientError::closed(&self.endpoint, error.to_string())),
            Ok(0) => Err(self.ended()),
            Ok(count) => {
                receiver.buffer.received(count);
                self.dispatch(&mut receiver)
            }
        };
        drop(receiver);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// The error of a connection that the server has ended.
    pub(crate) fn ended(&self) -> ClientError {
        ClientError::closed(&self.endpoint, "the server closed it")
    }
}

impl Connection {
    /// A handle on a connection that a driver serves.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What the server said when the connection opened.
    pub(crate) fn info(&self) -> &ServerInfo {
        &self.shared.info
    }

    /// The core that serves it.
    pub(crate) fn core(&self) -> u16 {
        self.shared.core
    }

    /// Whether it can be used at this time.
    pub(crate) fn condition(&self, now: Instant) -> Condition {
        let shared = &self.shared;
        if shared.closed.load(Ordering::Acquire) {
            return Condition::Closed;
        }
        let used = shared.opened + Duration::from_millis(shared.used.load(Ordering::Relaxed));
        if shared.doubtful.load(Ordering::Relaxed) || now.saturating_duration_since(used) >= IDLE {
            return Condition::Doubtful;
        }
        Condition::Ready
    }

    /// Asks the server for a sign of life and says whether it came in time.
    pub(crate) async fn check(self: &Arc<Self>, deadline: &Deadline) -> bool {
        let limit = Deadline::of(Opcode::Health, CHECK.min(deadline.remaining() / 2));
        let answer = match self.send(&Request::Health, &limit, false).await {
            Ok(mut pending) => pending.wait(&limit, Duration::ZERO).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = &answer {
            tracing::debug!(endpoint = &*self.shared.endpoint, %error, "a doubtful connection did not pass its check");
            return false;
        }
        self.shared.doubtful.store(false, Ordering::Relaxed);
        true
    }

    /// Sends a request, waiting for room where there is none. `at_once` writes it to the socket
    /// from here if that is possible.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<Pending, ClientError> {
        let shared = &*self.shared;
        let permit = match shared.room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                match deadline.limit(&shared.endpoint, shared.room.acquire()).await.inspect_err(|_| self.doubt())? {
                    Ok(permit) => permit,
                    Err(_) => return Err(self.reason()),
                }
            }
        };
        let number = loop {
            // Asked for before the queue is looked at, so that no news is missed in between.
            let drained = shared.drained.notified();
            match self.enqueue(request, deadline, at_once)? {
                Some(number) => break number,
                None => deadline.limit(&shared.endpoint, drained).await.inspect_err(|_| self.doubt())?,
            }
        };
        permit.forget();
        shared.use_at(deadline.started);
        Ok(Pending::new(self.clone(), number, deadline.started))
    }

    /// Archives a request into the send queue and sees to it that it goes out. `None` while the
    /// queue is full.
    fn enqueue(&self, request: &Request, deadline: &Deadline, at_once: bool) -> Result<Option<u64>, ClientError> {
        let shared = &*self.shared;
        let mut state = lock(&shared.state);
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        let start = state.queue.len();
        if start >= MAX_QUEUED {
            return Ok(None);
        }
        let opcode = deadline.opcode as u8;
        let number = state.in_flight.insert(opcode);
        let header = Header { opcode, request: number, extra: deadline.remaining_micros(), ..Header::default() };
        request.encode(&mut state.queue, header);
        let length = state.queue.len() - start - HEADER_BYTES;
        if length > shared.info.max_payload as usize {
            state.queue.resize(start, 0);
            state.in_flight.withdraw(number);
            let operation = deadline.opcode.name();
            return Err(ClientError::TooLarge { operation, length, limit: shared.info.max_payload });
        }
        if state.sending || (start > 0 && !at_once) {
            return Ok(Some(number)); // The driver was told when the first of them came.
        }
        // A lone request gains nothing by waiting for company; a busy connection's driver writes
        // for all.
        if at_once || state.in_flight.unanswered() == 1 {
            // A socket that is full or broken is the driver's to deal with.
            state.queue_sent += shared.socket.try_write(&state.queue[state.queue_sent..]).unwrap_or(0);
            if state.queue_sent == state.queue.len() {
                state.queue.clear();
                state.queue_sent = 0;
                return Ok(Some(number));
            }
        }
        let driver = state.driver.clone();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(Some(number))
    }

    /// Has it tried before it is used again.
    pub(crate) fn doubt(&self) {
        self.shared.doubtful.store(true, Ordering::Relaxed);
    }

    /// Why the connection has ended.
    fn reason(&self) -> ClientError {
        lock(&self.shared.state).closed.clone().unwrap_or_else(|| self.shared.ended())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.fail(ClientError::closed(&self.shared.endpoint, "the client let go of it"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::Durability;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

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
        let shared = Shared::new("server".into(), info, 0, stream.into_split().1, ReceiveBuffer::new(1000));
        (Connection::new(Arc::new(shared)), peer)
    }

    #[tokio::test]
    async fn a_connection_that_was_silent_for_long_is_tried_first() {
        let (connection, _peer) = connection().await;
        let now = Instant::now();
        connection.shared.use_at(now);
        assert_eq!(connection.condition(now + IDLE / 2), Condition::Ready);
        assert_eq!(connection.condition(now + IDLE + CHECK), Condition::Doubtful);
    }

    #[tokio::test]
    async fn a_connection_that_left_a_call_without_an_answer_is_tried_first_and_one_that_has_ended_is_not_used() {
        let (connection, peer) = connection().await;
        let connection = Arc::new(connection);
        let deadline = Deadline::of(Opcode::Stats, Duration::ZERO);
        let mut pending = connection.send(&Request::Stats, &deadline, false).await.unwrap();
        assert!(matches!(pending.wait(&deadline, Duration::ZERO).await, Err(ClientError::TimedOut { .. })));
        assert_eq!(connection.condition(Instant::now()), Condition::Doubtful);
        drop(peer);
        while connection.condition(Instant::now()) != Condition::Closed {
            connection.shared.receive_now();
        }
        assert!(matches!(connection.send(&Request::Stats, &deadline, false).await, Err(ClientError::Closed { .. })));
    }
}
