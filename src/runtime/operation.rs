//! What passes between a core and the backend below it: what a socket shall receive, what can be
//! cancelled, what has completed.
//!
//! A socket has at most one receive and one send with the backend. So no operation needs a name of
//! its own: the socket and what it does are enough.

use rustix::io::Errno;

use crate::sockets::handle::Socket;

/// How many slots the table of sockets may have, and the table of writes: backends keep a slot's
/// number in 28 bits.
pub(crate) const MAX_SLOTS: u32 = 1 << 28;

/// What a socket's owner wants to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// One receive of at most so many bytes.
    Once(u32),
    /// Everything that comes.
    Always,
}

/// An operation that can be cancelled. It still completes, as what it had become by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The socket's receive.
    Receive(Socket),
    /// The socket's send.
    Send(Socket),
}

/// How many bytes were moved, or why none were.
pub(crate) type Outcome = Result<usize, Errno>;

/// A step of an operation is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Completion {
    /// Bytes arrived at a socket, or its receive ended, or both.
    Received {
        socket: Socket,
        outcome: Outcome,
        /// The buffer that the bytes are in.
        buffer: Option<u16>,
        /// Whether the receive goes on.
        more: bool,
    },
    /// A send went on as far as it came.
    Sent { socket: Socket, outcome: Outcome },
    /// So did a write to a file, or a sync.
    Written { write: u32, outcome: Outcome },
}
