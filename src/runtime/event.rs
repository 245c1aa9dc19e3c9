//! What a core tells its handler, and what a handler is.

use std::io;
use std::os::fd::OwnedFd;

use crate::accept::{ListenerId, PeerAddr};
use crate::core::Core;
use crate::outgoing::Outgoing;
use crate::sockets::Socket;
use crate::timers::TimerId;

/// What a core runs. All calls come from the core's own thread, one at a time; none may block.
///
/// A turn: everything that had arrived is handed over (`event`, `message`, `timer`), then
/// `turn_end` queues what follows from it, then all of it is submitted with one system call.
pub trait Handler: Sized + 'static {
    /// What cores send each other.
    type Message: Send + 'static;

    /// Something happened to a socket, a listener or a write.
    fn event(&mut self, core: &mut Core<Self::Message>, event: Event<'_>);

    /// A message arrived from core `from`, or (from the own index) the result of a background job.
    fn message(&mut self, core: &mut Core<Self::Message>, from: usize, message: Self::Message);

    /// A timer that was set is due; it is clear now.
    fn timer(&mut self, core: &mut Core<Self::Message>, timer: TimerId);

    /// Called once a turn, after everything that had arrived was handed over.
    fn turn_end(&mut self, core: &mut Core<Self::Message>) -> Next;

    /// The process was asked to stop: stop listening, finish what was begun. Called once.
    fn shutdown(&mut self, core: &mut Core<Self::Message>);

    /// Whether nothing is left to do after `shutdown`. Asked every turn from then on; the cores end
    /// together when all say so, their mailboxes and listeners are empty and their background jobs
    /// are done.
    fn drained(&self) -> bool;
}

/// Whether a core may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do until something happens.
    Sleep,
    /// Come back without sleeping: a long job goes on in the next turn.
    Again,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection was accepted; it is not adopted yet. The descriptor is non-blocking and
    /// close-on-exec.
    Accepted {
        /// By which listener.
        listener: ListenerId,
        /// The connection.
        socket: OwnedFd,
        /// The other side.
        peer: PeerAddr,
    },
    /// Bytes arrived. They lie in a buffer of the core's, which starts at a multiple of 64, and are
    /// gone when the handler returns.
    Received {
        /// At which socket.
        socket: Socket,
        /// The bytes; never empty.
        bytes: &'a [u8],
    },
    /// Nothing will be received any more, unless [`Core::receive`] is called again after a pause.
    ReceiveEnded {
        /// At which socket.
        socket: Socket,
        /// Why.
        reason: ReceiveEnd,
    },
    /// A send is over.
    Sent {
        /// On which socket.
        socket: Socket,
        /// What was sent, to be recycled.
        outgoing: Box<Outgoing>,
        /// Whether all of it was taken by the kernel.
        result: io::Result<()>,
    },
    /// A write to a file, or a sync, is over.
    Written {
        /// What the caller named it by.
        token: u64,
        /// Whether all of it is as durable as the file's mode promises. After an error nothing can
        /// be said about the file.
        result: io::Result<()>,
    },
    /// A socket that [`Core::close`] was called for is closed, all its operations ended. Nothing
    /// comes from it any more.
    Closed {
        /// Which.
        socket: Socket,
    },
}

/// Why receiving ended.
#[derive(Debug)]
pub enum ReceiveEnd {
    /// The other side sent all that it will send.
    PeerClosed,
    /// [`Core::pause`] took effect.
    Paused,
    /// The connection broke.
    Failed(io::Error),
}
