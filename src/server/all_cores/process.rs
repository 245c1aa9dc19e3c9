//! What the process as a whole has used, for stats.

use std::time::Duration;

use sutra_wire::Counter;

/// What the process has used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// CPU time in the program and in the kernel, to a hundredth of a second.
    split: Option<(Duration, Duration)>,
    /// Bytes of memory.
    pub(crate) resident: Option<u64>,
}

impl Used {
    /// Reads it. Cost: a clock call and two small reads from procfs (memory, not disk).
    pub(crate) fn read() -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(cpu.tv_nsec).unwrap_or(0);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let time = |ticks: u64| Duration::from_micros(ticks * (1_000_000 / per_second));
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Self {
            cpu: Duration::new(seconds, nanoseconds),
            split: cpu_ticks(&stat).map(|(user, system)| (time(user), time(system))),
            resident: pages.map(|pages| pages * rustix::param::page_size() as u64),
        }
    }
}

/// Adds the process's CPU time and memory to `out`.
pub(super) fn report(out: &mut Vec<Counter>) {
    let used = Used::read();
    let mut add = |name: &str, value| out.push(Counter { name: name.into(), value });
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    add("cpu_us", micros(used.cpu));
    if let Some((user, system)) = used.split {
        add("cpu_user_us", micros(user));
        add("cpu_system_us", micros(system));
    }
    if let Some(resident) = used.resident {
        add("resident_bytes", resident);
    }
}

/// utime and stime (fields 14 and 15 of proc_pid_stat(5)), in ticks. The command's name may hold
/// spaces, so fields are counted from its closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "77 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 3 0";
        assert_eq!(cpu_ticks(stat), Some((123, 45)));
        assert_eq!(cpu_ticks("no"), None);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let mut out = Vec::new();
        report(&mut out);
        let value = |name: &str| {
            out.iter().find(|counter| counter.name == name).map(|counter| counter.value)
        };
        assert!(value("cpu_us") > Some(0) && value("resident_bytes") > Some(0), "{out:?}");
    }
}
