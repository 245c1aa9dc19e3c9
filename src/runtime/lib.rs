//! One pinned thread a core, each with its own `io_uring`, and the little that cores share.
//!
//! A [`Handler`] is told what happened ([`Event`]) and queues what shall happen ([`Core`]). Nothing
//! blocks. No connection has a task of its own, and a request in steady state costs no allocation
//! here. Cores talk through bounded mailboxes.
//!
//! Below [`Core`] stands a backend (`backend.rs`). One is a simulation's ([`SimulatedCores`]). The
//! one that serves is on Linux. Its threads run
//! tokio-uring's runtime, in which tokio awaits connections and timers and parks the thread. Beside
//! its ring each thread has a second one, the data ring, which moves socket bytes and log writes.
//!
//! Promises: what is queued in one turn is submitted with one system call. Memory that the kernel
//! may touch is kept alive until the kernel is done with it. A completion of a closed socket never
//! reaches a later one. Relies on Linux 6.1 or later. Nothing above this crate names tokio-uring or
//! io-uring.

mod backend;
mod cgroup;
mod config;
mod core;
mod cpus;
mod data_file;
mod ending;
mod error;
mod event;
mod file_error;
mod file_io;
mod folder;
mod handler;
mod histogram;
mod linux;
mod listener;
mod mapping;
mod metrics;
mod operation;
mod placement;
mod postbox;
mod pulse;
mod region;
mod shared;
mod simulated;
mod sockets;
mod stages;
mod start;
mod timers;
mod turn;
mod write_mode;
mod writes;

pub use cgroup::{Cgroup, CgroupVersion, Quota, cgroups, memory_limit, tightest_quota};
pub use config::{Config, Spin};
pub use core::Core;
pub use cpus::{Cores, allowed_cpus, available_cpus, cpu_quota};
pub use data_file::{DataFile, Durability};
pub use error::{RuntimeError, StartError};
pub use event::{Event, ListenerId, Next, PeerAddr, ReceiveEnd};
pub use file_error::{
    error_number, in_context, is_of_device, is_out_of_descriptors, is_out_of_space,
};
pub use folder::{FileIdentity, Folder};
pub use handler::Handler;
pub use histogram::Histogram;
pub use listener::Listener;
pub use metrics::{CoreMetrics, Features};
pub use placement::{Placement, by_use};
pub use postbox::{Job, Postbox};
pub use pulse::Pulse;
pub use region::{Region, RegionSlice, RegionWriter};
pub use simulated::{
    Chance, ConnectionId, Network, SimulatedConfig, SimulatedCores, SimulatedFile, Simulation,
    Step, VirtualClock,
};
pub use sockets::{Outgoing, Socket};
pub use stages::Stage;
pub use start::{Prepared, Running, prepare, start};
pub use timers::TimerId;
pub use write_mode::WriteMode;
