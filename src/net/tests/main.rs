//! What the front does, on real sockets.
//!
//! One program for all files: each program more would link the whole project once more. What
//! changes or counts something of the whole process stands apart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod closing;
mod deadlines;
mod either;
mod opening;
mod parts;
mod passing;
mod postbox;
mod replies;
mod room;
mod silence;
mod slow;
mod support;
mod translated;
