//! What an agent reads of a node's data folder: whether there is a store in it, and which process
//! has it.
//!
//! The agent knows no more of a store than the names of these two files (`src/store/manifest.rs`,
//! `src/store/lock.rs`), and opens neither to write.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const MANIFEST: &str = "manifest.json";
const LOCK: &str = "lock";
/// What is read of a lock, which may be anybody's file.
const MOST_OF_LOCK: u64 = 4096;

/// Whether the folder holds a store already.
pub(crate) fn has_store(folder: &Path) -> bool {
    folder.join(MANIFEST).exists()
}

/// The process that says in the folder's lock that it has the folder.
pub(crate) fn holder(folder: &Path) -> Option<u32> {
    let mut text = String::new();
    let lock =
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open(folder.join(LOCK)).ok()?;
    lock.take(MOST_OF_LOCK).read_to_string(&mut text).ok()?;
    text.lines().next()?.parse().ok()
}
