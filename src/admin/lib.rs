//! HTTP for people and Prometheus: what a server, a grid's master or an agent shows of itself.
//!
//! A thread of its own, bound to no CPU, asks a [`Source`] anew for every request. It only reads.
//! It can end, and nothing else notices.
//!
//! Promises: few requests are answered at a time; the others wait for them, and none for long.
//! Connections are bounded in number and time (`listener.rs`). A source that does not answer in
//! time is said to be silent, and not guessed at.
//!
//! Relies on no layer of ours.

mod admin;
mod answer;
mod asked;
mod error;
mod host_name;
mod listener;
mod metric;
mod refusal;
mod routes;
mod view;

pub use admin::{Admin, bind, start};
pub use asked::Asked;
pub use error::AdminError;
pub use metric::{Metric, Series};
pub use refusal::{Code, Refusal};
pub use routes::{Parameter, Routes};
pub use view::{Detail, Readiness, Source, View};
