//! Listeners: each has a task of tokio-uring's runtime, which takes connections and puts them into
//! the core's inbox.
//!
//! A task never dies of an accept error: it warns, waits and goes on. When it is told to stop it
//! takes what is in the backlog first, because closing a listener resets those connections. One
//! that others share resets none: what waits there is theirs. One that another process is to go on
//! with is kept, with all that waits there.
//!
//! The task awaits readiness and then takes all that is queued with accept4(2). tokio-uring's own
//! accept operation takes one connection each time the thread parks. It can't be cancelled, and its
//! stream does not give the descriptor away.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::RuntimeError;
use crate::event::{Event, ListenerId, PeerAddr};
use crate::listener::Listener;

/// Accepted connections that wait for the core's next turn; when so many do, accepting pauses and
/// the backlog waits in the kernel.
const INBOX: usize = 256;

/// How long to wait after the kernel had no descriptor or memory for a connection. Trying so seldom
/// costs nothing, and once there is room again no client notices the wait.
const BACKOFF: Duration = Duration::from_millis(100);

/// How listeners end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// They take what their backlogs hold, and close.
    Close,
    /// They stay as they are, for another process.
    Keep,
}

/// What the listeners' tasks and the core's loop share; all in one thread.
#[derive(Default)]
pub(super) struct Inbox {
    accepted: RefCell<VecDeque<Event<'static>>>,
    /// The loop, when it sleeps.
    sleeper: RefCell<Option<Waker>>,
    news: Cell<bool>,
    stopping: Cell<Option<Stop>>,
    stop: Notify,
    kept: RefCell<Vec<(ListenerId, Listener)>>,
    listening: Cell<usize>,
    failures: Cell<u64>,
    /// Descriptors from this number on are left for files. The kernel gives the lowest free number,
    /// so a higher one says that all below are taken.
    reserved: Cell<Option<RawFd>>,
}

impl Inbox {
    /// The next connection.
    pub(super) fn take(&self) -> Option<Event<'static>> {
        self.accepted.borrow_mut().pop_front()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted.borrow().is_empty()
    }

    /// Has the loop woken when a connection comes or a listener ends.
    pub(super) fn wake_on_arrival(&self, context: &Context<'_>) {
        let mut sleeper = self.sleeper.borrow_mut();
        match &mut *sleeper {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// Tells all listeners to take what is queued and close.
    pub(super) fn stop_listening(&self) {
        self.end_listening(Stop::Close);
    }

    /// Tells all listeners to accept nothing more, and keeps them.
    pub(super) fn keep_listeners(&self) {
        self.end_listening(Stop::Keep);
    }

    fn end_listening(&self, how: Stop) {
        // Whoever was to keep them goes on to do so: a drain that comes then finds them kept.
        self.stopping.set(Some(self.stopping.get().unwrap_or(how)));
        self.stop.notify_waiters();
    }

    /// The listeners that were kept so far.
    pub(super) fn take_kept(&self) -> Vec<(ListenerId, Listener)> {
        self.kept.take()
    }

    /// Whether every listener is closed or kept, and every connection handed over.
    pub(super) fn is_finished(&self) -> bool {
        self.listening.get() == 0 && self.is_empty()
    }

    /// Whether a connection came or a listener ended since this was last asked.
    pub(super) fn take_news(&self) -> bool {
        self.news.take()
    }

    /// How often accepting failed for lack of descriptors or memory.
    pub(super) fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// Leaves so many of the descriptors that the process may have for files.
    pub(super) fn reserve(&self, files: u64) {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let first = limit.and_then(|limit| RawFd::try_from(limit.saturating_sub(files)).ok());
        self.reserved.set(first.filter(|_| files > 0));
    }

    fn is_reserved(&self, descriptor: RawFd) -> bool {
        self.reserved.get().is_some_and(|first| descriptor >= first)
    }

    fn wake(&self) {
        self.news.set(true);
        if let Some(waker) = self.sleeper.borrow_mut().take() {
            waker.wake();
        }
    }

    fn put(&self, accepted: Event<'static>) {
        self.accepted.borrow_mut().push_back(accepted);
        self.wake();
    }

    fn is_full(&self) -> bool {
        self.accepted.borrow().len() >= INBOX
    }
}

/// Starts a listener's task. To be called on the core's thread, inside its runtime.
pub(super) fn listen(
    inbox: &Rc<Inbox>,
    listener: Listener,
    id: ListenerId,
) -> Result<(), RuntimeError> {
    let Listener { socket, is_shared } = listener;
    socket.set_nonblocking(true).map_err(RuntimeError::system("making a listener non-blocking"))?;
    // SAFETY: a TcpListener answers with the same descriptor as long as it lives, and it is not
    // taken out of the AsyncFd.
    let listener = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }
        .map_err(|error| RuntimeError::system("watching a listening socket")(error.into()))?;
    inbox.listening.set(inbox.listening.get() + 1);
    let inbox = Rc::clone(inbox);
    tokio_uring::spawn(async move {
        accept_all(&inbox, &listener, id, is_shared).await;
        if inbox.stopping.get() == Some(Stop::Keep) {
            let socket = listener.into_inner();
            inbox.kept.borrow_mut().push((id, Listener { socket, is_shared }));
        }
        inbox.listening.set(inbox.listening.get() - 1);
        inbox.wake();
    });
    Ok(())
}

/// Takes connections until told to stop.
async fn accept_all(
    inbox: &Inbox,
    listener: &AsyncFd<TcpListener>,
    id: ListenerId,
    is_shared: bool,
) {
    let mut failing = false;
    let none_left = || io::Error::from_raw_os_error(libc::EMFILE);
    loop {
        // Listened for before `stopping` is read, so that a stop in between is not missed.
        let stop = inbox.stop.notified();
        let stopping = inbox.stopping.get();
        if stopping == Some(Stop::Keep) || stopping.is_some() && is_shared {
            return;
        }
        let error = loop {
            while inbox.is_full() {
                // The loop empties the inbox in its next turn, in this same thread.
                tokio::task::yield_now().await;
            }
            // After a failure a look at the next free number is worth its system call.
            if failing
                && rustix::io::fcntl_dupfd_cloexec(listener.get_ref(), 0)
                    .is_ok_and(|next| inbox.is_reserved(next.as_raw_fd()))
            {
                break none_left();
            }
            match accept(listener.get_ref()) {
                Ok((socket, peer)) => {
                    let is_last = inbox.is_reserved(socket.as_raw_fd());
                    failing = false;
                    inbox.put(Event::Accepted { listener: id, socket, peer });
                    if is_last {
                        break none_left();
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => break error,
            }
        };
        if stopping.is_some() {
            return;
        }
        if error.kind() == io::ErrorKind::WouldBlock {
            tokio::select! {
                () = stop => {}
                ready = listener.readable() => match ready {
                    // Cleared before the next accepts: an arrival after them is a new edge.
                    Ok(mut ready) => ready.clear_ready(),
                    // Only when the runtime ends.
                    Err(_) => return,
                },
            }
        } else {
            if !failing {
                tracing::warn!(
                    %error,
                    listener = id.0,
                    "cannot accept connections for now; trying again"
                );
            }
            failing = true;
            inbox.failures.set(inbox.failures.get() + 1);
            tokio::select! {
                () = stop => {}
                () = tokio::time::sleep(BACKOFF) => {}
            }
        }
    }
}

fn accept(listener: &TcpListener) -> io::Result<(OwnedFd, PeerAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    // A connection without an address was reset before it was taken.
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket, peer))
}

/// Errors of the connection, not of the listener (accept(2)): the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
        )
    ) || error.kind() == io::ErrorKind::ConnectionAborted
}
