//! A core's sockets: one file for receiving, one for sending, one for a socket's life from end to
//! end.
//!
//! Calls from above and completions from below come to [`Sockets`]. It asks the backend for what
//! follows, and returns what is to be told; it calls no handler.
//!
//! A socket has at most one receive and one send with the kernel. Both are awaited before its
//! descriptor is closed, since close(2) ends no operation and a reused descriptor would inherit it.

pub(crate) mod handle;
mod life;
pub(crate) mod outgoing;
mod pool;
mod receive;
mod send;
mod slot;
mod table;

use std::collections::VecDeque;

pub use handle::Socket;
pub use outgoing::Outgoing;
pub(crate) use outgoing::Parts;
use pool::OutgoingPool;
use table::SocketTable;

/// All sockets of a core, and what its next sends are built in.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    table: SocketTable,
    pool: OutgoingPool,
    /// What needs no completion, told in the same turn or the next.
    pending: VecDeque<Pending>,
}

/// An event that arises without a completion.
#[derive(Debug)]
enum Pending {
    Closed(Socket),
    Withdrawn(Socket),
    Paused(Socket),
    /// An empty send, or one whose socket is gone: nothing to do.
    Sent(Socket, Box<Outgoing>),
}

impl Sockets {
    /// How many there are, those that are closing included.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many events wait that no completion will announce.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }
}
