//! A server, its disk, its clock and its clients in one thread, moved by one seeded scheduler: to
//! find out what a store loses before anybody has it lose something.
//!
//! It drives the product's own code, from the bytes of a request to the blocks of the disk. Only
//! what is below is simulated: sockets, threads and the clock by `runtime`'s second backend, the
//! disk here. What clients are answered and what is there after every crash is compared with a
//! simple model.
//!
//! Promises: a run follows from its seed alone, whatever the host. So a failure is seen again by
//! its seed, and shrunk by leaving out what it does not need.

mod client;
mod clock;
mod coverage;
mod disk;
mod failure;
mod history;
mod model;
mod old;
mod operation;
mod plan;
mod random;
mod reply;
mod run;
mod shrink;

pub use coverage::Coverage;
pub use failure::{Failure, Kind};
pub use history::Entry;
pub use run::{LeftDisk, LeftOut, Outcome, run};
pub use shrink::{Shrunk, shrink};

#[cfg(test)]
mod tests;
