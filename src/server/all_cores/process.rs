//! What the process as a whole has used, for stats.

use sutra_wire::Counter;

/// Adds the process's CPU time and memory to `out`. Cost: two clock calls and two small reads from
/// procfs (memory, not disk).
pub(super) fn report(out: &mut Vec<Counter>) {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let micros = u64::try_from(cpu.tv_sec).unwrap_or(0) * 1_000_000
        + u64::try_from(cpu.tv_nsec).unwrap_or(0) / 1000;
    out.push(Counter { name: "cpu_us".into(), value: micros });
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some((user, system)) = cpu_ticks(&stat) {
        let tick = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        out.push(Counter { name: "cpu_user_us".into(), value: user * tick });
        out.push(Counter { name: "cpu_system_us".into(), value: system * tick });
    }
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(pages) = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok())
    {
        out.push(Counter {
            name: "resident_bytes".into(),
            value: pages * rustix::param::page_size() as u64,
        });
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
