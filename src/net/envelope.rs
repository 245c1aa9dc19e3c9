//! What the cores of a server send each other: connections, and the service's own messages.

use std::os::fd::OwnedFd;
use std::time::Duration;

use sutra_runtime::PeerAddr;

use crate::passing::Step;

/// What cores send each other.
pub enum Envelope<M> {
    /// A connection that is to be served by this core.
    HandOver(HandOver),
    /// Connections are to be passed on to another process.
    Step(Step),
    /// Connections may be silent for so long from here on.
    IdleTimeout(Option<Duration>),
    /// A message of the service's own, which this layer only carries.
    Service(M),
}

/// A connection on its way to the core that its client asked for, or that has the fewest: nothing
/// beyond Hello has been read from it.
pub struct HandOver {
    socket: OwnedFd,
    peer: PeerAddr,
    request: Option<u64>,
}

impl HandOver {
    /// `request` is the number of the Hello request, to be answered there; `None` for a connection
    /// of another protocol, which has none.
    pub(crate) fn new(socket: OwnedFd, peer: PeerAddr, request: Option<u64>) -> Self {
        Self { socket, peer, request }
    }

    /// The socket, its peer, and the number of the Hello request where there is one.
    pub(crate) fn into_parts(self) -> (OwnedFd, PeerAddr, Option<u64>) {
        (self.socket, self.peer, self.request)
    }
}
