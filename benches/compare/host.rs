//! The facts about the host that bear on the figures.

use std::fs;

use serde::{Deserialize, Serialize};

/// The host of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) processor: String,
    pub(crate) cpus: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// Where the logs were written: file system and device.
    pub(crate) disk: String,
    pub(crate) virtual_machine: bool,
    /// The governor of the CPU's clock speed, if the kernel names one.
    pub(crate) governor: Option<String>,
}

impl Host {
    pub(crate) fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            cpuinfo
                .lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(": "))
        };
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            processor: field("model name")
                .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned()),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_bytes: memory().unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            disk: crate::process::target_folder()
                .ok()
                .and_then(|folder| disk(&folder))
                .unwrap_or_default(),
            virtual_machine: field("flags")
                .is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "hypervisor")),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }
}

fn memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// The file system and device of a folder: the mount with the longest matching path
/// (proc_pid_mounts(5)).
fn disk(folder: &std::path::Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let below = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    // Of mounts with equal paths the last one is visible.
    below
        .max_by_key(|fields| fields[1].len())
        .map(|fields| format!("{} on {}", fields[2], fields[0]))
}

/// The present time in UTC, to the minute.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()
}
