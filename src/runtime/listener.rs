//! A listening socket, as a core takes it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};

/// A listening socket of a core: its own, or one that others have as well.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    /// Closing it resets no connection, so what its backlog holds at the end is left there.
    pub(crate) is_shared: bool,
}

impl Listener {
    /// One as another process has had it: `is_shared` where it stays open elsewhere.
    pub fn taken_over(socket: TcpListener, is_shared: bool) -> Self {
        Self { socket, is_shared }
    }

    /// Whether it stays open elsewhere when this process ends.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// A duplicate of a socket that stays open elsewhere when this process ends: with the service
    /// manager.
    pub fn shared(socket: TcpListener) -> Self {
        Self { socket, is_shared: true }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket, is_shared: false }
    }
}
