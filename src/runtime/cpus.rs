//! Which CPUs this process may use: its affinity mask says which, its cgroup's quota how many.
//!
//! To be read before any thread is pinned, as the mask is the calling thread's.
//! [`crate::placement`] decides which of them to take.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// No host has more.
const MOST: usize = 4096;

/// Which CPUs are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Cores {
    /// As many CPUs as the quota pays for.
    #[default]
    All,
    /// So many of the CPUs that the process may use.
    Count(usize),
    /// The CPUs of these numbers.
    List(Vec<usize>),
}

impl FromStr for Cores {
    type Err = String;

    /// `4` is a count; `0,2,4-7` is a list; `3,` is the one CPU 3.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let like = "a number of CPUs (4) nor a list of them (0,2,4-7; \"3,\" for CPU 3 alone)";
            format!("{text:?} is neither {like}")
        };
        if let Ok(count) = text.parse::<usize>() {
            return if count == 0 {
                Err("at least one core is needed".into())
            } else {
                Ok(Self::Count(count))
            };
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
                    return Err(format!(
                        "{text:?} names CPU {cpu} twice; each core has a CPU of its own"
                    ));
                }
                list.push(cpu);
            }
        }
        if list.is_empty() { Err(wrong()) } else { Ok(Self::List(list)) }
    }
}

/// The CPUs that the calling thread may run on, lowest first. Never empty.
pub fn allowed_cpus() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut cpus: Vec<usize> = cores.into_iter().map(|core| core.id).collect();
    if cpus.is_empty() {
        cpus.push(0);
    }
    cpus
}

/// How many CPUs the quota of the process's cgroup pays for (v2 `cpu.max`, v1 `cpu.cfs_quota_us`),
/// rounded up; `None` without any.
pub fn cpu_quota() -> Option<usize> {
    cgroup_quota().map(|quota| quota.max(1))
}

/// The lowest of the allowed CPUs, as many as the quota pays for. Never empty.
pub fn available_cpus() -> Vec<usize> {
    let mut cpus = allowed_cpus();
    cpus.truncate(cpu_quota().unwrap_or(usize::MAX));
    cpus
}

/// The smallest quota, in whole CPUs, among the process's cgroup and its parents; `None` without
/// any.
fn cgroup_quota() -> Option<usize> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut smallest: Option<usize> = None;
    for (root, path, version) in cpu_cgroups(&memberships) {
        // A container sees its own group as the root, so the path may not exist below the mount:
        // then the root counts.
        let own = root.join(path.trim_start_matches('/'));
        let mut folder: Option<&Path> = Some(&own);
        while let Some(here) = folder.filter(|here| here.starts_with(&root)) {
            let quota = match version {
                Version::Two => {
                    fs::read_to_string(here.join("cpu.max")).ok().and_then(|text| quota_v2(&text))
                }
                Version::One => quota_v1(
                    &fs::read_to_string(here.join("cpu.cfs_quota_us")).unwrap_or_default(),
                    &fs::read_to_string(here.join("cpu.cfs_period_us")).unwrap_or_default(),
                ),
            };
            smallest = match (smallest, quota) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            folder = here.parent();
        }
    }
    smallest
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where the process's CPU limits are written: mount point, group path and version for each line of
/// `/proc/self/cgroup` (cgroups(7)) that concerns the CPU.
fn cpu_cgroups(memberships: &str) -> Vec<(PathBuf, &str, Version)> {
    let mut found = Vec::new();
    for line in memberships.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if controllers.is_empty() {
            found.push((PathBuf::from("/sys/fs/cgroup"), path, Version::Two));
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            found.push((Path::new("/sys/fs/cgroup").join(controllers), path, Version::One));
            found.push((PathBuf::from("/sys/fs/cgroup/cpu"), path, Version::One));
        }
    }
    found
}

/// `cpu.max`: "max 100000" or "quota period", both in microseconds; in whole CPUs, rounded up.
fn quota_v2(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cpus(quota, period)
}

/// `cpu.cfs_quota_us` (-1 for none) and `cpu.cfs_period_us`; in whole CPUs, rounded up.
fn quota_v1(quota: &str, period: &str) -> Option<usize> {
    whole_cpus(quota.trim(), period.trim())
}

fn whole_cpus(quota: &str, period: &str) -> Option<usize> {
    let quota: u64 = quota.parse().ok()?; // "max" and "-1" are no number of microseconds: no limit
    let period: u64 = period.parse().ok().filter(|period| *period > 0)?;
    usize::try_from(quota.div_ceil(period)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_read_as_a_count_or_as_a_list() {
        assert_eq!("4".parse(), Ok(Cores::Count(4)));
        assert_eq!("0,2,4-6".parse(), Ok(Cores::List(vec![0, 2, 4, 5, 6])));
        assert_eq!("3,".parse(), Ok(Cores::List(vec![3])));
        for wrong in ["", "0", "x", "3-1", "1,1", "0-99999", "3-99999999999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_thread_may_pin_itself_to_every_cpu_that_is_available() {
        for cpu in available_cpus() {
            // In a thread of its own, as pinning lasts.
            let pinned = std::thread::spawn(move || {
                core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
                    && available_cpus() == [cpu]
            });
            assert!(pinned.join().is_ok_and(|pinned| pinned), "CPU {cpu}");
        }
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_cpus() {
        assert_eq!(quota_v2("150000 100000\n"), Some(2));
        assert_eq!(quota_v2("400000 100000"), Some(4));
        assert_eq!(quota_v2("max 100000"), None);
        assert_eq!(quota_v2(""), None);
        assert_eq!(quota_v1("50000\n", "100000\n"), Some(1));
        assert_eq!(quota_v1("-1", "100000"), None);
        assert_eq!(quota_v1("100", "0"), None);
    }

    #[test]
    fn the_groups_that_limit_the_cpu_are_found_in_both_versions() {
        let found =
            cpu_cgroups("5:cpu,cpuacct:/docker/a:b\n4:memory:/m\n0::/user.slice\nnonsense\n");
        let paths: Vec<_> =
            found.iter().map(|(root, path, version)| (root.to_str(), *path, *version)).collect();
        assert_eq!(
            paths,
            [
                (Some("/sys/fs/cgroup/cpu,cpuacct"), "/docker/a:b", Version::One),
                (Some("/sys/fs/cgroup/cpu"), "/docker/a:b", Version::One),
                (Some("/sys/fs/cgroup"), "/user.slice", Version::Two),
            ]
        );
    }
}
