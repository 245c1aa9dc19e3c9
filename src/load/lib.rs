//! Generates load over TCP. In a closed loop each connection keeps a fixed number of requests in
//! flight: every reply is followed by a new request. In an open loop requests are due at a fixed
//! rate, whether or not earlier ones were answered.
//!
//! Promises: every reply is checked (number, status, payload), and one wrong answer fails the run.
//! Refusals are counted by status. A latency runs from just before the send to just after the
//! receive that brought the reply; in an open loop it runs from when the request was due. Once a
//! run is under way, writing a request allocates nothing; what spells a new name for each request
//! is the exception ([`Associate`], [`KeySpace::Distinct`]). A request costs at most one send and
//! one receive, and requests that are ready together share them. So the server is what is measured,
//! and not the load.
//!
//! Relies on `wire` for frames and on epoll. It knows nothing of the client library, so the client
//! can be measured against it. [`run()`] drives one [`Workload`] on each thread as a [`Plan`] says,
//! and returns a [`Report`].

mod connection;
mod cpu;
mod error;
mod handshake;
mod keys;
mod measured;
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
pub use measured::Measured;
pub use operations::{
    AgentHeartbeats, Associate, Echo, GridHeartbeat, Health, Learn, LegacyHealth, LegacyLearn,
    LegacyQuery, LegacySearch, Neighbors, Path, Query, RedisPing, RegisterAgents, Search, Spelling,
    ValueGet, ValueSet, ValueStore,
};
pub use pacing::Pacing;
pub use plan::{Length, Plan};
pub use profile::{Profile, ProfileSoFar, StageTime};
pub use recall::Recall;
pub use report::{CpuPerRequest, Latency, Report};
pub use run::{IdleConnections, open_idle, run};
pub use scan::ScanError;
pub use workload::{Framing, Reply, Routes, Workload};

#[cfg(test)]
mod tests;
