//! What the store does, on real files and on disks that fail.
//!
//! One program for all files: each program more would link the whole project once more. What
//! changes or counts something of the whole process stands apart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod ahead;
mod deletes;
mod dimensions;
mod failed_syncs;
mod faults;
mod hub;
mod interrupted;
mod likeness;
mod marks;
mod model;
mod on_disk;
mod recovery;
mod refusals;
mod relaxed;
mod resharding;
mod segments;
mod support;
mod vectors;
mod writes;
