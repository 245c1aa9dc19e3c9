//! Why an agent does not start, and why it refuses what it is asked for. Every text says what to
//! do.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sutra_wire::limits;

use sutra_admin::AdminError;

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A setting that is wrong.
    #[error("{setting} {problem}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Another agent has the folder.
    #[error(
        "the folder {} is in use by another agent ({holder}); \
         stop it, or give this one a folder of its own",
        folder.display()
    )]
    Locked {
        /// Which folder.
        folder: PathBuf,
        /// Which process.
        holder: String,
    },
    /// The list of nodes can't be read as one.
    #[error(
        "{} is damaged ({problem}); repair it, or move it away together with the nodes' data: \
         without it nobody looks after their processes",
        file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another folder has taken the place of the agent's.
    #[error(
        "{} is another folder than the one that this agent works in, which was moved or removed; \
         put that one back, or stop this agent and start it on the right folder",
        folder.display()
    )]
    Replaced {
        /// Which folder.
        folder: PathBuf,
    },
    /// Something about a file.
    #[error("cannot {action} {}: {source}{}", path.display(), cure(action))]
    File {
        /// What was tried.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address can't be listened on.
    #[error(
        "cannot listen on {address}: {source}; \
         is another agent running? choose another address with --listen"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The admin port can't be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl AgentError {
    /// The process's exit code: 2 for wrong usage, 3 for a host that refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting { .. } => 2,
            _ => 3,
        }
    }

    /// For `map_err`: what was tried on which file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// What the action that makes a folder is called.
pub(crate) const MAKE: &str = "create the folder";

/// What to do about a failed action, where that is known.
fn cure(action: &str) -> &'static str {
    if action == MAKE { "; choose another folder with --data" } else { "" }
}

/// Why a node is not started, or not stopped. The texts go to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the storage path {path:?} {problem}; leave it out for a folder of the node's own, \
         or name one below {}",
        root.display()
    )]
    Path { path: String, problem: String, root: PathBuf },
    #[error(
        "node {node} has the folder {path}, or one inside or around it; \
         stop that node first, or name another folder"
    )]
    PathTaken { path: String, node: String },
    #[error("node {node} of this agent has the name {name:?}; choose another")]
    NameTaken { name: String, node: String },
    #[error(
        "{name:?} can't be a node's name: use at most {} letters, digits, '-', '_' and '.', \
         and begin with no '.'",
        limits::MAX_LABEL
    )]
    Name { name: String },
    #[error("port {port} can't be used: {reason}; choose another, or leave it out for a free one")]
    Port { port: u32, reason: String },
    #[error(
        "no free port was found between {first} and {last}; stop some nodes, or ask for a port"
    )]
    NoPort { first: u16, last: u16 },
    #[error("cores {cores:?}: {problem}")]
    Cores { cores: String, problem: String },
    #[error(
        "the agent keeps {running} nodes and takes no more than {most} (--max-nodes); \
         stop one, or choose another agent"
    )]
    Full { running: usize, most: u32 },
    #[error("the agent's list is full of nodes that run; stop one")]
    ListFull,
    #[error("the agent is stopping; ask again when it is back")]
    Stopping,
    #[error("the agent's list can't be written, so nothing was started: {0}")]
    List(#[source] AgentError),
    #[error("cannot start the node: {0}")]
    Start(String),
    #[error(
        "node {node} has been started and reads its data: its health has not answered within \
         {time:?}; it goes on, and `sutra grid nodes` shows when it runs"
    )]
    Recovering { node: String, time: Duration },
    #[error("this agent has no node {node:?}; `sutra grid nodes` lists all")]
    Unknown { node: String },
    #[error("node {node} is still there: {problem}")]
    NotStopped { node: String, problem: String },
}

impl Refusal {
    /// Whether the request itself is wrong; otherwise this host refuses it.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Path { .. }
            | Self::PathTaken { .. }
            | Self::NameTaken { .. }
            | Self::Name { .. }
            | Self::Cores { .. }
            | Self::Unknown { .. } => true,
            Self::Port { port, .. } => *port > u32::from(u16::MAX),
            Self::NoPort { .. }
            | Self::Full { .. }
            | Self::ListFull
            | Self::Stopping
            | Self::List(_)
            | Self::Start(_)
            | Self::Recovering { .. }
            | Self::NotStopped { .. } => false,
        }
    }
}
