//! What is read of the old protocol, and what is written.
//!
//! One program for all files: each program more would link the whole project once more. What counts
//! something of the whole process stands apart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bincode;
mod golden;
mod grid;
mod hostile;
mod listing;
mod shapes;
mod support;

use sutra_testing::allocations::Counting;

// It counts each thread's own.
#[global_allocator]
static ALLOCATOR: Counting = Counting;
