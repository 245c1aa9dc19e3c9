//! What a connection's callers and its driver share: the socket, the requests on their way out and
//! the replies on their way in.
//!
//! Cost of a request in steady state: one lock on the way out, one for a batch of replies, one to
//! take the reply; no allocation in this file.

use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Poll, Waker};

use socket2::SockRef;
use sutra_wire::{Header, MORE, Status};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, Semaphore};

use crate::ClientError;
use crate::deadline::Deadline;
use crate::handshake::ServerInfo;
use crate::in_flight::{Completion, InFlight, Outcome};
use crate::receive::ReceiveBuffer;
use crate::request::Request;
use crate::send_queue::SendQueue;

/// Unanswered requests that are kept track of, whatever the server allows.
const MAX_UNANSWERED: u32 = 1 << 16;

pub(crate) struct Shared {
    endpoint: Arc<str>,
    info: ServerInfo,
    state: Mutex<State>,
    receiver: Mutex<Receiver>,
    socket: OwnedWriteHalf,
    /// One permit for every request that the server will still take.
    room: Semaphore,
    /// Told when the driver has taken the send queue.
    drained: Notify,
    closed: AtomicBool,
}

struct State {
    queue: SendQueue,
    closed: Option<ClientError>,
    in_flight: InFlight,
}

struct Receiver {
    buffer: ReceiveBuffer,
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
        socket: OwnedWriteHalf,
        buffer: ReceiveBuffer,
    ) -> Self {
        let state =
            State { queue: SendQueue::default(), closed: None, in_flight: InFlight::default() };
        Self {
            endpoint,
            info,
            state: Mutex::new(state),
            receiver: Mutex::new(Receiver { buffer, wakers: Vec::new() }),
            socket,
            room: Semaphore::new(info.max_in_flight.clamp(1, MAX_UNANSWERED) as usize),
            drained: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// What errors call the server.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What the server said when the connection opened.
    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    pub(crate) fn socket(&self) -> &OwnedWriteHalf {
        &self.socket
    }

    /// Whether the connection has ended, by a look without a lock.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why the connection has ended, if it has.
    pub(crate) fn end(&self) -> Option<ClientError> {
        lock(&self.state).closed.clone()
    }

    /// The error of a connection that ends for this reason.
    pub(crate) fn lost(&self, reason: impl Into<String>) -> ClientError {
        ClientError::closed(&self.endpoint, reason)
    }

    /// The error of a connection that the server has ended.
    pub(crate) fn ended(&self) -> ClientError {
        self.lost("the server closed it")
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
            wakers.extend(state.queue.end());
        }
        self.closed.store(true, Ordering::Release);
        self.room.close();
        self.drained.notify_waiters();
        // The peer learns of it now and not when the last caller has looked; if it knows already,
        // so much the better.
        let _ = SockRef::from(self.socket.as_ref()).shutdown(std::net::Shutdown::Both);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sends a request, waiting for room where there is none, and returns its number. `at_once`
    /// writes it to the socket from here if that is possible.
    pub(crate) async fn send(
        &self,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<u64, ClientError> {
        let permit = match self.room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match deadline.limit(&self.endpoint, self.room.acquire()).await? {
                Ok(permit) => permit,
                Err(_) => return Err(self.end().unwrap_or_else(|| self.ended())),
            },
        };
        let number = loop {
            // Asked for before the queue is looked at, so that no news is missed in between.
            let drained = self.drained.notified();
            match self.enqueue(request, deadline, at_once)? {
                Some(number) => break number,
                None => deadline.limit(&self.endpoint, drained).await?,
            }
        };
        // It comes back with the reply.
        permit.forget();
        Ok(number)
    }

    /// Archives a request into the send queue and sees to it that it goes out. `None` while the
    /// queue is full.
    fn enqueue(
        &self,
        request: &Request,
        deadline: &Deadline,
        at_once: bool,
    ) -> Result<Option<u64>, ClientError> {
        let mut state = lock(&self.state);
        let State { queue, closed, in_flight } = &mut *state;
        if let Some(error) = closed {
            return Err(error.clone());
        }
        if !queue.has_room() {
            return Ok(None);
        }
        let is_first = queue.is_empty();
        let opcode = deadline.opcode() as u8;
        let number = in_flight.insert(opcode);
        let header = Header {
            opcode,
            request: number,
            extra: deadline.remaining_micros(),
            ..Header::default()
        };
        if let Err(length) = queue.push(request, header, self.info.max_payload as usize) {
            in_flight.withdraw(number);
            let (operation, limit) = (deadline.operation(), self.info.max_payload);
            return Err(ClientError::TooLarge { operation, length, limit });
        }
        if queue.is_driver_sending() || (!is_first && !at_once) {
            return Ok(Some(number)); // The driver was told when the first of them came.
        }
        // A lone request gains nothing by waiting for company; a busy connection's driver writes
        // for all.
        if (at_once || in_flight.unanswered() == 1) && queue.write(&self.socket) {
            return Ok(Some(number));
        }
        let driver = queue.driver();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(Some(number))
    }

    /// What the driver does with the send queue.
    pub(crate) fn with_queue<T>(&self, work: impl FnOnce(&mut SendQueue) -> T) -> T {
        work(&mut lock(&self.state).queue)
    }

    /// The driver has taken the send queue: those that wait for room in it may try again.
    pub(crate) fn tell_drained(&self) {
        self.drained.notify_waiters();
    }

    /// What came of a request, once something has; takes it. Until then `waker`, where one is
    /// given, is woken when it comes.
    pub(crate) fn poll(&self, request: u64, waker: Option<&Waker>) -> Poll<Outcome> {
        lock(&self.state).in_flight.poll(request, waker)
    }

    /// Nobody waits for this request any more.
    pub(crate) fn abandon(&self, request: u64) {
        lock(&self.state).in_flight.abandon(request);
    }

    /// Receives with `read` until that has nothing; ready only with the reason why nothing more
    /// will come.
    pub(crate) fn receive(
        &self,
        mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<ClientError> {
        let mut receiver = lock(&self.receiver);
        loop {
            match read(receiver.buffer.space()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(received) => {
                    if let Err(error) = self.received(&mut receiver, received) {
                        return Poll::Ready(error);
                    }
                }
            }
        }
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
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            received => self.received(&mut receiver, received),
        };
        drop(receiver);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Bytes have come into the receiver's space, or none will come any more.
    fn received(
        &self,
        receiver: &mut Receiver,
        received: io::Result<usize>,
    ) -> Result<(), ClientError> {
        match received {
            Err(error) => Err(self.lost(error.to_string())),
            Ok(0) => Err(self.ended()),
            Ok(count) => {
                receiver.buffer.received(count);
                self.dispatch(receiver)
            }
        }
    }

    /// Gives the received replies to the requests that they belong to.
    fn dispatch(&self, receiver: &mut Receiver) -> Result<(), ClientError> {
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
                break Err(ClientError::protocol(
                    &self.endpoint,
                    "a reply in parts, which nothing asks for",
                ));
            }
            // What the server says about the connection as a whole comes under no request's number.
            if header.request == 0
                && let Some(status) =
                    Status::from_number(header.status).filter(|status| status.is_error())
            {
                break Err(ClientError::refused(status, reply.payload));
            }
            match state.in_flight.complete(reply) {
                Completion::Delivered(waker) => receiver.wakers.extend(waker),
                Completion::Late => {}
                Completion::Unknown => {
                    let problem = format!(
                        "a reply (opcode 0x{:02x}) to a request that was not sent",
                        header.opcode
                    );
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
}
