//! Checks whether a measurement had the CPUs that it was promised.
//!
//! A contender that waits for a CPU which somebody else uses looks slow. A load that waits makes
//! every contender look slow. So both CPUs are watched. The time that a CPU was taken by the
//! hypervisor, or was busy with anything but its own process, is compared with the time that was
//! measured.

use std::fs;
use std::time::Instant;

use sutra_load::Report;

use crate::Outcome;

/// The share of a CPU's time that other programs in user mode may take, or the hypervisor. The
/// ticks of /proc/stat are so coarse that an idle host shows up to this much.
const FOREIGN: f64 = 0.10;
/// The share of a CPU's time that everything but its own process may take, the kernel's threads
/// included. Kernel threads that finish a server's writes run on whichever CPU is free, and are
/// part of what the server costs.
const FOREIGN_KERNEL: f64 = 0.30;
/// A figure is bounded by the load if the load's CPU was at least this busy, and the server's less
/// than [`SERVER_IDLE`].
const LOAD_BUSY: f64 = 0.97;
const SERVER_IDLE: f64 = 0.90;
/// An open loop fell short if less than this share of what was due was answered. Requests in flight
/// at its end are fewer than the rest.
const ANSWERED: f64 = 0.99;

/// How often a starved measurement is repeated before its round is given up.
const REPEATS: usize = 2;

/// What was measured, or in words what was starved of CPU meanwhile.
pub(crate) enum Fair<T> {
    Yes(T),
    Starved(String),
}

impl<T> Fair<T> {
    pub(crate) fn unless(starved: Option<String>, measured: T) -> Self {
        starved.map_or(Fair::Yes(measured), Fair::Starved)
    }
}

/// One measurement of one load.
pub(crate) struct Measured {
    pub(crate) report: Report,
    pub(crate) bound_by_load: bool,
}

/// Measures, and measures again if something was starved of CPU; `None` if it was every time.
pub(crate) fn fairly<T>(
    whose: &str,
    mut measure: impl FnMut() -> Outcome<Fair<T>>,
) -> Outcome<Option<T>> {
    let mut words = String::new();
    for _ in 0..=REPEATS {
        match measure()? {
            Fair::Yes(measured) => return Ok(Some(measured)),
            Fair::Starved(starved) => words = starved,
        }
    }
    eprintln!("  {whose}: {words}");
    Ok(None)
}

/// The problem to report about the rounds of something: it failed, or was starved in some of them.
pub(crate) fn problem<T>(
    place: &str,
    failed: Option<&str>,
    rounds: &[Option<T>],
) -> Option<String> {
    if let Some(words) = failed {
        return Some(format!("{place} FAILED, so it has no figures: {words}"));
    }
    let unfair = rounds.iter().filter(|round| round.is_none()).count();
    let fate = if unfair * 2 >= rounds.len() { "so it has no figures" } else { "left out" };
    (unfair > 0)
        .then(|| format!("{place} was STARVED in {unfair} of {} rounds, {fate}", rounds.len()))
}

/// Fails for a report with refusals, or without any answer.
pub(crate) fn check(report: &Report) -> Outcome {
    if let Some(words) = &report.last_refusal {
        return Err(format!(
            "it refused {} requests: {words}",
            report.refused.values().sum::<u64>()
        )
        .into());
    }
    if report.requests == 0 {
        return Err("it answered nothing while it was measured".into());
    }
    Ok(())
}

/// CPU time that a process has used, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    /// In user mode.
    pub(crate) user: f64,
    /// In user mode and in the kernel.
    pub(crate) total: f64,
}

impl Used {
    pub(crate) fn since(self, earlier: Used) -> Used {
        Used { user: self.user - earlier.user, total: self.total - earlier.total }
    }
}

/// A CPU's times so far (proc_stat(5)), in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    user: f64,
    busy: f64,
    stolen: f64,
}

/// A CPU that is being watched.
pub(crate) struct Watched {
    cpu: usize,
    since: Instant,
    before: Times,
}

/// What a CPU did while it was watched: times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Watch {
    cpu: usize,
    seconds: f64,
    user: f64,
    busy: f64,
    stolen: f64,
}

impl Watched {
    pub(crate) fn begin(cpu: usize) -> Outcome<Self> {
        Ok(Self { cpu, since: Instant::now(), before: times(cpu)? })
    }

    pub(crate) fn end(self) -> Outcome<Watch> {
        let after = times(self.cpu)?;
        Ok(Watch {
            cpu: self.cpu,
            seconds: self.since.elapsed().as_secs_f64(),
            user: after.user - self.before.user,
            busy: after.busy - self.before.busy,
            stolen: after.stolen - self.before.stolen,
        })
    }
}

impl Watch {
    /// Why the process that was promised this CPU, and used `own` seconds of it, was starved;
    /// `None` where it was not.
    pub(crate) fn starved(&self, whose: &str, own: Used) -> Option<String> {
        let share = |seconds: f64| seconds / self.seconds.max(f64::EPSILON);
        let (programs, all, stolen) =
            (share(self.user - own.user), share(self.busy - own.total), share(self.stolen));
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        if stolen > FOREIGN {
            return Some(format!(
                "the hypervisor took {} of the {whose}'s CPU {}",
                percent(stolen),
                self.cpu
            ));
        }
        let foreign = programs.max(all);
        (programs > FOREIGN || all > FOREIGN_KERNEL)
            .then(|| format!("others took {} of the {whose}'s CPU {}", percent(foreign), self.cpu))
    }
}

/// Why processes that share CPUs, and used `own` seconds of them together, were starved; `None`
/// where they were not.
pub(crate) fn starved_together(watches: &[Watch], own: f64) -> Option<String> {
    let all = Watch {
        cpu: watches.len(),
        seconds: watches.iter().map(|watch| watch.seconds).sum(),
        user: watches.iter().map(|watch| watch.user).sum(),
        busy: watches.iter().map(|watch| watch.busy).sum(),
        stolen: watches.iter().map(|watch| watch.stolen).sum(),
    };
    let (foreign, stolen) = ((all.busy - own) / all.seconds, all.stolen / all.seconds);
    (foreign.max(stolen) > FOREIGN).then(|| {
        format!(
            "others took {:.0} % of the {} CPUs, the hypervisor {:.0} %",
            foreign * 100.0,
            all.cpu,
            stolen * 100.0
        )
    })
}

/// Whether the load was at its limit, and not the server. In an open loop that answered what was
/// due, neither was.
pub(crate) fn is_bound_by_load(report: &Report) -> bool {
    let server_busy = report.server_cpu.as_ref().map_or(0.0, |cpu| cpu.cores_busy);
    let fell_short =
        report.offered_per_second.is_none_or(|due| report.requests_per_second < ANSWERED * due);
    fell_short && report.load_busy >= LOAD_BUSY && server_busy < SERVER_IDLE
}

/// CPU time of this process, and of those that it started and that have ended.
pub(crate) fn used_here() -> Outcome<Used> {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Fields 14 to 17 (proc_pid_stat(5)), counted from behind the program's name: user and system,
    // own and of those that have ended.
    let fields =
        stat.rsplit_once(") ").ok_or("/proc/self/stat does not name the program")?.1.split(' ');
    let second = rustix::param::clock_ticks_per_second().max(1) as f64;
    let times: Vec<f64> = fields
        .skip(11)
        .take(4)
        .filter_map(|field| Some(field.parse::<f64>().ok()? / second))
        .collect();
    let [user, _, ended_user, ended_system] = times[..] else {
        return Err("/proc/self/stat does not have four times".into());
    };
    let own = own.tv_sec as f64 + own.tv_nsec as f64 / 1e9;
    Ok(Used { user: user + ended_user, total: own + ended_user + ended_system })
}

/// CPU time of another process.
pub(crate) fn used(pid: u32) -> Outcome<Used> {
    let used = sutra_load::ServerCpu::of_process(pid).read()?;
    Ok(Used { user: used.user as f64 / 1e6, total: used.total as f64 / 1e9 })
}

fn times(cpu: usize) -> Outcome<Times> {
    let stat = fs::read_to_string("/proc/stat")?;
    parse(&stat, cpu)
        .ok_or_else(|| format!("/proc/stat has no line for CPU {cpu}; is there such a CPU?").into())
}

fn parse(stat: &str, cpu: usize) -> Option<Times> {
    let name = format!("cpu{cpu}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Vec<f64> =
        line.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    // The fields: user nice system idle iowait irq softirq steal …; a guest's time is part of
    // user's.
    let [user, nice, system, _, _, irq, softirq, stolen] = ticks.first_chunk::<8>()?;
    let second = rustix::param::clock_ticks_per_second().max(1) as f64;
    let (user, kernel) = (user + nice, system + irq + softirq);
    Some(Times { user: user / second, busy: (user + kernel) / second, stolen: stolen / second })
}

#[cfg(test)]
mod tests {
    use sutra_load::CpuPerRequest;

    use super::*;

    #[test]
    fn a_cpus_line_is_found_by_its_whole_name() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 100 0 50 700 5 1 2 30 0 0\ncpu11 1 1 1 1 1 1 1 1 0 0\n";
        let times = parse(stat, 1).expect("it is there");
        let second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(
            (times.user * second, times.busy * second, times.stolen * second),
            (100.0, 153.0, 30.0)
        );
        assert_eq!(parse(stat, 2), None);
    }

    #[test]
    fn who_lost_its_cpu_to_others_is_starved_and_who_did_not_need_it_is_not() {
        let watch = |user, busy, stolen| Watch { cpu: 0, seconds: 1.0, user, busy, stolen };
        let own = Used { user: 0.1, total: 0.5 };
        let says = |watch: Watch, whose, words: &str| {
            watch.starved(whose, own).is_some_and(|said| said.contains(words))
        };
        assert_eq!(watch(0.1, 0.52, 0.0).starved("server", own), None);
        // The kernel's threads take part of it to finish the server's writes.
        assert_eq!(watch(0.1, 0.7, 0.0).starved("server", own), None);
        assert!(says(watch(0.1, 1.0, 0.0), "server", "50 % of the server's CPU 0"));
        assert!(says(watch(0.3, 0.7, 0.0), "server", "20 % of the server's CPU 0"));
        assert!(says(watch(0.1, 0.5, 0.3), "load", "hypervisor took 30 %"));
    }

    #[test]
    fn processes_that_share_cpus_are_starved_by_what_neither_used() {
        let watch = |busy| Watch { cpu: 0, seconds: 1.0, user: 0.0, busy, stolen: 0.0 };
        assert_eq!(starved_together(&[watch(1.0), watch(0.9)], 1.85), None);
        assert!(
            starved_together(&[watch(1.0), watch(0.9)], 1.5)
                .is_some_and(|words| words.contains("20 %"))
        );
    }

    fn report(load_busy: f64, cores_busy: f64) -> Report {
        let cpu = CpuPerRequest { user_us: 1.0, system_us: 1.0, total_us: 2.0, cores_busy };
        Report { load_busy, server_cpu: Some(cpu), requests_per_second: 900.0, ..Report::default() }
    }

    #[test]
    fn a_busy_load_beside_an_idle_server_is_what_was_measured() {
        assert!(is_bound_by_load(&report(1.0, 0.5)));
        assert!(!is_bound_by_load(&report(1.0, 0.99)) && !is_bound_by_load(&report(0.5, 0.5)));
    }

    #[test]
    fn a_busy_load_bounds_an_open_loop_where_less_was_answered_than_was_due() {
        let offered = |due, report| Report { offered_per_second: Some(due), ..report };
        assert!(is_bound_by_load(&offered(1000.0, report(1.0, 0.5))));
        assert!(!is_bound_by_load(&offered(901.0, report(1.0, 0.5))));
        assert!(!is_bound_by_load(&offered(1000.0, report(1.0, 0.99))));
        assert!(!is_bound_by_load(&offered(1000.0, report(0.5, 0.5))));
    }
}
