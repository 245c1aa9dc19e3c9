//! What an agent is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What happens to the nodes when their agent is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnStop {
    /// They go on serving, and the next agent on the folder adopts them.
    #[default]
    Leave,
    /// They are stopped, and started again by the next agent on the folder.
    Stop,
}

impl FromStr for OnStop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "leave" => Ok(Self::Leave),
            "stop" => Ok(Self::Stop),
            _ => Err("expected leave or stop".into()),
        }
    }
}

/// How long things may take, and how often they are done.
#[derive(Clone, Debug)]
pub struct Timings {
    /// A new node's time to answer its health; then the spawn has failed. Short of the time that a
    /// master waits for the answer.
    pub start: Duration,
    /// A node's time to finish what it has received, between TERM and KILL.
    pub drain: Duration,
    /// Between two looks at the health of a node that runs.
    pub health: Duration,
    /// How long a node's health may not answer before the agent says that something is wrong.
    pub silent: Duration,
    /// How long a node whose health does not answer may do nothing at all before it is killed.
    pub hung: Duration,
    /// The pause before a node is started again, the first time; it doubles.
    pub restart_pause: Duration,
    /// How often a node is started again within [`Timings::restart_window`].
    pub restarts: usize,
    /// Restarts longer ago than this do not count.
    pub restart_window: Duration,
    /// A call to the master in all.
    pub master: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(20),
            drain: Duration::from_secs(10),
            health: Duration::from_secs(5),
            silent: Duration::from_secs(15),
            hung: Duration::from_secs(30),
            restart_pause: Duration::from_millis(500),
            restarts: 3,
            restart_window: Duration::from_secs(600),
            master: Duration::from_secs(5),
        }
    }
}

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Its name, unique in the grid.
    pub id: String,
    /// The master's native address, `host:port`.
    pub master: String,
    /// Its folder: the list of nodes, their logs, and their data below it. Made where it does not
    /// exist.
    pub data: PathBuf,
    /// Storage nodes that it keeps running at most.
    pub max_nodes: u32,
    /// Where the master reaches it. Its nodes listen on the same address, on ports of their own.
    pub listen: SocketAddr,
    /// The host that others reach it and its nodes by; `None` for the address of `listen`, or for
    /// the host's name where that is every address.
    pub advertise: Option<String>,
    /// Where health, metrics and the nodes as JSON are served over HTTP; nowhere by default.
    pub admin: Option<SocketAddr>,
    /// What happens to the nodes when it is told to end.
    pub on_stop: OnStop,
    /// The program that is started as `PROGRAM serve …`; `None` for the one that runs.
    pub program: Option<PathBuf>,
    /// How long things take.
    pub timings: Timings,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            id: "agent".into(),
            master: "127.0.0.1:7001".into(),
            data: PathBuf::from("sutra-agent"),
            max_nodes: 8,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8001)),
            advertise: None,
            admin: None,
            on_stop: OnStop::Leave,
            program: None,
            timings: Timings::default(),
        }
    }
}
