//! The grid's master: a registry of agents and their storage nodes, on one core of the same runtime, network and log as a storage server.
//!
//! Promises: what it has answered is in its log and known after a restart; an agent's health goes by the age of its heartbeats and by no host's clock;
//! nothing is started on an agent that is offline or full; a lost or repeated report changes nothing that the next one does not put right.
//!
//! Both its ports speak the native wire and the old grid's bincode; a connection is told apart by its first bytes.

mod config;
mod errands;
mod error;
mod events;
mod legacy;
mod message;
mod records;
mod registry;
mod service;
mod start;

pub use config::MasterConfig;
pub use error::MasterError;
pub use start::{Master, StartReport, start};
