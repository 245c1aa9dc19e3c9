//! What the process takes of its host, and what the host has left.

use std::path::Path;

use rustix::process::{Resource, getrlimit};
use sutra_runtime::memory_limit;

use crate::metric::{Metric, Series};
use crate::process::{self, Used};

/// What the process takes, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// CPU time and memory.
    pub used: Used,
    /// Files and sockets that are open.
    pub open_files: Option<u64>,
    /// How many may be; `None` for no limit.
    pub open_files_limit: Option<u64>,
    /// Bytes that a user's process may still write to the data folder's filesystem, and all of it.
    pub disk: Option<(u64, u64)>,
    /// Bytes of memory that the host could give, and all of it.
    pub memory: Option<(u64, u64)>,
    /// Bytes of memory that the process may take: what its cgroups allow, or the host has.
    pub memory_limit: Option<u64>,
}

impl Host {
    /// Reads it. Cost: a few system calls, and a list of the open files before Linux 6.2.
    pub fn read(data: &Path) -> Self {
        let disk = rustix::fs::statvfs(data).ok();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = field(&meminfo, "MemAvailable").zip(field(&meminfo, "MemTotal"));
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limit = memory_limit(Path::new("/"), &groups);
        Self {
            used: Used::read(),
            open_files: open_files(),
            open_files_limit: getrlimit(Resource::Nofile).current,
            disk: disk.map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)),
            memory,
            memory_limit: limit.into_iter().chain(memory.map(|(_, all)| all)).min(),
        }
    }

    /// Under the names that Prometheus's own clients use for a process, and ours for the rest.
    /// What the system does not tell is left out.
    pub fn metrics(&self) -> Vec<Metric> {
        let (disk_free, disk) = self.disk.unzip();
        let (memory_free, memory) = self.memory.unzip();
        let mut metrics = vec![
            Metric::gauge(
                "process_start_time_seconds",
                "When the process started, since 1970",
                process::started().as_secs_f64(),
            ),
            Metric::one(
                "process_cpu_seconds",
                "CPU time, user and system",
                Series::Counter(self.used.cpu.as_secs_f64()),
            ),
        ];
        let others = [
            ("process_resident_memory_bytes", "Memory that the process holds", self.used.resident),
            ("process_open_fds", "Files and sockets that are open", self.open_files),
            ("process_max_fds", "How many may be", self.open_files_limit),
            ("sutra_disk_free_bytes", "Free space for the data folder", disk_free),
            ("sutra_disk_size_bytes", "Its filesystem's size", disk),
            ("sutra_host_memory_available_bytes", "Memory that the host could give", memory_free),
            ("sutra_host_memory_bytes", "Memory of the host", memory),
            ("sutra_memory_limit_bytes", "Memory that the process may take", self.memory_limit),
        ];
        metrics.extend(
            others
                .into_iter()
                .filter_map(|(name, help, value)| Some(Metric::gauge(name, help, number(value?)))),
        );
        metrics
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus reads doubles")]
fn number(value: u64) -> f64 {
    value as f64
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
        assert!(host.memory_limit > Some(0) && host.memory_limit <= host.memory.unzip().1);
        assert_eq!(host.metrics().len(), 10, "the system tells all of it");
    }
}
