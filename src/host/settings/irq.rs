//! Which CPUs handle the interrupts of network cards.

use std::collections::BTreeSet;

use crate::facts::cpus;
use crate::facts::nics::{Irq, Nic};
use crate::host::Host;
use crate::root::listed;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning};

pub(crate) const ALL: &[Setting] = &[Setting {
    name: "irq-affinity",
    group: Group::Irq,
    why: "A card's queues interrupt a CPU each. Where all of them interrupt the same one, that \
          CPU takes in the packets of every core, and the server's core on it has what is left.",
    effect: "What one CPU can take in bounds the whole host, however many queues the card has.",
    source: "Linux, Documentation/networking/scaling.rst, RSS IRQ Configuration",
    look: affinity,
    tuning: Tuning::unless_good(spread),
}];

/// The CPUs for a card's interrupts: those of its own NUMA node, else all.
pub(super) fn near(host: &Host, nic: &Nic) -> Vec<usize> {
    let online = host.online().unwrap_or_default();
    let nodes = cpus::nodes(&host.root);
    let own = nodes.into_iter().find(|(node, _)| Some(*node) == nic.node);
    let near: Vec<usize> = own
        .map(|(_, cpus)| cpus.into_iter().filter(|cpu| online.contains(cpu)).collect())
        .unwrap_or_default();
    if near.is_empty() { online } else { near }
}

/// How many queues the interrupts are of.
fn queues(irqs: &[Irq]) -> BTreeSet<usize> {
    irqs.iter().map(|irq| irq.queue).collect()
}

fn affinity(host: &Host) -> Look {
    let cards = host.nics();
    let mut told = Vec::new();
    let mut crowded = false;
    for nic in cards.iter().filter(|nic| !nic.irqs.is_empty()) {
        let Some(cpus) = nic.irqs.iter().map(|irq| irq.cpus.clone()).collect::<Option<Vec<_>>>()
        else {
            return Look::unknown(format!("who handles {}'s interrupts is not told", nic.name));
        };
        let handling: BTreeSet<usize> = cpus.into_iter().flatten().collect();
        let possible = queues(&nic.irqs).len().min(near(host, nic).len());
        crowded |= handling.len() < possible;
        let list = listed(&handling.into_iter().collect::<Vec<_>>());
        let count = queues(&nic.irqs).len();
        told.push(format!("{}: queues: {count}, on CPUs {list}", nic.name));
    }
    if told.is_empty() {
        return match cards.is_empty() {
            true => Look::unknown("no network card is known here"),
            false => Look::unknown("/proc/interrupts does not name the cards' interrupts"),
        };
    }
    let wanted = "a CPU for each queue, as far as there are CPUs";
    let busiest = cards.iter().flat_map(|nic| &nic.irqs).max_by_key(|irq| irq.count);
    let counted = busiest.map(|irq| format!("{} has come {} times so far", irq.name, irq.count));
    let look = match crowded {
        true => Look::wrong(Severity::Warning, told.join("; "), wanted, "sutra tune irq-affinity"),
        false => Look::good(told.join("; "), wanted),
    };
    look.measured(counted.unwrap_or_default())
}

/// Each queue's interrupts to a CPU of their own, in order, near the card.
fn spread(host: &Host) -> Vec<Live> {
    let mut live = Vec::new();
    for nic in host.nics() {
        let cpus = near(host, &nic);
        let order: Vec<usize> = queues(&nic.irqs).into_iter().collect();
        for irq in &nic.irqs {
            let place = order.iter().position(|queue| *queue == irq.queue).unwrap_or(0);
            let file = irq.affinity_file();
            if host.root.has(&file) && !cpus.is_empty() {
                live.push(Live { file, wanted: cpus[place % cpus.len()].to_string() });
            }
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn sample(affinities: [&str; 2]) -> Sample {
        Sample::new(&[
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/sys/devices/system/node/node0/cpulist", "0-1\n"),
            ("/sys/devices/system/node/node1/cpulist", "2-3\n"),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/device/numa_node", "1\n"),
            ("/proc/interrupts", "  CPU0\n 50:  7 x eth0-TxRx-0\n 51:  9 x eth0-TxRx-1\n"),
            ("/proc/irq/50/smp_affinity_list", affinities[0]),
            ("/proc/irq/51/smp_affinity_list", affinities[1]),
        ])
    }

    #[test]
    fn queues_on_one_cpu_are_spread_near_the_card() {
        let crowded = sample(["0\n", "0\n"]);
        let look = affinity(&host(crowded.root()));
        assert_eq!(look.state, State::Wrong(Severity::Warning));
        assert_eq!(look.current, "eth0: queues: 2, on CPUs 0");
        assert_eq!(look.measured, "eth0-TxRx-1 has come 9 times so far");
        let live = spread(&host(crowded.root()));
        let wanted: Vec<_> =
            live.iter().map(|live| (live.file.as_str(), live.wanted.as_str())).collect();
        assert_eq!(
            wanted,
            [("/proc/irq/50/smp_affinity_list", "2"), ("/proc/irq/51/smp_affinity_list", "3"),]
        );
        assert_eq!(affinity(&host(sample(["2\n", "3\n"]).root())).state, State::Good);
    }

    #[test]
    fn cards_without_a_word_on_their_interrupts_are_not_known() {
        assert_eq!(affinity(&host(Sample::new(&[]).root())).state, State::Unknown);
        let silent = Sample::new(&[
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/device/numa_node", "-1\n"),
        ]);
        assert_eq!(affinity(&host(silent.root())).state, State::Unknown);
    }
}
