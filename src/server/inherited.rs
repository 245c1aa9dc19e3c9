//! Sockets that the service manager has opened for this server.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Listening sockets that were handed over. Those of a port take the place of the addresses that
/// the server is configured to open for it.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For native clients.
    pub native: Vec<TcpListener>,
    /// For clients of the old protocol.
    pub compat: Vec<TcpListener>,
}

/// Where they listen. One that can't tell is no socket, and refused when it is to be served.
pub(crate) fn addresses(sockets: &[TcpListener]) -> Vec<SocketAddr> {
    sockets.iter().map(TcpListener::local_addr).filter_map(io::Result::ok).collect()
}
