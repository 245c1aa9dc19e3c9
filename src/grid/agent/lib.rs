//! The agent: one process a host, which starts storage nodes, keeps them alive, and tells the
//! master of them.
//!
//! Promises:
//! - A node is on the list on disk before its process exists. Where its start fails it is taken off
//!   again, and nothing of it is left.
//! - A node is reported as running only while its health answers.
//! - However the agent ends, every node goes on serving. An agent that comes back adopts the nodes
//!   that still run, and starts those that should run and do not. A process is adopted only where
//!   its pid, start time, command line and data folder are all the node's.
//! - A signal goes to a node through its pidfd, so never to another process with its pid.
//! - A node that ends by itself is started again, at most three times within ten minutes. Each time
//!   the reason is told. A restart of the agent does not reset that count.
//! - A node that ends while its disk is full is tried again until there is room. That does not
//!   count.
//! - A node that neither answers nor does anything for half a minute is killed and started again.
//! - A node has limits, priority and environment of its own, not its agent's. Its files and folders
//!   are its user's alone.
//! - A master that is away, or that refuses, changes nothing for the nodes.
//!
//! `agent.rs` starts and ends it. `listener.rs` takes what the master asks, `link.rs` tells the
//! master, `supervisor.rs` starts and stops nodes, and `life.rs` looks after one. What is known of
//! nodes is in `table.rs`. Files import in one direction, downwards in this order.
//!
//! Relies on `client` for the master and for the nodes' health, on `compat` for what the master
//! asks, and on Linux: pidfds, `/proc`, flock, cgroup v2 where it is delegated. It is an ordinary
//! tokio process without a core of its own. It knows neither the store nor the master.

mod agent;
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
mod new_node;
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
