//! The storage service: opcodes onto shards, one shard a core, fan-out and merge where a request concerns them all.
//!
//! Promises: a request that arrives at the wrong core is answered all the same, through its owner's mailbox; a write is answered when
//! it is as durable as the server says, and an association when both ends' cores know of it; what can't be done is answered with a reason;
//! SIGTERM loses nothing that was received.
//!
//! Relies on `store` for the log and the tables, on `net` for connections, on `runtime` for cores. [`start`] builds it all from a
//! [`ServerConfig`].

mod config;
mod delete;
mod error;
mod expansion;
mod fan_out;
mod flush;
mod frontier;
mod imports;
mod learn;
mod legacy;
mod listing;
mod look;
mod mailbox;
mod message;
mod most_confident;
mod namespaces;
mod neighbourhood;
mod path;
mod process;
mod query;
mod report;
mod run_queue;
mod search;
mod service;
mod shortest;
mod start;
mod stats;
mod traversal;
mod traversing;
mod visited;
mod within;

pub use config::ServerConfig;
pub use error::ServerError;
pub use imports::ImportRecord;
pub use mailbox::mailbox_bytes;
pub use report::StartReport;
pub use start::{Server, allow_all_files, start};
pub use sutra_compat::Numbering;
pub use sutra_net::Limits;
pub use sutra_runtime::{Cores, Spin};
pub use sutra_store::MAX_IMPORTS;
