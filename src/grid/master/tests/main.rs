//! What a master in this process answers.
//!
//! One program for all files: each program more would link the whole project once more. What
//! changes or counts something of the whole process stands apart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod native_protocol;
mod old_protocol;
mod support;
