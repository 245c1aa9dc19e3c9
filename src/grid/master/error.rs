//! Why a master could not start, or ended badly.

use std::net::SocketAddr;
use std::path::PathBuf;

use sutra_net::ListenError;
use sutra_runtime::RuntimeError;
use sutra_store::StoreError;

use sutra_admin::AdminError;

/// Why a master could not start, or ended badly. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The address can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The compat port can't be listened on.
    #[error("compat port: {0}; --compat gives this port another address, --compat off opens none")]
    Compat(#[source] ListenError),
    /// The admin port can't be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The host does not offer what the master's thread needs.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The data folder can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread can't be started.
    #[error(
        "can't start the thread that speaks to agents: {source}; allow this user more processes \
         (`ulimit -u`), or the service more tasks (systemd TasksMax=)"
    )]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// A record of the data folder can't be understood.
    #[error("{}: the record {name:?} can't be read: {problem}; {cure}", .folder.display())]
    Record {
        /// The data folder.
        folder: PathBuf,
        /// The record's name.
        name: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// Two addresses to listen on take the same port.
    #[error(
        "this master is to listen on {earlier} and on {address}, which take the same port; \
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
        "this master is to listen on {count} addresses; \
         give it 1 to {most} with --listen and --compat"
    )]
    Ports {
        /// How many there are.
        count: usize,
        /// The most.
        most: usize,
    },
    /// A CPU that is not this process's.
    #[error(
        "--cpu {wanted}: this process may use the CPUs {available}; \
         choose one of these, or leave the flag out"
    )]
    Cpu {
        /// What was asked for.
        wanted: usize,
        /// What there is.
        available: String,
    },
    /// Times that contradict each other.
    #[error("{0}")]
    Times(String),
}

impl MasterError {
    /// The process's exit code: 2 for a wrong setting, 3 for what the host or the folder refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ListenTwice { .. } | Self::Ports { .. } | Self::Cpu { .. } | Self::Times(_) => 2,
            Self::Listen(_)
            | Self::Compat(_)
            | Self::Admin(_)
            | Self::Runtime(_)
            | Self::Store(_)
            | Self::Thread { .. }
            | Self::Record { .. } => 3,
        }
    }
}
