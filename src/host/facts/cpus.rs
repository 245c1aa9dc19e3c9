//! The CPUs of a host: which are online, which share a core, which are of which NUMA node.

use crate::root::{Root, numbers};

const FOLDER: &str = "/sys/devices/system/cpu";

/// Those that are online; `None` where it is not told.
pub(crate) fn online(root: &Root) -> Option<Vec<usize>> {
    numbers(&root.text(format!("{FOLDER}/online"))?).filter(|cpus| !cpus.is_empty())
}

/// A file of each CPU that has it: `cpufreq/scaling_governor`.
pub(crate) fn files(root: &Root, file: &str) -> Vec<String> {
    let is_cpu = |name: &&String| {
        name.strip_prefix("cpu").is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let names = root.names(FOLDER);
    let paths = names.iter().filter(is_cpu).map(|name| format!("{FOLDER}/{name}/{file}"));
    paths.filter(|path| root.has(path)).collect()
}

/// Of these CPUs the first of each physical core; `None` where it is not told.
pub(crate) fn one_a_core(root: &Root, cpus: &[usize]) -> Option<Vec<usize>> {
    let mut firsts = Vec::new();
    let mut covered = Vec::new();
    for cpu in cpus {
        let list = root.text(format!("{FOLDER}/cpu{cpu}/topology/thread_siblings_list"))?;
        let siblings = numbers(&list)?;
        if !covered.contains(cpu) {
            firsts.push(*cpu);
            covered.extend(siblings);
        }
    }
    Some(firsts)
}

/// The NUMA nodes, each with its CPUs; empty where it is not told.
pub(crate) fn nodes(root: &Root) -> Vec<(usize, Vec<usize>)> {
    let folder = "/sys/devices/system/node";
    let nodes = root.names(folder).into_iter().filter_map(|name| {
        let node = name.strip_prefix("node")?.parse().ok()?;
        let cpus = numbers(&root.text(format!("{folder}/{name}/cpulist"))?)?;
        Some((node, cpus))
    });
    nodes.collect()
}

/// A list of CPUs as the mask that `rps_cpus` and `xps_cpus` take: 32 bits a word, highest first.
pub(crate) fn mask(cpus: &[usize]) -> String {
    let words = cpus.iter().max().map_or(1, |highest| highest / 32 + 1);
    let word = |at: usize| {
        let bits = cpus.iter().filter(|cpu| **cpu / 32 == at).map(|cpu| 1u32 << (cpu % 32));
        bits.fold(0, |all, bit| all | bit)
    };
    let mut text = format!("{:x}", word(words - 1));
    for at in (0..words - 1).rev() {
        text += &format!(",{:08x}", word(at));
    }
    text
}

/// The CPUs of such a mask; `None` where it is none.
pub(crate) fn of_mask(mask: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for (at, word) in mask.trim().rsplit(',').enumerate() {
        let word = u32::from_str_radix(word, 16).ok()?;
        cpus.extend((0..32).filter(|bit| word >> bit & 1 == 1).map(|bit| at * 32 + bit));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::root::tests::Sample;

    #[test]
    fn masks_are_written_and_read_as_the_kernel_does() {
        for (cpus, text) in [
            (vec![], "0"),
            (vec![0, 1], "3"),
            (vec![0, 32, 63], "80000001,00000001"),
            (vec![64], "1,00000000,00000000"),
        ] {
            assert_eq!(mask(&cpus), text);
            assert_eq!(of_mask(text).unwrap(), cpus);
        }
        assert_eq!(of_mask("00000000,0000000f\n"), Some(vec![0, 1, 2, 3]));
        assert_eq!(of_mask("x"), None);
    }

    #[test]
    fn siblings_and_nodes_are_known_by_what_the_kernel_lists() {
        let sample = Sample::new(&[
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n"),
            ("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n"),
            ("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n"),
            ("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3\n"),
            ("/sys/devices/system/node/node0/cpulist", "0-1\n"),
            ("/sys/devices/system/node/node1/cpulist", "2-3\n"),
            ("/sys/devices/system/cpu/cpufreq/x", ""),
        ]);
        let root = sample.root();
        assert_eq!(online(&root), Some(vec![0, 1, 2, 3]));
        assert_eq!(one_a_core(&root, &[0, 1, 2, 3]), Some(vec![0, 1]));
        assert_eq!(one_a_core(&root, &[2, 3]), Some(vec![2, 3]));
        assert_eq!(one_a_core(&root, &[7]), None);
        assert_eq!(nodes(&root), [(0, vec![0, 1]), (1, vec![2, 3])]);
        assert_eq!(files(&root, "topology/thread_siblings_list").len(), 4);
    }
}
