//! Programs that set the same values as `tune`, and would set them back.

use crate::host::Host;
use crate::setting::{Group, Look, Setting, Severity, Tuning, no_live_value};

const PROFILE: &str = "sutra";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "tuned",
        group: Group::Services,
        why: "tuned applies its profile at boot and keeps to it: governor, sleep states, huge \
              pages, swappiness. What another profile sets is not what stands here.",
        effect: "Values that were tuned are others again after the next boot, or a change of \
                 profile.",
        source: "tuned(8), tuned-adm(8)",
        look: tuned,
        tuning: Tuning::at_a_cost(
            no_live_value,
            "it is a profile that tuned uses once you run `tuned-adm profile sutra`",
        ),
    },
    Setting {
        name: "irqbalance",
        group: Group::Services,
        why: "irqbalance moves interrupts to other CPUs every ten seconds, those that were spread \
              by hand or by tune among them.",
        effect: "The queues of a card meet on one CPU now and then, and a core is interrupted \
                 that was not before.",
        source: "irqbalance(1)",
        look: irqbalance,
        tuning: None,
    },
];

/// Whether a program of this name runs; `None` where programs are not told.
fn runs(host: &Host, name: &str) -> Option<bool> {
    let mut programs = host
        .root
        .names("/proc")
        .into_iter()
        .filter(|entry| entry.parse::<u32>().is_ok())
        .filter_map(|number| host.root.text(format!("/proc/{number}/comm")))
        .peekable();
    programs.peek()?;
    Some(programs.any(|program| program == name))
}

fn tuned(host: &Host) -> Look {
    match runs(host, "tuned") {
        None => Look::unknown("which programs run is not told"),
        Some(false) => Look::absent("tuned does not run"),
        Some(true) => {
            let active = host.root.text("/etc/tuned/active_profile").unwrap_or_default();
            let wanted = format!("the profile {PROFILE}, or one that includes it");
            match active.split_whitespace().any(|name| name == PROFILE) {
                true => Look::good(active, wanted),
                false => Look::wrong(
                    Severity::Hint,
                    format!("the profile {active}"),
                    wanted,
                    "sutra tune tuned, then `tuned-adm profile sutra`",
                ),
            }
        }
    }
}

fn irqbalance(host: &Host) -> Look {
    match runs(host, "irqbalance") {
        None => Look::unknown("which programs run is not told"),
        Some(false) => Look::absent("irqbalance does not run"),
        Some(true) if host.nics().iter().all(|nic| nic.irqs.len() < 2) => {
            Look::absent("no card has interrupts to spread")
        }
        Some(true) => Look::wrong(
            Severity::Hint,
            "it runs",
            "interrupts that stay where they were put",
            "`systemctl disable --now irqbalance`, then sutra tune irq-affinity --boot; or name \
             the cards' interrupts with --banirq in its options",
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
    fn a_profile_of_tuned_that_is_not_ours_is_a_hint() {
        let sample = Sample::new(&[("/proc/1/comm", "systemd\n")]);
        let look = || tuned(&host(sample.root())).state;
        assert_eq!(look(), State::Absent);
        sample.write("/proc/70/comm", "tuned\n");
        sample.write("/etc/tuned/active_profile", "virtual-guest\n");
        assert_eq!(look(), State::Wrong(Severity::Hint));
        sample.write("/etc/tuned/active_profile", "sutra\n");
        assert_eq!(look(), State::Good);
        assert_eq!(tuned(&host(Sample::new(&[]).root())).state, State::Unknown);
    }

    #[test]
    fn irqbalance_matters_where_there_is_something_to_move() {
        let sample = Sample::new(&[("/proc/70/comm", "irqbalance\n")]);
        assert_eq!(irqbalance(&host(sample.root())).state, State::Absent);
        sample.write("/sys/class/net/eth0/operstate", "up\n");
        sample.write("/sys/class/net/eth0/device/numa_node", "0\n");
        sample.write("/proc/interrupts", "  CPU0\n 50: 7 x eth0-rx-0\n 51: 7 x eth0-rx-1\n");
        assert_eq!(irqbalance(&host(sample.root())).state, State::Wrong(Severity::Hint));
    }
}
