//! The grid: a master that knows which storage nodes run on which hosts, and an agent on each host
//! that keeps them alive.
//!
//! It is an inventory and a supervisor. It moves no data, elects nobody and splits nothing.
//!
//! Promises: what the master has answered is in its log and known after a restart; a node is
//! reported as running only when its health answers; an agent's end, and the master's, leave every
//! node serving; nothing is spawned that is not on the agent's list before its process exists.
//!
//! Relies on `net` and `store` for the master, which is a service like the storage service, and on
//! `client` for the agent, which is an ordinary process beside the nodes that it supervises.

pub mod admin;
mod admin_listener;
pub mod agent;
pub mod master;

use rustix::fs::Mode;

/// Has all files and folders that this process makes from now on be its user's alone.
pub fn write_privately() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
