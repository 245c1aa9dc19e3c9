//! Load over TCP. Closed loop: so many connections, so many requests in flight on each, a new
//! request for every reply. Open loop: requests due at a fixed rate, whatever became of earlier
//! ones.
//!
//! Promises: every reply is checked (number, status, payload), and one wrong answer fails the run;
//! refusals are counted by status; a latency runs from just before the send (of an open loop: from
//! when the request was due) to just after the receive that brought the reply; nothing is allocated
//! for a request once a run is under way, and a request costs the load's thread one send and one
//! receive, shared by all that are ready at once, so that the server is what is measured.
//!
//! Relies on `wire` for frames and on epoll; knows nothing of the client library, so that the
//! client can be measured against it. [`run()`] drives one [`Workload`] a thread as a [`Plan`] says
//! and returns a [`Report`].

mod connection;
mod cpu;
mod error;
mod handshake;
mod keys;
mod pacing;
mod plan;
mod profile;
mod recall;
mod report;
mod run;
mod scan;
mod workload;
mod workloads;

pub use cpu::{CpuTime, ServerCpu};
pub use error::LoadError;
pub use keys::{KeySpace, Keys, key_name};
pub use pacing::Pacing;
pub use plan::{Length, Plan};
pub use profile::{Profile, ProfileSoFar, StageTime};
pub use recall::Recall;
pub use report::{CpuPerRequest, Latency, Measured, Report};
pub use run::{IdleConnections, open_idle, run};
pub use scan::ScanError;
pub use workload::{Framing, Reply, Routes, Workload};
pub use workloads::{
    AgentHeartbeats, Associate, Echo, GridHeartbeat, Health, Learn, LegacyHealth, LegacyLearn, LegacyQuery,
    LegacySearch, MemcachedGet, MemcachedSet, Neighbors, Path, Query, RedisGet, RedisPing, RedisSet, RegisterAgents,
    Search, Spelling,
};

#[cfg(test)]
mod tests;
