//! What the crate promises, held by the old server's own files and by bytes of any kind.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod damage;
mod golden;
mod support;
mod wal;
