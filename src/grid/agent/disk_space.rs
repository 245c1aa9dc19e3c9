//! Whether a disk has room. A node that ends on a full disk is not to blame.

use std::path::Path;

use rustix::fs::statvfs;

/// With less than this nothing can be started: a manifest, a lock, a line of a log.
const LEAST: u64 = 1 << 20;

/// Whether the filesystem of a folder, or of the nearest one that is there, has next to no room
/// left.
pub(crate) fn is_full(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    // A disk that does not say is not taken for full.
    there.and_then(|folder| statvfs(folder).ok()).is_some_and(|disk| {
        // Some filesystems count nothing: then they are not full.
        let has_no_room = disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST;
        let has_no_files = disk.f_files > 0 && disk.f_favail == 0;
        has_no_room || has_no_files
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_counted_or_something_is_left_a_disk_is_not_full() {
        assert!(!is_full("/proc/self/not-there".as_ref()));
        assert!(!is_full(&std::env::temp_dir().join("not/there")));
    }
}
