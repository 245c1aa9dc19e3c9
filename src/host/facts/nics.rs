//! Network cards: those that are up and have hardware behind them, with their queues and the
//! interrupts of these.

use std::fs;

use crate::root::{Root, numbers};

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nic {
    /// As `ip link` shows it.
    pub(crate) name: String,
    /// Its receive queues, by name: `rx-0`.
    pub(crate) receive: Vec<String>,
    /// Its send queues.
    pub(crate) send: Vec<String>,
    /// Its NUMA node; `None` where it has none, or it is not told.
    pub(crate) node: Option<usize>,
    /// The interrupts of its queues.
    pub(crate) irqs: Vec<Irq>,
}

impl Nic {
    /// A file of one of its queues.
    pub(crate) fn queue(&self, queue: &str, file: &str) -> String {
        format!("/sys/class/net/{}/queues/{queue}/{file}", self.name)
    }
}

/// An interrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Irq {
    /// Its number.
    pub(crate) number: u32,
    /// Its name in `/proc/interrupts`.
    pub(crate) name: String,
    /// The queue that it is of, by the number in its name.
    pub(crate) queue: usize,
    /// The CPUs that handle it; `None` where that is not told.
    pub(crate) cpus: Option<Vec<usize>>,
    /// How often each CPU has handled it since the start, in all.
    pub(crate) count: u64,
}

impl Irq {
    /// Where it is said which CPUs may handle it.
    pub(crate) fn affinity_file(&self) -> String {
        format!("/proc/irq/{}/smp_affinity_list", self.number)
    }
}

/// The cards that are up.
pub(crate) fn nics(root: &Root) -> Vec<Nic> {
    let interrupts = root.text("/proc/interrupts").unwrap_or_default();
    let names = root.names("/sys/class/net").into_iter();
    let is_card = |name: &String| {
        let folder = format!("/sys/class/net/{name}");
        let state = root.text(format!("{folder}/operstate"));
        root.has(format!("{folder}/device"))
            && state.is_some_and(|state| state == "up" || state == "unknown")
    };
    names.filter(is_card).map(|name| nic(root, name, &interrupts)).collect()
}

fn nic(root: &Root, name: String, interrupts: &str) -> Nic {
    let folder = format!("/sys/class/net/{name}");
    let (receive, send) = root
        .names(format!("{folder}/queues"))
        .into_iter()
        .partition(|queue| queue.starts_with("rx-"));
    let node = root.number::<i64>(format!("{folder}/device/numa_node"));
    let node = node.and_then(|node| usize::try_from(node).ok());
    // A virtio card's interrupts are those of the PCI device above it, under the card's own name.
    let device = fs::read_link(root.at(format!("{folder}/device"))).ok();
    let device = device.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let numbered = root.names(format!("{folder}/device/msi_irqs"));
    let is_its_own = |number: u32, irq: &str| {
        numbered.contains(&number.to_string())
            || begins_with(irq, &name)
            || device.as_ref().is_some_and(|device| begins_with(irq, device))
    };
    let irqs =
        lines(interrupts).filter(|(number, irq, _)| is_its_own(*number, irq) && !is_control(irq));
    let irqs = irqs.map(|(number, irq, count)| Irq {
        number,
        queue: last_number(irq).unwrap_or(0),
        name: irq.to_owned(),
        cpus: ["effective_affinity_list", "smp_affinity_list"].iter().find_map(|file| {
            let list = root.text(format!("/proc/irq/{number}/{file}"))?;
            numbers(&list).filter(|cpus| !cpus.is_empty())
        }),
        count,
    });
    let irqs = irqs.collect();
    Nic { name, receive, send, node, irqs }
}

/// Number, name and count of each interrupt of a device (proc_interrupts(5)).
fn lines(interrupts: &str) -> impl Iterator<Item = (u32, &str, u64)> {
    interrupts.lines().filter_map(|line| {
        let (number, rest) = line.trim_start().split_once(':')?;
        let number = number.parse().ok()?;
        let counts = rest.split_whitespace().map_while(|count| count.parse::<u64>().ok());
        Some((number, rest.split_whitespace().next_back()?, counts.sum()))
    })
}

/// Whether it is this name, or this name and something behind it: `eth0-TxRx-1` is of `eth0`, and
/// `eth01` is not.
fn begins_with(irq: &str, name: &str) -> bool {
    let rest = irq.strip_prefix(name);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Interrupts that carry no packets.
fn is_control(irq: &str) -> bool {
    let words = ["config", "async", "ctrl", "control", "mgmnt", "misc", "event", "pages"];
    words.iter().any(|word| irq.contains(word))
}

fn last_number(irq: &str) -> Option<usize> {
    // mlx5_comp3@pci:0000:03:00.0 has the card's place behind the queue.
    let irq = irq.split('@').next()?;
    irq.split(|c: char| !c.is_ascii_digit()).rfind(|part| !part.is_empty())?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::root::tests::Sample;

    const INTERRUPTS: &str = "           CPU0       CPU1
 24:          1          0  IO-APIC   5-edge      ACPI:Ged
 37:          0          0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config
 38:          0       1817 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
 39:       1090         10 PCI-MSIX-0000:00:03.0   2-edge      virtio2-output.0
 40:          5          6 PCI-MSIX-0000:00:04.0   1-edge      virtio20-input.0
 50:          7          0 PCI-MSIX-0000:05:00.0   1-edge      eth1-TxRx-12
 51:          7          0 PCI-MSIX-0000:06:00.0   1-edge      mlx5_comp3@pci:0000:06:00.0
NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn a_card_has_its_queues_their_interrupts_and_who_handles_them() {
        let sample = Sample::new(&[
            ("/proc/interrupts", INTERRUPTS),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n"),
            ("/sys/class/net/eth0/queues/tx-0/xps_cpus", "0\n"),
            ("/sys/class/net/eth1/operstate", "up\n"),
            ("/sys/class/net/eth1/device/numa_node", "1\n"),
            ("/sys/class/net/eth1/device/msi_irqs/51", "msix\n"),
            ("/sys/class/net/eth2/operstate", "down\n"),
            ("/sys/class/net/eth2/device/numa_node", "-1\n"),
            ("/sys/class/net/lo/operstate", "unknown\n"),
            ("/proc/irq/38/effective_affinity_list", "1\n"),
            ("/proc/irq/39/effective_affinity_list", "\n"),
            ("/proc/irq/39/smp_affinity_list", "0-1\n"),
        ]);
        sample.link("/sys/class/net/eth0/device", "../../../virtio2");
        let found = nics(&sample.root());
        let names: Vec<_> = found.iter().map(|nic| nic.name.as_str()).collect();
        assert_eq!(names, ["eth0", "eth1"]);
        let eth0 = &found[0];
        assert_eq!((eth0.receive.len(), eth0.send.len(), eth0.node), (1, 1, None));
        let irqs: Vec<_> = eth0.irqs.iter().map(|irq| (irq.number, irq.cpus.clone())).collect();
        assert_eq!(irqs, [(38, Some(vec![1])), (39, Some(vec![0, 1]))]);
        assert_eq!(eth0.irqs[1].count, 1100);
        let irqs: Vec<_> = found[1].irqs.iter().map(|irq| (irq.number, irq.queue)).collect();
        assert_eq!((found[1].node, irqs), (Some(1), vec![(50, 12), (51, 3)]));
    }
}
