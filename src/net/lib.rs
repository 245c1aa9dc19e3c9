//! Connections: from accepted sockets to requests, and from replies to sends. Knows frames and no
//! concepts: it serves any [`Service`].
//!
//! Promises: every frame is checked before the service sees it; requests of one connection may be
//! answered in any order; replies gathered in one turn of the core's loop leave in one send a
//! connection; a connection owns a buffer only while bytes are in it; every buffer, count and wait
//! has a bound ([`Limits`]); bytes that are no frame cost the peer its connection and nobody else
//! anything.
//!
//! Relies on `runtime` for sockets, timers and the other cores, and on `wire` for frames and the
//! handshake.

mod budget;
mod closing;
mod connection;
mod connections;
mod context;
mod counters;
mod handshake;
mod housekeeping;
mod in_flight;
mod input;
mod io;
mod limits;
mod listener;
mod log_limit;
mod names;
mod net;
mod opening;
mod output;
mod pools;
mod requests;
mod service;
mod silence;
mod translating;
mod translator;
mod waiting;

pub use context::{BackgroundJob, Context, Part, Postbox, background_job};
pub use io::Envelope;
pub use limits::Limits;
pub use listener::{ListenError, first_overlap, listen};
pub use log_limit::LogLimit;
pub use names::{Name, Never, ServiceMessage};
pub use net::Net;
pub use output::Body;
pub use service::{Flow, Identity, ReplyTo, Request, Service, Timer, Token};
pub use sutra_runtime::Stage;
pub use translator::{Answer, Loads, Manner, Overlap, Translated, Translator, Wording};
