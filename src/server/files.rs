//! How many files a server may open, and how many it needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::ServerError;

/// Open files that a server needs whatever its size: the standard streams, the lock, the manifest,
/// and some for connections.
const FILES: u64 = 32;
/// Open files that a core needs: its two rings, its bells, listeners, folder and log segments, and
/// some to spare.
const FILES_PER_CORE: u64 = 20;
/// Open files that connections leave free for what is opened later: the next manifest, and for each
/// core its next segment and checkpoint.
const RESERVED: u64 = 8;
const RESERVED_PER_CORE: u64 = 6;

/// Open files that connections leave free.
pub(crate) fn reserved_files(cores: usize) -> u64 {
    RESERVED + RESERVED_PER_CORE * cores as u64
}

/// Allows this process as many open files as it can get.
///
/// # Errors
/// They are too few for so many cores.
pub(crate) fn allow_enough(cores: usize) -> Result<(), ServerError> {
    let needed = files_needed(cores);
    match allow_all_files().filter(|limit| *limit < needed) {
        Some(limit) => Err(ServerError::FileLimit { limit, cores, needed }),
        None => Ok(()),
    }
}

/// Raises the soft limit on open files, which many hosts set to 1,024 for programs that use
/// select(2), to the hard one: every connection is a file. Returns how many files that allows;
/// `None` for no limit.
pub fn allow_all_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Refused only if another thread lowered the hard limit just now; then the soft one stays as it
    // is.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok();
    if raised { limit.maximum } else { limit.current }
}

/// Open files that a server of so many cores needs, its connections not counted.
pub fn files_needed(cores: usize) -> u64 {
    FILES + FILES_PER_CORE * cores as u64
}
