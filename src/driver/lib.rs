//! The loop that drives a shard on its core: commits, log space, marks, and looks at the data
//! folder.
//!
//! Promises: at most one commit is in flight. While there is no log space, it is asked for again.
//! What a segment holds is marked when it is full. The folder is looked at twice a second, where
//! that was asked for. Whoever drives a shard (the storage service, the grid's master) hands over
//! what ends, and decides what to tell.
//!
//! Relies on `store` for the shard and on `net` for writes, timers and the background thread.

mod driver;
mod status;

pub use driver::{Change, Commit, DriverTimer, Ended, Health, ShardDriver, hanging};
pub use status::status_of;
