//! The storage service: opcodes onto shards, one shard a core, fan-out and merge where a request
//! concerns them all.
//!
//! Promises: a request that arrives at the wrong core is answered all the same, through its owner's
//! mailbox. A write is answered when it is as durable as the server says; an association when the
//! cores of both its ends know of it. What can't be done is answered with a reason. SIGTERM loses
//! nothing that was received.
//!
//! Relies on `store` for the log and the tables, on `net` for connections, on `runtime` for cores.
//! [`start()`] builds it all from a [`ServerConfig`].

mod admin;
mod all_cores;
mod backups;
mod config;
mod core;
mod cores;
mod cpus;
mod crew;
mod error;
mod files;
mod imports;
mod inherited;
mod legacy;
mod paths;
mod ports;
mod reads;
mod report;
mod service;
mod simulated;
mod start;
mod takeover;
mod takeover_error;
mod trust;
mod unserved;
mod vectors;
mod writes;

pub use config::ServerConfig;
pub use core::mailbox::mailbox_bytes;
pub use error::ServerError;
pub use files::{allow_all_files, files_needed};
pub use imports::ImportRecord;
pub use inherited::Inherited;
pub use report::StartReport;
pub use simulated::{COMPAT, NATIVE, SimulatedServer};
pub use start::{End, Following, IdleTimeout, Server, has_store, start, start_on, take_over};
pub use sutra_compat::Numbering;
pub use sutra_net::{BACKLOG, Limits};
pub use sutra_runtime::{Cores, Pulse, Spin};
pub use sutra_store::MAX_IMPORTS;
pub use takeover::Departing;
pub use takeover_error::TakeoverError;
