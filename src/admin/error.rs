//! Why an admin port can't be served.

use std::net::SocketAddr;

/// Why the admin port can't be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address can't be listened on.
    #[error(
        "admin port: can't listen on {address}: {source}; --admin gives this port another \
         address, --admin off serves none"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread can't be started.
    #[error(
        "admin port: can't start its thread: {source}; allow this user more processes \
         (`ulimit -u`), or the service more tasks (systemd TasksMax=)"
    )]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}
