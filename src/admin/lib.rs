//! HTTP for people and Prometheus: what a server, a grid's master or an agent shows of itself.
//!
//! A thread of its own, bound to no CPU, asks a [`Source`] anew for every request. It only reads.
//! It can end, and nothing else notices.
//!
//! Promises: few requests are answered at a time; the others wait for them, and none for long.
//! Connections are bounded in number and time (`listener.rs`). A source that does not answer in
//! time is said to be silent, and not guessed at.
//!
//! Relies on `runtime` for what cgroups say, and on no other layer of ours.

mod admin;
mod answer;
mod asked;
mod error;
mod exposition;
mod host;
mod host_name;
mod listener;
mod metric;
mod page;
mod process;
mod refusal;
mod routes;
mod version;
mod view;

pub use admin::{Admin, bind, reached_at, start};
pub use asked::Asked;
pub use error::AdminError;
pub use host::Host;
pub use metric::{Metric, NativeBuckets, Series};
pub use process::Used;
pub use refusal::{Code, Refusal};
pub use routes::{Parameter, Routes};
pub use version::{build_info, built_from};
pub use view::{Detail, Readiness, Source, View};
