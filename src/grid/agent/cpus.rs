//! CPUs for nodes: those that are asked for, each one node's at a time; or none in particular.

use super::error::Refusal;

/// No host has more.
const MOST: usize = 4096;

/// What `--cores` would read: a count, or a list.
enum Asked {
    Count(usize),
    List(Vec<usize>),
}

/// The CPUs of a node, of those that the host lets the agent use and no other node has; empty for any, unpinned.
pub(super) fn choose(asked: &str, available: &[usize], taken: &[usize]) -> Result<Vec<usize>, Refusal> {
    let refused = |problem: String| Refusal::Cores { cores: asked.into(), problem };
    let asked_for = match asked.trim() {
        "" => return Ok(Vec::new()),
        text => parse(text).map_err(refused)?,
    };
    let free: Vec<usize> = available.iter().copied().filter(|cpu| !taken.contains(cpu)).collect();
    match asked_for {
        Asked::Count(count) if count <= free.len() => Ok(free.into_iter().take(count).collect()),
        Asked::Count(count) => Err(refused(format!(
            "{count} CPUs are asked for, and {} are free ({}); ask for fewer, or for none in particular",
            free.len(),
            written(&free)
        ))),
        Asked::List(list) => {
            if let Some(cpu) = list.iter().find(|cpu| !available.contains(cpu)) {
                let has = written(available);
                return Err(refused(format!("this host has no CPU {cpu} for nodes; it has {has}")));
            }
            if let Some(cpu) = list.iter().find(|cpu| taken.contains(cpu)) {
                let free = if free.is_empty() { "none".into() } else { written(&free) };
                return Err(refused(format!("another node of this agent has CPU {cpu}; free are {free}")));
            }
            Ok(list)
        }
    }
}

/// The list as `--cores` reads it: with a comma behind a single one, which would be a count without.
pub(super) fn written(cpus: &[usize]) -> String {
    let text = cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if cpus.len() == 1 { text + "," } else { text }
}

/// What was written, or nothing of it that is none.
pub(super) fn read(text: &str) -> Vec<usize> {
    text.split(',').filter_map(|cpu| cpu.trim().parse().ok()).collect()
}

fn parse(text: &str) -> Result<Asked, String> {
    let wrong = || "is neither a number of CPUs (4) nor a list of them (0,2,4-7; \"3,\" for CPU 3 alone)".to_owned();
    if let Ok(count) = text.parse::<usize>() {
        return if count == 0 { Err("at least one CPU is needed".into()) } else { Ok(Asked::Count(count)) };
    }
    let mut list = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        if last < first || last >= MOST {
            return Err(wrong());
        }
        for cpu in first..=last {
            if list.contains(&cpu) {
                return Err(format!("names CPU {cpu} twice"));
            }
            list.push(cpu);
        }
    }
    if list.is_empty() { Err(wrong()) } else { Ok(Asked::List(list)) }
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
        assert!(choose("3-99999999999", &has, &[]).is_err());
        assert_eq!((written(&[3]), written(&[1, 2])), ("3,".into(), "1,2".into()));
        assert_eq!(read(&written(&[3])), [3]);
    }
}
