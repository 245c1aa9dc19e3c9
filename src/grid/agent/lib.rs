//! The agent: one process a host, which starts storage nodes, keeps them alive, and tells the
//! master of them.
//!
//! Promises:
//! - A node is on the list on disk before its process exists, and off it when its start has failed;
//!   then nothing of it is left.
//! - A node is reported as running only while its health answers.
//! - The agent's end, however it comes, leaves every node serving. An agent that comes back adopts
//!   the nodes that still run: by a pidfd, after pid, start time, command line and data folder have
//!   all been found to be the node's; and it starts those that should run and do not.
//! - A signal goes to a node through its pidfd, so never to a process that has been given its pid
//!   since.
//! - A node that ends by itself is started again, and after three times within ten minutes no more;
//!   each time it is said why. The agent's own end gives it no further times.
//! - A node that ends while its disk is full is tried again until there is room: that does not
//!   count.
//! - A node that neither answers nor does anything for half a minute is ended, and started again as
//!   any that has ended.
//! - A node has limits, priority and environment of its own, not its agent's; its files and folders
//!   are its user's alone.
//! - A master that is away, or that refuses, changes nothing for the nodes.
//!
//! Relies on `client` for the master (`link`) and for the nodes' health, on `compat` for what the
//! master asks (`listener`), and on Linux: pidfds, `/proc`, flock, cgroup v2 where it is delegated.
//! It is an ordinary tokio process without a core of its own.

mod agent;
mod asked;
mod backoff;
mod config;
mod core;
mod cpus;
mod data_folder;
mod disk_space;
mod error;
mod folder;
mod health;
mod host;
mod housekeeping;
mod identity;
mod launch;
mod life;
mod link;
mod list;
mod listener;
mod live_process;
mod logs;
mod memory;
mod mounts;
mod node;
mod orders;
mod overview;
mod paths;
mod ports;
mod process;
mod restarts;
mod standing;
mod supervisor;
mod surroundings;
mod table;

pub use agent::{Agent, AgentStart, run};
pub use config::{AgentConfig, OnStop, Timings};
pub use error::AgentError;
