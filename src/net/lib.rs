//! Connections: from accepted sockets to requests, and from replies to sends. Knows frames and no
//! concepts: it serves any [`Service`].
//!
//! Promises: every frame is checked before the service sees it. Requests of one connection may be
//! answered in any order. Replies that were gathered in one turn of the core's loop leave in one
//! send a connection. A connection owns a buffer only while bytes are in it. Every buffer, count
//! and wait has a bound ([`Limits`]). Bytes that are no frame cost the peer its connection, and
//! nobody else anything.
//!
//! Relies on `runtime` for sockets, timers and the other cores, and on `wire` for frames and the
//! handshake.

mod census;
mod connection;
mod context;
mod counters;
mod envelope;
mod exchange;
mod front;
mod handshake;
mod in_flight;
mod input;
mod io;
mod latencies;
mod limits;
mod listener;
mod loads;
mod log_limit;
mod names;
mod outbox;
mod output;
mod passed;
mod passing;
mod pools;
mod ports;
mod postbox;
mod protocol;
mod service;
mod silence;
mod slots;
mod slow;
mod translator;
mod unsent;
mod waiting;
mod watch;

pub use context::Context;
pub use envelope::Envelope;
pub use front::Front;
pub use handshake::Identity;
pub use in_flight::ReplyTo;
pub use io::PartSent;
pub use limits::Limits;
pub use listener::{BACKLOG, ListenError, first_overlap, inherit, listen};
pub use loads::Loads;
pub use log_limit::LogLimit;
pub use names::{Name, Never, ServiceMessage};
pub use output::Body;
pub use passed::{PASSING, Passed, Unreadable};
pub use passing::{Held, Parted};
pub use postbox::{BackgroundJob, Postbox, background_job};
pub use service::{Flow, Request, Service, Timer, Token};
pub use slow::{SlowRequest, SlowRequests, SlowStages};
pub use sutra_runtime::{Histogram, Stage};
pub use translator::{Answer, Manner, Overlap, Translated, Translator, Wording};
