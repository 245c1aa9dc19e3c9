//! Why a server could not start, or ended badly.

use std::net::SocketAddr;

use sutra_admin::AdminError;
use sutra_net::ListenError;
use sutra_runtime::RuntimeError;
use sutra_store::StoreError;

use crate::takeover_error::TakeoverError;

/// Why a server could not start, or ended badly. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The compat port's address can't be had.
    #[error("compat port: {0}; --compat gives this port another address, --compat off closes it")]
    Compat(#[source] ListenError),
    /// The admin port can't be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The host does not offer what a core's thread needs.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The data folder can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server that runs can't be taken over.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// Fewer open files are allowed than a server of this size needs.
    #[error(
        "this process may open {limit} files, a server with {cores} cores needs {needed} and one \
         more for each connection; raise the limit (`ulimit -n`, systemd LimitNOFILE=)"
    )]
    FileLimit {
        /// What is allowed.
        limit: u64,
        /// How many cores there are to be.
        cores: usize,
        /// What they need.
        needed: u64,
    },
    /// Two addresses to listen on are one.
    #[error(
        "this server is to listen on {earlier} and on {address}, which take the same port; \
         leave one of them out of --listen and --compat"
    )]
    ListenTwice {
        /// The one that comes too late.
        address: SocketAddr,
        /// The one that has the port.
        earlier: SocketAddr,
    },
    /// No address to listen on, or far too many.
    #[error(
        "this server is to listen on {count} addresses; \
         give it 1 to {most} with --listen and --compat"
    )]
    Ports {
        /// How many there are.
        count: usize,
        /// The most.
        most: usize,
    },
    /// More cores than there are CPUs.
    #[error(
        "--cores {wanted}: this process may use the CPUs {available}, one for each core; \
         ask for fewer, or add --no-pin to let cores share CPUs"
    )]
    TooManyCores {
        /// How many were asked for.
        wanted: usize,
        /// The CPUs that there are.
        available: String,
    },
    /// The store was made for another number of cores.
    #[error("{source}: leave --cores out, which takes the store's number, or start with {flags}")]
    StoredCores {
        /// What works on this host.
        flags: String,
        /// Which store, and both numbers.
        source: StoreError,
    },
    /// CPUs that are not this process's.
    #[error(
        "--cores {wanted}: this process may use the CPUs {available}; \
         choose among these, or change its affinity"
    )]
    Cores {
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: String,
    },
}

impl ServerError {
    /// The process's exit code: 2 for a wrong setting, 3 for what the host or the folder refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServerError::Cores { .. }
            | ServerError::TooManyCores { .. }
            | ServerError::ListenTwice { .. }
            | ServerError::Ports { .. } => 2,
            ServerError::Takeover(error) => error.exit_code(),
            ServerError::FileLimit { .. }
            | ServerError::Listen(_)
            | ServerError::Compat(_)
            | ServerError::Admin(_)
            | ServerError::Runtime(_)
            | ServerError::Store(_)
            | ServerError::StoredCores { .. } => 3,
        }
    }
}
