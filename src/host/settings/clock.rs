//! What time costs, and whether it is right.

use std::hint::black_box;
use std::time::Instant;

use crate::host::Host;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};
use crate::sys::clock_state;

const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
/// Sources that a program reads without a system call.
const CHEAP: [&str; 5] =
    ["tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "stp"];
/// Sources that need a system call, and a slow device behind it.
const DEAR: [&str; 5] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "xen"];
/// So many readings take a few milliseconds.
const READINGS: u32 = 100_000;

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "clocksource",
        group: Group::Clock,
        why: "The server reads the clock in every turn, and each client's library for every \
              request.",
        effect: "A reading took 25 ns with tsc and 34 ns with kvm-clock. With hpet and acpi_pm it \
                 is a system call and a read of a device each time.",
        source: "measured on a virtual EPYC; vdso(7)",
        look: source,
        tuning: Tuning::of(cheapest),
    },
    Setting {
        name: "time-sync",
        group: Group::Clock,
        why: "The time of every write is kept with its record, and people compare logs and times \
              of several hosts.",
        effect: "A clock of 20 ppm, as crystals have, is 12 s off after a week, and records say \
                 that they were written then.",
        source: "adjtimex(2); src/store/README.md, entry",
        look: synchronised,
        tuning: None,
    },
];

/// The ns that a reading of the clock takes here.
fn cost() -> f64 {
    let begin = Instant::now();
    for _ in 0..READINGS {
        black_box(Instant::now());
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(READINGS)
}

fn source(host: &Host) -> Look {
    let Some(current) = host.root.text(format!("{FOLDER}/current_clocksource")) else {
        return Look::unknown(format!("{FOLDER} is not there"));
    };
    let available = host.root.text(format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    let has_tsc = available.split(' ').any(|name| name == "tsc");
    let wanted = if has_tsc { "tsc" } else { "one that needs no system call" };
    let is = |known: &[&str]| known.contains(&current.as_str());
    let remedy = match has_tsc {
        true => "sutra tune clocksource",
        false => {
            "see why the kernel has no better one: `dmesg | grep -i clocksource`; a virtual \
             machine's host may have to pass it on"
        }
    };
    let look = if current == wanted || (is(&CHEAP) && !has_tsc) {
        Look::good(current, wanted)
    } else if is(&CHEAP) {
        Look::wrong(Severity::Hint, current, wanted, remedy)
    } else if is(&DEAR) {
        Look::wrong(Severity::Warning, current, wanted, remedy)
    } else {
        return Look::unknown(format!("what {current} costs is not known"));
    };
    if !host.root.is_here() {
        return look;
    }
    let cost = cost();
    let mut look = look.measured(format!("a reading takes {cost:.0} ns"));
    look.figures.insert("clock_read_ns", cost);
    look
}

fn cheapest(host: &Host) -> Vec<Live> {
    let available = host.root.text(format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    let has_tsc = available.split(' ').any(|name| name == "tsc");
    let live = where_there(host, format!("{FOLDER}/current_clocksource"), "tsc");
    live.filter(|_| has_tsc).into_iter().collect()
}

fn synchronised(host: &Host) -> Look {
    if !host.root.is_here() {
        return Look::unknown("the clock is asked on this host only, not below --root");
    }
    let wanted = "kept right by chrony, ntpd or systemd-timesyncd";
    match clock_state() {
        Err(error) => Look::unknown(format!("adjtimex(2): {error}")),
        Ok(state) if state.is_synchronised => {
            let error = state.greatest_error.as_secs_f64() * 1e3;
            let mut look = Look::good("kept right", wanted)
                .measured(format!("the kernel takes it to be within {error:.1} ms"));
            look.figures.insert("clock_error_ms", error);
            look
        }
        Ok(_) => Look::wrong(
            Severity::Warning,
            "kept right by nobody",
            wanted,
            "`apt install chrony`, or `timedatectl set-ntp true`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    #[test]
    fn a_source_is_judged_by_what_it_costs_and_what_else_there_is() {
        use Severity::{Hint, Warning};
        for (current, available, state) in [
            ("tsc", "tsc kvm-clock", State::Good),
            ("kvm-clock", "kvm-clock acpi_pm", State::Good),
            ("kvm-clock", "tsc kvm-clock", State::Wrong(Hint)),
            ("hpet", "hpet acpi_pm", State::Wrong(Warning)),
            ("arch_sys_counter", "arch_sys_counter", State::Good),
            ("sundial", "sundial", State::Unknown),
        ] {
            let sample = Sample::new(&[
                (&format!("{FOLDER}/current_clocksource"), current),
                (&format!("{FOLDER}/available_clocksource"), available),
            ]);
            let host = host(sample.root());
            assert_eq!(source(&host).state, state, "{current} of {available}");
            assert_eq!(cheapest(&host).len(), usize::from(available.contains("tsc")));
        }
        let nowhere = host(Sample::new(&[]).root());
        let states = (source(&nowhere).state, synchronised(&nowhere).state);
        assert_eq!(states, (State::Unknown, State::Unknown));
    }

    #[test]
    fn a_reading_takes_some_time() {
        assert!(cost() > 0.0);
    }
}
