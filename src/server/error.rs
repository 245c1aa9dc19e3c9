//! Why a server could not start, or ended badly.

use sutra_net::ListenError;
use sutra_runtime::RuntimeError;
use sutra_store::StoreError;

/// Why a server could not start, or ended badly. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The compat port's address can't be had.
    #[error("compat port: {0}; --compat gives this port another address, --compat off leaves it away")]
    Compat(#[source] ListenError),
    /// The host does not offer what a core's thread needs.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The data folder can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More cores, or others, than there are.
    #[error(
        "--cores {wanted}: this process may use CPUs {available}; choose among these, or change its affinity or CPU quota"
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
            ServerError::Cores { .. } => 2,
            ServerError::Listen(_) | ServerError::Compat(_) | ServerError::Runtime(_) | ServerError::Store(_) => 3,
        }
    }
}
