//! Waiting for what is to come, with a bound that only a broken program reaches.

use std::thread;
use std::time::{Duration, Instant};

use crate::raw::PATIENCE;

/// Between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until something is so.
///
/// # Panics
/// It is not so for longer than [`PATIENCE`].
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        thread::park_timeout(PAUSE);
    }
}
