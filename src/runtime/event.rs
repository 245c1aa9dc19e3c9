//! What a core tells its handler.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::sockets::handle::Socket;
use crate::sockets::outgoing::Outgoing;

/// One of a core's listeners; the handler decides what each number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u8);

/// The other side of an accepted connection.
pub type PeerAddr = SocketAddr;

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
    /// Nothing will be received any more, unless [`crate::Core::receive`] is called again after a
    /// pause.
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
    /// A socket that [`crate::Core::withdraw`] was called for has nothing under way any more.
    /// Nothing comes from it any more.
    Withdrawn {
        /// Which.
        socket: Socket,
        /// Its descriptor.
        fd: OwnedFd,
        /// What was being sent, where the kernel has not taken all of it.
        unsent: Option<Box<Outgoing>>,
    },
    /// A socket that [`crate::Core::close`] was called for is closed, all its operations ended.
    /// Nothing comes from it any more.
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
    /// [`crate::Core::pause`] took effect.
    Paused,
    /// The connection broke.
    Failed(io::Error),
}
