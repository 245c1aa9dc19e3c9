//! What the process takes of its host, and what the host has left.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::all_cores::Used;

/// What the process takes, and what there is.
pub(crate) struct Host {
    pub(crate) used: Used,
    pub(crate) open_files: Option<u64>,
    pub(crate) open_files_limit: Option<u64>,
    /// Bytes that a user's process may still write to the data folder's filesystem, and all of it.
    pub(crate) disk: Option<(u64, u64)>,
    /// Bytes of memory that the host could give, and all of it.
    pub(crate) memory: Option<(u64, u64)>,
}

impl Host {
    /// Reads it. Cost: a few system calls, and a list of the open files before Linux 6.2.
    pub(crate) fn read(data: &Path) -> Self {
        let disk = rustix::fs::statvfs(data).ok();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            used: Used::read(),
            open_files: open_files(),
            open_files_limit: getrlimit(Resource::Nofile).current,
            disk: disk.map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)),
            memory: field(&meminfo, "MemAvailable").zip(field(&meminfo, "MemTotal")),
        }
    }
}

/// Since Linux 6.2 the folder's size is their number (proc_pid_fd(5)).
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match std::fs::metadata(folder).ok()?.len() {
        0 => std::fs::read_dir(folder).ok().map(|files| files.count() as u64),
        count => Some(count),
    }
}

/// A line of proc_meminfo(5), in bytes.
fn field(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       25276063 kB\nMemFree:   1 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(field(meminfo, "MemAvailable"), Some(1_024_000));
        assert_eq!(field(meminfo, "Mem"), None);
        assert_eq!(field(meminfo, "SwapFree"), None);
    }

    #[test]
    fn this_process_has_files_and_its_host_a_disk_and_memory() {
        let host = Host::read(Path::new("."));
        assert!(host.open_files > Some(2) && host.open_files_limit >= host.open_files);
        assert!(host.disk.is_some_and(|(free, all)| free <= all && all > 0));
        assert!(host.memory.is_some_and(|(free, all)| 0 < free && free <= all));
    }
}
