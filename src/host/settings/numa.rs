//! Which memory is near: to the cores, the network cards and the disks.

use crate::facts::cpus;
use crate::host::Host;
use crate::root::listed;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const BALANCING: &str = "/proc/sys/kernel/numa_balancing";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "numa-nodes",
        group: Group::Numa,
        why: "A core, its memory, its network card and its disk are best on one NUMA node: what \
              is on another one is reached through the link between the sockets.",
        effect: "The kernel tells how far nodes are in node*/distance: 10 is one's own, and 20 \
                 takes twice as long.",
        source: "Linux, Documentation/mm/numa.rst; ACPI, System Locality Information Table",
        look: nodes,
        tuning: None,
    },
    Setting {
        name: "numa-balancing",
        group: Group::Numa,
        why: "Automatic balancing takes pages away from a thread for a moment, to learn who uses \
              them, and moves them. The server's threads stay where they are, and so does their \
              memory.",
        effect: "Page faults, in waves, on memory that is where it belongs.",
        source: "Linux, Documentation/admin-guide/sysctl/kernel.rst, numa_balancing",
        look: balancing,
        tuning: Tuning::of(no_balancing),
    },
];

/// A disk's node; `None` where it has none, or it is not told.
fn node_of_disk(host: &Host, disk: &str) -> Option<usize> {
    let node = host.root.number::<i64>(format!("/sys/block/{disk}/device/numa_node"));
    // NVMe disks tell it for their controller, one folder up.
    let node = node
        .or_else(|| host.root.number::<i64>(format!("/sys/block/{disk}/device/device/numa_node")));
    usize::try_from(node?).ok()
}

fn nodes(host: &Host) -> Look {
    let all = cpus::nodes(&host.root);
    let (Some(allowed), [_, ..]) = (host.allowed(), all.as_slice()) else {
        return Look::unknown("the NUMA nodes are not told");
    };
    if let [(node, _)] = all.as_slice() {
        return Look::absent(format!("everything is on node {node}"));
    }
    let is_used = |cpus: &[usize]| cpus.iter().any(|cpu| allowed.contains(cpu));
    let used: Vec<usize> =
        all.iter().filter(|(_, cpus)| is_used(cpus)).map(|(node, _)| *node).collect();
    let mut told = vec![format!("cores on nodes {}", listed(&used))];
    let mut devices: Vec<usize> = Vec::new();
    for nic in host.nics() {
        if let Some(node) = nic.node {
            told.push(format!("{} on {node}", nic.name));
            devices.push(node);
        }
    }
    for disk in host.disks() {
        if let Some(node) = node_of_disk(host, &disk) {
            told.push(format!("{disk} on {node}"));
            devices.push(node);
        }
    }
    let wanted = "cores, network card and disk on one node";
    let home = devices.first().or(used.first()).copied().unwrap_or(0);
    if used == [home] && devices.iter().all(|node| *node == home) {
        return Look::good(told.join(", "), wanted);
    }
    let near = all.iter().find(|(node, _)| *node == home).map(|(_, cpus)| listed(cpus));
    let remedy = format!(
        "`numactl --membind={home} sutra serve --cores {}`; systemd NUMAPolicy=bind \
         NUMAMask={home}",
        near.unwrap_or_default()
    );
    Look::wrong(Severity::Hint, told.join(", "), wanted, remedy)
}

fn balancing(host: &Host) -> Look {
    if cpus::nodes(&host.root).len() == 1 {
        return Look::absent("one node: nothing to balance");
    }
    match host.root.text(BALANCING).as_deref() {
        None => Look::unknown(format!("{BALANCING} is not there")),
        Some("0") => Look::good("0", "0"),
        Some(on) => Look::wrong(Severity::Warning, on, "0", "sutra tune numa-balancing"),
    }
}

fn no_balancing(host: &Host) -> Vec<Live> {
    where_there(host, BALANCING, "0").into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn two_nodes(allowed: &str) -> Sample {
        let status = format!("Cpus_allowed_list:\t{allowed}\n");
        Sample::new(&[
            ("/proc/self/status", &status),
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/sys/devices/system/node/node0/cpulist", "0-1\n"),
            ("/sys/devices/system/node/node1/cpulist", "2-3\n"),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/device/numa_node", "1\n"),
            (BALANCING, "1\n"),
        ])
    }

    #[test]
    fn cores_on_both_nodes_are_told_with_those_near_the_card() {
        let look = nodes(&host(two_nodes("0-3").root()));
        assert_eq!(look.state, State::Wrong(Severity::Hint));
        assert_eq!(look.current, "cores on nodes 0-1, eth0 on 1");
        assert!(look.remedy.contains("--membind=1 sutra serve --cores 2-3"), "{}", look.remedy);
        assert_eq!(nodes(&host(two_nodes("2-3").root())).state, State::Good);
        assert_eq!(nodes(&host(two_nodes("0-1").root())).state, State::Wrong(Severity::Hint));
    }

    #[test]
    fn balancing_matters_where_there_are_several_nodes() {
        let sample = two_nodes("0-3");
        let several = host(sample.root());
        assert_eq!(balancing(&several).state, State::Wrong(Severity::Warning));
        let sample = Sample::new(&[
            ("/proc/self/status", "Cpus_allowed_list:\t0\n"),
            ("/sys/devices/system/node/node0/cpulist", "0\n"),
            (BALANCING, "1\n"),
        ]);
        let one = host(sample.root());
        assert_eq!((balancing(&one).state, nodes(&one).state), (State::Absent, State::Absent));
        let nowhere = host(Sample::new(&[]).root());
        let states = (balancing(&nowhere).state, nodes(&nowhere).state);
        assert_eq!(states, (State::Unknown, State::Unknown));
    }
}
