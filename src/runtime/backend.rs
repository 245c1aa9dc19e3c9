//! The seam below a core: all that a core asks of the world, and all that the world tells it.
//!
//! Three types stand below. A [`Backend`] carries out operations on sockets and files, tells what
//! has completed, accepts connections and knows the time. Its [`Mail`] carries messages between
//! cores, and runs jobs. Its [`Buffers`] hold received bytes. README.md says how a second backend
//! is made.
//!
//! They are enums, since one program holds two backends, a server's and its simulator's. So no type
//! above says which one it is on. A call costs a branch that always goes the same way.
//!
//! Promises to a core: each operation that was begun completes once, and a receive of everything
//! again and again until there is no `more`. A completion comes only with [`Backend::reap`]. Memory
//! that a core has lent is not touched any more once the operation has completed, or the backend
//! was dropped.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::net::Shutdown;

use crate::RuntimeError;
use crate::data_file::DataFile;
use crate::event::{Event, ListenerId};
use crate::linux::Linux;
use crate::linux::buffers::ReceiveBuffers;
use crate::linux::mail::LinuxMail;
use crate::listener::Listener;
use crate::metrics::CoreMetrics;
use crate::operation::{Completion, Operation, Receive};
use crate::postbox::{Job, Postbox};
use crate::simulated::{Pieces, Simulated, SimulatedMail};
use crate::sockets::{Outgoing, Socket};

/// Calls the variant that is there.
macro_rules! on {
    ($kind:ident, $value:expr, |$variant:ident| $call:expr) => {
        match $value {
            $kind::Linux($variant) => $call,
            $kind::Simulated($variant) => $call,
        }
    };
}

/// What carries out a core's operations.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a core, and the large one is the one that serves"
)]
pub(crate) enum Backend {
    Linux(Linux),
    Simulated(Simulated),
}

impl Backend {
    /// The time.
    pub(crate) fn now(&self) -> Instant {
        on!(Backend, self, |backend| backend.now())
    }

    /// Notes a socket that was given this slot.
    pub(crate) fn register(&mut self, slot: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        on!(Backend, self, |backend| backend.register(slot, fd))
    }

    /// Forgets a slot's socket, which has no operation under way.
    pub(crate) fn forget(&mut self, slot: u32) {
        on!(Backend, self, |backend| backend.forget(slot));
    }

    /// Begins to receive: [`Completion::Received`].
    pub(crate) fn receive(&mut self, socket: Socket, fd: BorrowedFd<'_>, wanted: Receive) {
        on!(Backend, self, |backend| backend.receive(socket, fd, wanted));
    }

    /// Begins to send what is left of `outgoing`: [`Completion::Sent`].
    ///
    /// # Safety
    /// `outgoing` stays where it is, unchanged, until the send has completed or this backend was
    /// dropped.
    pub(crate) unsafe fn send(
        &mut self,
        socket: Socket,
        fd: BorrowedFd<'_>,
        outgoing: &mut Outgoing,
    ) {
        // SAFETY: the caller's promise.
        on!(Backend, self, |backend| unsafe { backend.send(socket, fd, outgoing) });
    }

    /// Has an operation end early; it completes all the same.
    pub(crate) fn cancel(&mut self, operation: Operation) {
        on!(Backend, self, |backend| backend.cancel(operation));
    }

    /// Ends a connection's one direction, or both. Does nothing where it is gone already.
    pub(crate) fn shut_down(&mut self, fd: BorrowedFd<'_>, how: Shutdown) {
        on!(Backend, self, |backend| backend.shut_down(fd, how));
    }

    /// Begins a write: [`Completion::Written`].
    ///
    /// # Safety
    /// `bytes` stay where they are, unchanged, and `file` stays open, until the write has completed
    /// or this backend was dropped.
    pub(crate) unsafe fn write(
        &mut self,
        write: u32,
        file: &Arc<DataFile>,
        offset: u64,
        bytes: &[u8],
    ) {
        // SAFETY: the caller's promise.
        on!(Backend, self, |backend| unsafe { backend.write(write, file, offset, bytes) });
    }

    /// Begins a sync: [`Completion::Written`].
    pub(crate) fn sync(&mut self, write: u32, file: &Arc<DataFile>) {
        on!(Backend, self, |backend| backend.sync(write, file));
    }

    /// Has begun operations carried out from now on, and not from the end of the turn.
    pub(crate) fn submit(&mut self) -> Result<(), RuntimeError> {
        on!(Backend, self, |backend| backend.submit())
    }

    /// Appends the completions that are there, in order.
    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        on!(Backend, self, |backend| backend.reap(into));
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(
        &mut self,
        listener: Listener,
        id: ListenerId,
    ) -> Result<(), RuntimeError> {
        on!(Backend, self, |backend| backend.listen(listener, id))
    }

    /// Takes what is in the backlogs, then closes the listeners.
    pub(crate) fn stop_listening(&mut self) {
        on!(Backend, self, |backend| backend.stop_listening());
    }

    /// Accepts nothing more, and keeps the listeners as they are.
    pub(crate) fn keep_listeners(&mut self) {
        on!(Backend, self, |backend| backend.keep_listeners());
    }

    /// Takes the listeners that were kept so far.
    pub(crate) fn take_listeners(&mut self) -> Vec<(ListenerId, Listener)> {
        on!(Backend, self, |backend| backend.take_listeners())
    }

    /// Takes a connection that was accepted.
    pub(crate) fn take_accepted(&mut self) -> Option<Event<'static>> {
        on!(Backend, self, |backend| backend.take_accepted())
    }

    /// Whether there is one to take.
    pub(crate) fn has_accepted(&self) -> bool {
        on!(Backend, self, |backend| backend.has_accepted())
    }

    /// Whether every listener is closed or kept, and every connection taken.
    pub(crate) fn is_done_listening(&self) -> bool {
        on!(Backend, self, |backend| backend.is_done_listening())
    }

    /// Writes down what it counts itself.
    pub(crate) fn count(&self, metrics: &mut CoreMetrics) {
        on!(Backend, self, |backend| backend.count(metrics));
    }

    /// The one on Linux, for the loop that belongs to it.
    pub(crate) fn linux(&mut self) -> &mut Linux {
        match self {
            Backend::Linux(backend) => backend,
            Backend::Simulated(_) => unreachable!("each loop runs the cores on its own backend"),
        }
    }

    /// The one of a simulation, for the loop that belongs to it.
    pub(crate) fn simulated(&mut self) -> &mut Simulated {
        match self {
            Backend::Simulated(backend) => backend,
            Backend::Linux(_) => unreachable!("each loop runs the cores on its own backend"),
        }
    }
}

/// How a core reaches others and is reached: messages between cores, and jobs whose results are
/// messages.
pub(crate) enum Mail<M> {
    Linux(LinuxMail<M>),
    Simulated(SimulatedMail<M>),
}

impl<M: Send + 'static> Mail<M> {
    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        on!(Mail, self, |mail| mail.cores())
    }

    /// Sends a message to a core; gives it back when its mailbox is full or there is no such core.
    pub(crate) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
        on!(Mail, self, |mail| mail.send(to, message))
    }

    /// Wakes those that were sent something since the last call; returns how many slept.
    pub(crate) fn flush(&mut self) -> u64 {
        on!(Mail, self, |mail| mail.flush())
    }

    /// How many messages of that sender have arrived. Senders are the cores, and behind them what
    /// the core's own jobs and other threads have to say.
    pub(crate) fn arrived(&self, sender: usize) -> usize {
        on!(Mail, self, |mail| mail.arrived(sender))
    }

    /// Takes the next message of that sender.
    pub(crate) fn take(&mut self, sender: usize) -> Option<M> {
        on!(Mail, self, |mail| mail.take(sender))
    }

    /// Whether nothing has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        on!(Mail, self, |mail| mail.is_empty())
    }

    /// Whether nothing has arrived from cores, and no job is under way.
    pub(crate) fn is_idle(&self) -> bool {
        on!(Mail, self, |mail| mail.is_idle())
    }

    /// Has a job run that blocks; gives it back when too many wait.
    pub(crate) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        on!(Mail, self, |mail| mail.run(job))
    }

    /// Has a job run that computes for long; gives it back when too many wait.
    pub(crate) fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        on!(Mail, self, |mail| mail.compute(job))
    }

    /// A way to this core for other threads.
    pub(crate) fn postbox(&self) -> Postbox<M> {
        on!(Mail, self, |mail| mail.postbox())
    }
}

/// Received bytes, until they were handed over. Apart from the backend, as the handler changes the
/// core while it reads them.
pub(crate) enum Buffers {
    Linux(ReceiveBuffers),
    Simulated(Pieces),
}

impl Buffers {
    /// The first `len` bytes of a buffer that a completion has named.
    pub(crate) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        on!(Buffers, self, |buffers| buffers.bytes(buffer, len))
    }

    /// Gives a buffer back for the next bytes.
    pub(crate) fn recycle(&mut self, buffer: u16) {
        on!(Buffers, self, |buffers| buffers.recycle(buffer));
    }
}
