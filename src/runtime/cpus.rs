//! Which CPUs this process may use: its affinity mask says which, its cgroup's quota how many.
//!
//! To be read before any thread is pinned, as the mask is the calling thread's.
//! [`crate::placement`] decides which of them to take.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::cgroup::tightest_quota;

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

/// How many CPUs the tightest quota of the process's cgroups pays for, rounded up; `None` without
/// any.
pub fn cpu_quota() -> Option<usize> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    tightest_quota(Path::new("/"), &memberships).map(|quota| quota.whole_cpus())
}

/// The lowest of the allowed CPUs, as many as the quota pays for. Never empty.
pub fn available_cpus() -> Vec<usize> {
    let mut cpus = allowed_cpus();
    cpus.truncate(cpu_quota().unwrap_or(usize::MAX));
    cpus
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
}
