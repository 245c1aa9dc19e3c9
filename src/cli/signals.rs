//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.

use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Failure, SIGNALLED};

/// Calls `end` in a thread of its own for each signal that comes; where it says `false`, because it was asked before or there is nothing
/// to end in order, the process ends.
pub(crate) fn heed(mut end: impl FnMut(i32) -> bool + Send + 'static) -> Result<(), Failure> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).map_err(|error| Failure::Host(format!("cannot receive signals: {error}")))?;
    let heeding = move || {
        for signal in signals.forever() {
            if !end(signal) {
                std::process::exit(SIGNALLED + signal);
            }
        }
    };
    let spawned = thread::Builder::new().name("signals".into()).spawn(heeding);
    spawned.map(|_| ()).map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))
}
