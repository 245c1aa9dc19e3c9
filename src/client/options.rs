//! The options of a client, and their defaults.

use std::time::Duration;

/// See the methods of [`crate::Connect`] of the same names.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) pool_size: usize,
    pub(crate) spin: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), retries: 3, pool_size: 1, spin: Duration::ZERO }
    }
}
