//! Load over TCP. Closed loop: so many connections, so many requests in flight on each, a new
//! request for every reply. Open loop: requests due at a fixed rate, whatever became of earlier
//! ones.
//!
//! Promises: every reply is checked (number, status, payload), and one wrong answer fails the run.
//! Refusals are counted by status. A latency runs from just before the send to just after the
//! receive that brought the reply; in an open loop it runs from when the request was due. Once a
//! run is under way, nothing is allocated for a request. A request costs one send and one receive,
//! which all that are ready at once share. So the server is what is measured, and not the load.
//!
//! Relies on `wire` for frames and on epoll. It knows nothing of the client library, so the client
//! can be measured against it. [`run()`] drives one [`Workload`] a thread as a [`Plan`] says and
//! returns a [`Report`].

mod connection;
mod cpu;
mod error;
mod handshake;
mod keys;
mod operations;
mod pacing;
mod plan;
mod profile;
mod recall;
mod report;
mod run;
mod scan;
mod workload;

pub use cpu::{CpuTime, ServerCpu};
pub use error::LoadError;
pub use keys::{KeySpace, Keys, key_name};
pub use operations::{
    AgentHeartbeats, Associate, Echo, GridHeartbeat, Health, Learn, LegacyHealth, LegacyLearn,
    LegacyQuery, LegacySearch, Neighbors, Path, Query, RedisPing, RegisterAgents, Search, Spelling,
    ValueGet, ValueSet, ValueStore,
};
pub use pacing::Pacing;
pub use plan::{Length, Plan};
pub use profile::{Profile, ProfileSoFar, StageTime};
pub use recall::Recall;
pub use report::{CpuPerRequest, Latency, Measured, Report};
pub use run::{IdleConnections, open_idle, run};
pub use scan::ScanError;
pub use workload::{Framing, Reply, Routes, Workload};

#[cfg(test)]
mod tests;
