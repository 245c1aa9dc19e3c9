//! The task that moves a connection's bytes: what callers queued goes out in one write, what comes
//! in reaches its requests.
//!
//! One task does both directions, so that a request costs one wake-up at most. It ends with the
//! connection; when its runtime is shut down under it, it ends the connection. A server that stops
//! reading is read from all the same.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sutra_wire::FrameBuffer;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::ClientError;
use crate::connection::{MAX_KEPT, Shared, lock};

/// Ready when the connection has ended.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    socket: OwnedReadHalf,
    /// What is on its way to the socket, and how much of it is there.
    sending: FrameBuffer,
    sent: usize,
    /// Whether the callers had their turn since the queue began to fill.
    yielded: bool,
}

/// What became of the send queue.
enum Queue {
    Empty,
    /// Callers may be about to add to it.
    Growing,
    Taken,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, socket: OwnedReadHalf) -> Self {
        Self { shared, socket, sending: FrameBuffer::new(), sent: 0, yielded: false }
    }

    /// Takes what callers have queued; where that is nothing, the next caller wakes this task.
    ///
    /// The task that queued the first request may have put this one ahead of all the others that
    /// are about to queue theirs (tokio runs what was woken last first), so they get one turn
    /// before anything is sent: 64 tasks on one connection and one worker thread got four times the
    /// requests through that way.
    fn take_queue(&mut self, context: &Context<'_>) -> Queue {
        self.sending.clear();
        self.sent = 0;
        if self.sending.capacity() > MAX_KEPT {
            self.sending = FrameBuffer::new();
        }
        let mut state = lock(&self.shared.state);
        state.sending = false;
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.driver = Some(context.waker().clone());
        }
        if state.queue.is_empty() {
            self.yielded = false;
            return Queue::Empty;
        }
        self.yielded = !self.yielded;
        if self.yielded {
            context.waker().wake_by_ref();
            return Queue::Growing;
        }
        state.sending = true;
        std::mem::swap(&mut state.queue, &mut self.sending);
        self.sent = std::mem::take(&mut state.queue_sent);
        drop(state);
        self.shared.drained.notify_waiters();
        Queue::Taken
    }

    /// Writes until nothing is left or the socket is full.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sent == self.sending.len() {
                match self.take_queue(context) {
                    Queue::Empty => return Poll::Ready(Ok(())),
                    Queue::Growing => return Poll::Pending,
                    Queue::Taken => {}
                }
            }
            match self.shared.socket.try_write(&self.sending[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.shared.socket.as_ref().poll_write_ready(context) {
                        Poll::Ready(Ok(())) => {}
                        other => return other,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads until the socket is empty; ready only with the reason why nothing more will come.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<ClientError> {
        let mut receiver = lock(&self.shared.receiver);
        loop {
            let mut space = ReadBuf::new(receiver.buffer.space());
            match Pin::new(&mut self.socket).poll_read(context, &mut space) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(ClientError::closed(&self.shared.endpoint, error.to_string()));
                }
                Poll::Ready(Ok(())) => {}
            }
            let count = space.filled().len();
            if count == 0 {
                return Poll::Ready(self.shared.ended());
            }
            receiver.buffer.received(count);
            if let Err(error) = self.shared.dispatch(&mut receiver) {
                return Poll::Ready(error);
            }
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        if lock(&driver.shared.state).closed.is_some() {
            return Poll::Ready(());
        }
        let sent = driver.poll_send(context);
        // Replies that are there are read even when the peer takes nothing more.
        let ended = match (driver.poll_receive(context), sent) {
            (Poll::Ready(error), _) => error,
            (Poll::Pending, Poll::Ready(Err(error))) => ClientError::closed(&driver.shared.endpoint, error.to_string()),
            (Poll::Pending, _) => return Poll::Pending,
        };
        driver.shared.fail(ended);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.fail(ClientError::closed(&self.shared.endpoint, "the runtime that served it was shut down"));
    }
}
