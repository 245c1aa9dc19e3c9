//! What the runtime does, on real rings.
//!
//! One program for all files: each program more would link the whole project once more. What
//! changes or counts something of the whole process stands apart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod cores;
mod echo;
mod files;
mod pulse;
mod sockets;
mod support;
mod time;
mod withdrawn;
