//! How fast CPUs run, how deep they sleep, and whom they are shared with.

use crate::facts::cpus;
use crate::host::Host;
use crate::root::{listed, numbers};
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const GOVERNOR: &str = "cpufreq/scaling_governor";
const NO_TURBO: &str = "/sys/devices/system/cpu/intel_pstate/no_turbo";
const BOOST: &str = "/sys/devices/system/cpu/cpufreq/boost";
/// A sleep from which a CPU wakes within so many µs costs less than the wake-up of the thread.
const SHALLOW: u64 = 20;
/// On fewer CPUs than this, keeping one free costs more than it brings.
const WORTH_ISOLATING: usize = 8;

const HYPERVISOR: &str = "no cpufreq in /sys: where this is a virtual machine, its host decides";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "governor",
        group: Group::Cpu,
        why: "A core that sleeps between requests looks idle to the governors powersave, \
              ondemand and schedutil, which then clock it down.",
        effect: "A request runs at the clock that the idle time before it has earned: at a \
                 half of the clock it takes twice the CPU time.",
        source: "Linux, Documentation/admin-guide/pm/cpufreq.rst",
        look: governor,
        tuning: Tuning::of(governors),
    },
    Setting {
        name: "turbo",
        group: Group::Cpu,
        why: "Few busy cores may run above the base clock; with turbo switched off none may.",
        effect: "The difference is that of base and turbo clock: 17 % for AMD's EPYC 9354, with \
                 3.25 and 3.8 GHz.",
        source: "AMD's data sheet; Linux, Documentation/admin-guide/pm/intel_pstate.rst, no_turbo",
        look: turbo,
        tuning: Tuning::of(turbo_on),
    },
    Setting {
        name: "c-states",
        group: Group::Cpu,
        why: "Between requests a core sleeps, and the deeper its CPU sleeps, the longer the next \
              request waits for it.",
        effect: "The kernel tells each state's time to wake: for Skylake servers 2 µs for C1, \
                 10 µs for C1E, 133 µs for C6. `waking` measures all that a request waits.",
        source: "Linux, drivers/idle/intel_idle.c and Documentation/admin-guide/pm/cpuidle.rst",
        look: deep_sleep,
        tuning: Tuning::at_a_cost(
            shallow_sleep,
            "idle CPUs draw more power, and busy ones have less turbo",
        ),
    },
    Setting {
        name: "smt",
        group: Group::Cpu,
        why: "Two cores of the server on the two threads of one physical core share its caches \
              and its execution units.",
        effect: "Both together do at most 1.3 times what one does alone, so each is slower while \
                 the other works.",
        source: "Intel Technology Journal, Hyper-Threading Technology Architecture and \
                 Microarchitecture, 2002",
        look: siblings,
        tuning: None,
    },
    Setting {
        name: "isolation",
        group: Group::Cpu,
        why: "isolcpus, nohz_full and rcu_nocbs keep other threads, the timer tick and RCU's \
              work off the CPUs of the server. A CPU that is isolated is used by nobody who does \
              not name it.",
        effect: "Without them a busy core is interrupted by each tick, 100 to 1,000 times a \
                 second (CONFIG_HZ), and by whatever the scheduler puts there.",
        source: "Linux, Documentation/admin-guide/kernel-parameters.txt and \
                 Documentation/timers/no_hz.rst",
        look: isolation,
        tuning: None,
    },
];

/// The distinct values of a file of each CPU.
fn values(host: &Host, files: &[String]) -> Vec<String> {
    let mut values: Vec<String> = files.iter().filter_map(|file| host.root.text(file)).collect();
    values.sort();
    values.dedup();
    values
}

fn governor(host: &Host) -> Look {
    let files = cpus::files(&host.root, GOVERNOR);
    let found = values(host, &files);
    if found.is_empty() {
        return Look::unknown(HYPERVISOR);
    }
    let wanted = "performance on every CPU";
    let preferences = cpus::files(&host.root, "cpufreq/energy_performance_preference");
    let current = found.join(", ");
    // Drivers that clock by themselves call it powersave, and go by the preference.
    let by_itself = found == ["powersave"] && values(host, &preferences) == ["performance"];
    if found == ["performance"] || by_itself {
        return Look::good(current, wanted);
    }
    Look::wrong(Severity::Warning, current, wanted, "sutra tune governor")
}

fn governors(host: &Host) -> Vec<Live> {
    let files = cpus::files(&host.root, GOVERNOR).into_iter();
    files.map(|file| Live { file, wanted: "performance".into() }).collect()
}

fn turbo(host: &Host) -> Look {
    let on = match (host.root.text(NO_TURBO), host.root.text(BOOST)) {
        (Some(off), _) => off == "0",
        (None, Some(on)) => on == "1",
        (None, None) => return Look::unknown(HYPERVISOR),
    };
    match on {
        true => Look::good("on", "on"),
        false => Look::wrong(Severity::Warning, "off", "on", "sutra tune turbo"),
    }
}

fn turbo_on(host: &Host) -> Vec<Live> {
    [where_there(host, NO_TURBO, "0"), where_there(host, BOOST, "1")]
        .into_iter()
        .flatten()
        .collect()
}

/// A way for a CPU to sleep.
struct Sleep {
    file: String,
    name: String,
    /// Until it is awake, in µs.
    latency: u64,
    is_off: bool,
}

/// Those of all CPUs.
fn sleeps(host: &Host) -> Vec<Sleep> {
    let folders = cpus::files(&host.root, "cpuidle");
    let states = folders.iter().flat_map(|folder| {
        let names = host.root.names(folder).into_iter();
        names.filter(|name| name.starts_with("state")).map(move |name| format!("{folder}/{name}"))
    });
    let read = |state: String| {
        let text = |file: &str| host.root.text(format!("{state}/{file}"));
        Some(Sleep {
            name: text("name")?,
            latency: text("latency")?.parse().ok()?,
            is_off: text("disable")? != "0",
            file: format!("{state}/disable"),
        })
    };
    states.filter_map(read).collect()
}

fn deep_sleep(host: &Host) -> Look {
    let all = sleeps(host);
    let deepest = all.iter().filter(|sleep| !sleep.is_off).max_by_key(|sleep| sleep.latency);
    let Some(deepest) = deepest else {
        return Look::unknown(
            "no cpuidle in /sys: where this is a virtual machine, its host decides",
        );
    };
    let current = format!("deepest is {}, {} µs to wake", deepest.name, deepest.latency);
    let wanted = format!("at most {SHALLOW} µs");
    if deepest.latency <= SHALLOW {
        return Look::good(current, wanted);
    }
    let remedy = "sutra tune c-states, or `sutra serve --spin adaptive`, which keeps its own \
                  cores from sleeping between requests";
    Look::wrong(Severity::Hint, current, wanted, remedy)
}

fn shallow_sleep(host: &Host) -> Vec<Live> {
    let deep = sleeps(host).into_iter().filter(|sleep| sleep.latency > SHALLOW);
    deep.map(|sleep| Live { file: sleep.file, wanted: "1".into() }).collect()
}

fn siblings(host: &Host) -> Look {
    let found = host.allowed().and_then(|allowed| {
        let firsts = cpus::one_a_core(&host.root, &allowed)?;
        Some((allowed, firsts))
    });
    let Some((allowed, firsts)) = found else {
        return Look::unknown("the topology of the CPUs is not told");
    };
    let wanted = "a physical core for each core of the server";
    if firsts.len() == allowed.len() {
        return Look::good(format!("CPUs {} share no core", listed(&allowed)), wanted);
    }
    let current = format!("{} CPUs are threads of {} physical cores", allowed.len(), firsts.len());
    let remedy = format!(
        "for the lowest latency `sutra serve --cores {}` (a start makes a store over for them)",
        listed(&firsts)
    );
    Look::wrong(Severity::Hint, current, wanted, remedy)
}

fn isolation(host: &Host) -> Look {
    let (Some(line), Some(online)) = (host.root.text("/proc/cmdline"), host.online()) else {
        return Look::unknown("the kernel's command line is not told");
    };
    let is_one = |word: &&str| {
        let name = word.split('=').next();
        name.is_some_and(|name| ["isolcpus", "nohz_full", "rcu_nocbs"].contains(&name))
    };
    let set: Vec<&str> = line.split_whitespace().filter(is_one).collect();
    let isolated = host.root.text("/sys/devices/system/cpu/isolated");
    let isolated = isolated.and_then(|list| numbers(&list)).unwrap_or_default();
    let allowed = host.allowed().unwrap_or_default();
    if !isolated.is_empty() && !isolated.iter().any(|cpu| allowed.contains(cpu)) {
        let list = listed(&isolated);
        return Look::wrong(
            Severity::Warning,
            format!("CPUs {list} are isolated, and the server may not use them"),
            "the server on the isolated CPUs",
            format!("`taskset -c {list} sutra serve --cores {list}`; systemd CPUAffinity={list}"),
        );
    }
    let wanted = "isolcpus, nohz_full and rcu_nocbs on the server's CPUs";
    if !set.is_empty() {
        return Look::good(set.join(" "), wanted);
    }
    if online.len() < WORTH_ISOLATING {
        return Look::absent(format!("{} CPUs are too few to keep some free", online.len()));
    }
    let list = listed(&online[2..]);
    Look::wrong(
        Severity::Hint,
        "none",
        wanted,
        format!(
            "where the lowest latency counts, add to the kernel's command line \
             `isolcpus=managed_irq,domain,{list} nohz_full={list} rcu_nocbs={list}`, run \
             update-grub and boot; tune never writes the command line"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn cpu(file: &str) -> String {
        format!("/sys/devices/system/cpu/{file}")
    }

    #[test]
    fn the_governor_of_every_cpu_counts_and_a_driver_that_clocks_by_itself_goes_by_preference() {
        let sample = Sample::new(&[]);
        let look = || governor(&host(sample.root()));
        assert_eq!(look().state, State::Unknown);
        sample.write(&cpu("cpu0/cpufreq/scaling_governor"), "performance\n");
        sample.write(&cpu("cpu1/cpufreq/scaling_governor"), "powersave\n");
        assert_eq!(
            (look().state, look().current.as_str()),
            (State::Wrong(Severity::Warning), "performance, powersave")
        );
        assert_eq!(governors(&host(sample.root())).len(), 2);
        sample.write(&cpu("cpu0/cpufreq/scaling_governor"), "powersave\n");
        sample.write(&cpu("cpu0/cpufreq/energy_performance_preference"), "performance\n");
        assert_eq!(look().state, State::Good);
    }

    #[test]
    fn turbo_is_told_by_either_driver() {
        let at = |file: &str, text: &str| {
            let sample = Sample::new(&[(file, text)]);
            let host = host(sample.root());
            (turbo(&host).state, turbo_on(&host))
        };
        let (state, live) = at(NO_TURBO, "1\n");
        assert_eq!((state, live[0].wanted.as_str()), (State::Wrong(Severity::Warning), "0"));
        assert_eq!(at(NO_TURBO, "0\n").0, State::Good);
        assert_eq!(at(BOOST, "0\n").0, State::Wrong(Severity::Warning));
        assert_eq!(at("/proc/x", "").0, State::Unknown);
    }

    #[test]
    fn the_deepest_sleep_that_is_not_switched_off_counts() {
        let sample = Sample::new(&[]);
        for (state, name, latency) in [(0, "POLL", "0"), (1, "C1", "2"), (2, "C6", "133")] {
            let file = |file: &str| cpu(&format!("cpu0/cpuidle/state{state}/{file}"));
            sample.write(&file("name"), name);
            sample.write(&file("latency"), latency);
            sample.write(&file("disable"), "0\n");
        }
        let look = deep_sleep(&host(sample.root()));
        assert_eq!(look.state, State::Wrong(Severity::Hint));
        assert_eq!(look.current, "deepest is C6, 133 µs to wake");
        let live = shallow_sleep(&host(sample.root()));
        let off = cpu("cpu0/cpuidle/state2/disable");
        assert_eq!(live, [Live { file: off.clone(), wanted: "1".into() }]);
        sample.write(&off, "1\n");
        assert_eq!(deep_sleep(&host(sample.root())).state, State::Good);
        assert_eq!(deep_sleep(&host(Sample::new(&[]).root())).state, State::Unknown);
    }

    #[test]
    fn threads_of_one_core_are_told_with_the_list_that_has_one_of_each() {
        let sample = Sample::new(&[("/proc/self/status", "Cpus_allowed_list:\t0-3\n")]);
        assert_eq!(siblings(&host(sample.root())).state, State::Unknown);
        for (number, list) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            sample.write(&cpu(&format!("cpu{number}/topology/thread_siblings_list")), list);
        }
        let look = siblings(&host(sample.root()));
        assert!(look.remedy.contains("--cores 0-1"), "{}", look.remedy);
        sample.write("/proc/self/status", "Cpus_allowed_list:\t0-1\n");
        assert_eq!(siblings(&host(sample.root())).state, State::Good);
    }

    #[test]
    fn isolated_cpus_that_the_server_may_not_use_are_a_warning() {
        let at = |online: &str, line: &str, isolated: &str, allowed: &str| {
            let status = format!("Cpus_allowed_list:\t{allowed}\n");
            isolation(&host(
                Sample::new(&[
                    ("/proc/cmdline", line),
                    ("/proc/self/status", &status),
                    ("/sys/devices/system/cpu/online", online),
                    ("/sys/devices/system/cpu/isolated", isolated),
                ])
                .root(),
            ))
        };
        let line = "quiet isolcpus=4-7 nohz_full=4-7";
        let unused = at("0-7", line, "4-7\n", "0-3");
        assert_eq!(unused.state, State::Wrong(Severity::Warning));
        assert!(unused.remedy.contains("taskset -c 4-7"), "{}", unused.remedy);
        let used = at("0-7", line, "4-7\n", "4-7");
        assert_eq!(
            (used.state, used.current.as_str()),
            (State::Good, "isolcpus=4-7 nohz_full=4-7")
        );
        assert_eq!(at("0-7", "quiet", "\n", "0-7").state, State::Wrong(Severity::Hint));
        assert_eq!(at("0-1", "quiet", "\n", "0-1").state, State::Absent);
    }
}
