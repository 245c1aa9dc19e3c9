//! What the tests of several layers need alike: an allocator that counts, a connection that
//! speaks the wire byte by byte, a terminal, and the wait for what is to come.
//!
//! Only ever a dev-dependency: nothing that ships knows it. Relies on `sutra-wire` for frames;
//! where something is not as a test expects, it panics.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

pub mod allocations;
pub mod raw;
pub mod terminal;
mod waiting;

pub use waiting::wait_until;
