//! Connections of an admin port: bounded in number and in patience.
//!
//! A further one takes the place of the oldest. One whose request does not arrive whole, or whose
//! answer is not read, is closed after a while, however little by little it goes on.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Connections that are kept: scrapers, probes and people, and as many again of each.
const CONNECTIONS: usize = 64;
/// How long the first request of a connection may take to arrive.
const FIRST: Duration = Duration::from_secs(10);
/// The same for a later one, the silence before it included: longer than most scrapers wait.
const LATER: Duration = Duration::from_secs(90);
/// How long an answer may stay unread.
const UNREAD: Duration = Duration::from_secs(30);
/// After accept(2) has failed, as it does where no file is free.
const PAUSE: Duration = Duration::from_millis(100);

/// What an admin port's connections come from.
pub(crate) struct AdminListener {
    listener: TcpListener,
    /// Tells a connection to end, the oldest first.
    kept: VecDeque<oneshot::Sender<()>>,
}

impl AdminListener {
    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, kept: VecDeque::new() })
    }
}

impl Listener for AdminListener {
    type Io = Bounded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Bounded, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.kept.retain(|kept| !kept.is_closed());
                    if self.kept.len() >= CONNECTIONS {
                        // It ends when its task runs next.
                        let _ = self.kept.pop_front().map(|oldest| oldest.send(()));
                    }
                    let (end, ended) = oneshot::channel();
                    self.kept.push_back(end);
                    return (Bounded::new(stream, ended), peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin port can't be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends by itself when its peer takes too long, or its place is wanted.
pub(crate) struct Bounded {
    stream: TcpStream,
    ended: oneshot::Receiver<()>,
    /// Put off by what is written, and never by what is read.
    patience: Pin<Box<Sleep>>,
}

impl Bounded {
    fn new(stream: TcpStream, ended: oneshot::Receiver<()>) -> Self {
        Self { stream, ended, patience: Box::pin(sleep(FIRST)) }
    }

    /// Whether it is to end now; where not, the task is woken when it is.
    fn has_to_end(&mut self, cx: &mut Context<'_>) -> bool {
        // An error means that the listener has gone, and the runtime with it.
        Pin::new(&mut self.ended).poll(cx).is_ready() || self.patience.as_mut().poll(cx).is_ready()
    }

    /// How what was tried goes on: not at all, where it is too late for it.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if tried.is_pending() && self.has_to_end(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        tried
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.bounded(cx, tried)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match tried {
            Poll::Ready(Ok(_)) => self.patience.as_mut().reset(Instant::now() + LATER),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let unread = Instant::now() + UNREAD;
                if self.patience.deadline() > unread {
                    self.patience = Box::pin(sleep_until(unread));
                }
            }
        }
        self.bounded(cx, tried)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, tried)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_request_that_does_not_arrive_whole_ends_its_connection_however_it_trickles() {
        runtime().block_on(async {
            let (mut near, far) = pair().await;
            let (_end, ended) = oneshot::channel();
            let mut bounded = Bounded::new(far, ended);
            // As if the time were over already: what has arrived is still read, and nothing waited
            // for.
            bounded.patience = Box::pin(sleep(Duration::ZERO));
            near.write_all(b"GET ").await.unwrap();
            let mut text = [0; 64];
            let mut read = 0;
            let error = loop {
                match bounded.read(&mut text).await {
                    Ok(count) => read += count,
                    Err(error) => break error,
                }
            };
            assert!(read <= 4 && error.kind() == io::ErrorKind::TimedOut, "{read}: {error}");
        });
    }

    #[test]
    fn an_answer_gives_a_connection_more_time() {
        runtime().block_on(async {
            let (_near, far) = pair().await;
            let (_end, ended) = oneshot::channel();
            let mut bounded = Bounded::new(far, ended);
            let before = bounded.patience.deadline();
            bounded.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            assert!(bounded.patience.deadline() > before);
        });
    }
}
