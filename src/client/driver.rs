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
use crate::shared::Shared;

/// Send buffers that grew beyond this are not kept.
const MAX_KEPT: usize = 1 << 20;

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
    /// The others get one turn before anything is sent. Tokio runs first what was woken last, so
    /// this task may run before others that are about to queue a request. With one turn for them,
    /// 64 tasks on one connection and one worker thread got four times the requests through.
    fn take_queue(&mut self, context: &Context<'_>) -> Queue {
        self.sending.clear();
        self.sent = 0;
        if self.sending.capacity() > MAX_KEPT {
            self.sending = FrameBuffer::new();
        }
        let Self { shared, sending, sent, yielded, .. } = self;
        let queue = shared.with_queue(|queue| {
            queue.driver_is_idle(context.waker());
            if queue.is_empty() {
                *yielded = false;
                return Queue::Empty;
            }
            *yielded = !*yielded;
            if *yielded {
                return Queue::Growing;
            }
            *sent = queue.take(sending);
            Queue::Taken
        });
        match queue {
            Queue::Empty => {}
            Queue::Growing => context.waker().wake_by_ref(),
            Queue::Taken => shared.tell_drained(),
        }
        queue
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
            match self.shared.socket().try_write(&self.sending[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.shared.socket().as_ref().poll_write_ready(context) {
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
        let Self { shared, socket, .. } = self;
        shared.receive(|space| {
            let mut space = ReadBuf::new(space);
            Pin::new(&mut *socket).poll_read(context, &mut space).map_ok(|()| space.filled().len())
        })
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        if driver.shared.end().is_some() {
            return Poll::Ready(());
        }
        let sent = driver.poll_send(context);
        // Replies that are there are read even when the peer takes nothing more.
        let ended = match (driver.poll_receive(context), sent) {
            (Poll::Ready(error), _) => error,
            (Poll::Pending, Poll::Ready(Err(error))) => driver.shared.lost(error.to_string()),
            (Poll::Pending, _) => return Poll::Pending,
        };
        driver.shared.fail(ended);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.fail(self.shared.lost("the runtime that served it was shut down"));
    }
}
