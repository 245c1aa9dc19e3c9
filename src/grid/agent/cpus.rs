//! CPUs for nodes: those that are asked for, each for one node at a time; or any.

use sutra_runtime::{Cores, by_use};

use crate::error::Refusal;

/// The CPUs that there are, in the order in which nodes that ask for a number of them get them:
/// those first that nobody else uses. Takes a look at every process where that matters.
pub(crate) fn in_order(asked: &str, available: &[usize]) -> Vec<usize> {
    let is_count = matches!(asked.trim().parse(), Ok(Cores::Count(_)));
    if is_count { by_use(available) } else { available.to_vec() }
}

/// The CPUs of a node, the first of those that the host lets the agent use and no other node has;
/// empty for any, unpinned.
pub(crate) fn choose(
    asked: &str,
    available: &[usize],
    taken: &[usize],
) -> Result<Vec<usize>, Refusal> {
    let refused = |problem: String| Refusal::Cores { cores: asked.into(), problem };
    let asked_for = match asked.trim() {
        "" => return Ok(Vec::new()),
        text => text.parse::<Cores>().map_err(refused)?,
    };
    let free: Vec<usize> = available.iter().copied().filter(|cpu| !taken.contains(cpu)).collect();
    match asked_for {
        Cores::All => Ok(Vec::new()),
        Cores::Count(count) if count <= free.len() => {
            let mut cpus: Vec<usize> = free.into_iter().take(count).collect();
            cpus.sort_unstable();
            Ok(cpus)
        }
        Cores::Count(count) => Err(refused(format!(
            "{count} CPUs are asked for, and {} are free ({}); \
             ask for fewer, or for none in particular",
            free.len(),
            written(&free)
        ))),
        Cores::List(list) => {
            if let Some(cpu) = list.iter().find(|cpu| !available.contains(cpu)) {
                let has = written(available);
                return Err(refused(format!("this host has no CPU {cpu} for nodes; it has {has}")));
            }
            if let Some(cpu) = list.iter().find(|cpu| taken.contains(cpu)) {
                let free = if free.is_empty() { "none".into() } else { written(&free) };
                return Err(refused(format!(
                    "another node of this agent has CPU {cpu}; free are {free}"
                )));
            }
            Ok(list)
        }
    }
}

/// The list as `--cores` reads it: with a comma behind a single one, which would be a count
/// without.
pub(crate) fn written(cpus: &[usize]) -> String {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    let text = cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if cpus.len() == 1 { text + "," } else { text }
}

/// Reads what [`written`] wrote; leaves out what is not a CPU.
pub(crate) fn read(text: &str) -> Vec<usize> {
    text.split(',').filter_map(|cpu| cpu.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cpus_are_one_nodes_at_a_time_and_the_hosts() {
        let has = [0, 1, 2, 3];
        assert_eq!(choose("", &has, &has).unwrap(), [0; 0]);
        assert_eq!(choose("2", &has, &[0]).unwrap(), [1, 2]);
        assert_eq!(choose("2", &[3, 0, 2, 1], &[0]).unwrap(), [2, 3], "the least used come first");
        assert_eq!(choose("1,3", &has, &[0]).unwrap(), [1, 3]);
        assert_eq!(choose("3,", &has, &[]).unwrap(), [3]);
        for (asked, says) in [
            ("4", "3 are free"),
            ("0-1", "has CPU 0"),
            ("7,", "no CPU 7"),
            ("x", "neither"),
            ("0", "one"),
            ("1,1", "twice"),
        ] {
            let error = choose(asked, &has, &[0]).unwrap_err().to_string();
            assert!(error.contains(says), "{asked}: {error}");
        }
        assert_eq!((written(&[3]), written(&[1, 2])), ("3,".into(), "1,2".into()));
        assert_eq!(read(&written(&[3])), [3]);
    }
}
