//! What the process is and has used.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// What the process has used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// CPU time, of all its threads.
    pub cpu: Duration,
    /// The same in the program and in the kernel, to a hundredth of a second.
    pub split: Option<(Duration, Duration)>,
    /// Bytes of memory.
    pub resident: Option<u64>,
}

impl Used {
    /// Reads it. Cost: a clock call and two small reads from procfs (memory, not disk).
    pub fn read() -> Self {
        let cpu = clock(ClockId::ProcessCPUTime);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Self {
            cpu,
            split: cpu_ticks(&stat).map(|(user, system)| (time(user), time(system))),
            resident: pages.map(|pages| pages * rustix::param::page_size() as u64),
        }
    }
}

/// When the process started, since 1970. Asked of the system once, so that it never changes.
pub(crate) fn started() -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_boot = clock(ClockId::Boottime);
        let age = started_ticks(&stat)
            .map_or(Duration::ZERO, |ticks| since_boot.saturating_sub(time(ticks)));
        now.saturating_sub(age)
    })
}

fn clock(id: ClockId) -> Duration {
    let now = clock_gettime(id);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

/// How long so many ticks of proc_pid_stat(5) are.
fn time(ticks: u64) -> Duration {
    Duration::from_micros(ticks * (1_000_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// A field of proc_pid_stat(5) by its number there, from 3 on. The command's name may hold spaces,
/// so fields are counted from its closing parenthesis.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number - 3)?.parse().ok()
}

/// utime and stime.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    Some((field(stat, 14)?, field(stat, 15)?))
}

/// starttime: from the boot to the process's start.
fn started_ticks(stat: &str) -> Option<u64> {
    field(stat, 22)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "77 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 3 0 9876 1 2";
        assert_eq!((cpu_ticks(stat), started_ticks(stat)), (Some((123, 45)), Some(9876)));
        assert_eq!((cpu_ticks("no"), started_ticks("77 (a) S 1")), (None, None));
    }

    #[test]
    fn this_process_has_used_cpu_and_memory_since_its_start() {
        let used = Used::read();
        assert!(used.cpu > Duration::ZERO && used.resident > Some(0), "{used:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        assert!(started() <= now && started() > Duration::from_secs(1_500_000_000));
        assert_eq!(started(), started());
    }
}
