//! Why a master could not start, or ended badly.

use std::io;
use std::net::SocketAddr;

use sutra_net::ListenError;
use sutra_runtime::RuntimeError;
use sutra_store::StoreError;

/// Why a master could not start, or ended badly. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The address can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The compat port's address can't be had.
    #[error("compat port: {0}; --compat gives this port another address, --compat off leaves it away")]
    Compat(#[source] ListenError),
    /// Two addresses to listen on are one.
    #[error("the master is to listen on {address} twice; leave one of them out of --listen and --compat")]
    ListenTwice {
        /// The address.
        address: SocketAddr,
    },
    /// The host does not offer what the core's thread needs.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The data folder can't be used: in use by another master, damaged, or not to be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of the registry can't be read.
    #[error("the registry's record {name} can't be read: {problem}; was the folder written by a newer version?")]
    Record {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The folder is a storage server's.
    #[error("the data folder holds {name}, which is no agent and no node; it is a storage server's folder: give the master one of its own with --data")]
    Foreign {
        /// One of its concepts.
        name: String,
    },
    /// Heartbeats would be late before they are due.
    #[error("an agent is to send a heartbeat every {heartbeat} ms, be degraded after {degraded} ms and offline after {offline} ms; each must be longer than the one before")]
    Ages {
        /// How often heartbeats come, in milliseconds.
        heartbeat: u128,
        /// After how long without one an agent is degraded.
        degraded: u128,
        /// After how long it is offline.
        offline: u128,
    },
    /// No CPU, or one that is not this process's.
    #[error("--core {wanted}: this process may use the CPUs {available}")]
    Core {
        /// What was asked for.
        wanted: usize,
        /// What there is.
        available: String,
    },
    /// The thread that speaks to agents can't be started.
    #[error("the thread that speaks to agents can't be started: {0}")]
    Errands(#[source] io::Error),
}

impl MasterError {
    /// The process's exit code: 2 for a wrong setting, 3 for what the host or the folder refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ages { .. } | Self::Core { .. } | Self::ListenTwice { .. } => 2,
            _ => 3,
        }
    }
}
