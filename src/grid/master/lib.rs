//! The master: knows which agents there are and which storage nodes they keep, has them start and
//! stop nodes, and tells who watches what happens.
//!
//! One core on the runtime and net layers. Either port speaks either protocol: archives, as every
//! native client, and the old grid's bincode. What is asked of agents (starting and stopping nodes)
//! goes from a thread of its own, so that no agent that hangs holds up a heartbeat.
//!
//! Promises:
//! - A change is in the log when it is answered, and known after a restart. A list may show it a
//!   commit earlier. Of agents that have not answered at their endpoints nothing is kept.
//! - After a restart agents and nodes are as they were last known, and agents have their whole time
//!   to send a heartbeat.
//! - A name is the node's that has had it longest. What an agent reports last is true of its nodes.
//! - A clock that jumps makes nobody offline. Nothing is asked of an agent that is offline.
//! - Every queue has a bound.
//!
//! Relies on `store` for the log: each agent and each node is a record in it. Heartbeats are not
//! logged. It knows no agent's code, only their messages.

mod answer;
mod api;
mod config;
mod core;
mod errands;
mod error;
mod events;
mod forward;
mod journal;
mod legacy;
mod message;
mod overview;
mod proving;
mod records;
mod registry;
mod service;
mod start;
mod start_report;
mod stopping;
mod summary;
mod watch;

pub use config::MasterConfig;
pub use error::MasterError;
pub use start::{Master, start};
pub use start_report::StartReport;
pub use sutra_net::Limits;
