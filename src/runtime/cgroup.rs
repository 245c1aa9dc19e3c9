//! The cgroups of a process, in both versions: where the limits of its CPU time and its memory are
//! written.
//!
//! A group's limit holds for all groups below it, so each question goes up to the root. Everything
//! is read below a root folder that the caller names: "/" is this host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which of the two kinds of cgroups a group is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// A group that a process is in, or one above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Where its files are.
    pub folder: PathBuf,
    /// What its files are called follows from this.
    pub version: CgroupVersion,
}

impl Cgroup {
    /// A file of it, without the blanks at its ends; `None` where there is none.
    pub fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok().map(|text| text.trim().to_owned())
    }
}

/// The groups that limit a process, from its own upwards. `memberships` is the text of its
/// `/proc/PID/cgroup` (cgroups(7)), `controller` is `cpu`, `cpuset` or `memory`.
pub fn cgroups(root: &Path, memberships: &str, controller: &str) -> Vec<Cgroup> {
    let mut found = Vec::new();
    for line in memberships.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let all = root.join("sys/fs/cgroup");
        if controllers.is_empty() {
            add(&mut found, &all, path, CgroupVersion::Two);
        } else if controllers.split(',').any(|known| known == controller) {
            add(&mut found, &all.join(controllers), path, CgroupVersion::One);
            if controllers != controller {
                add(&mut found, &all.join(controller), path, CgroupVersion::One);
            }
        }
    }
    found
}

/// The group of this path and those above it, up to the mount point. A container sees its own
/// group as the root, so the path may not exist below the mount: then the root counts.
fn add(found: &mut Vec<Cgroup>, mount: &Path, path: &str, version: CgroupVersion) {
    let own = mount.join(path.trim_start_matches('/'));
    let above = own.ancestors().take_while(|folder| folder.starts_with(mount));
    found.extend(above.map(|folder| Cgroup { folder: folder.to_owned(), version }));
}

/// A limit on CPU time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// CPU time that the group may use.
    pub time: Duration,
    /// In each period of this length.
    pub period: Duration,
    /// The group that has the limit.
    pub group: Cgroup,
}

impl Quota {
    /// How many CPUs it pays for.
    pub fn cpus(&self) -> f64 {
        self.time.as_secs_f64() / self.period.as_secs_f64()
    }

    /// The same in whole CPUs, rounded up; never 0.
    pub fn whole_cpus(&self) -> usize {
        let whole = self.time.as_micros().div_ceil(self.period.as_micros().max(1));
        usize::try_from(whole).unwrap_or(usize::MAX).max(1)
    }

    fn of(group: Cgroup) -> Option<Self> {
        let (time, period) = match group.version {
            CgroupVersion::Two => {
                let text = group.read("cpu.max")?;
                let (time, period) = text.split_once(' ')?;
                (time.to_owned(), period.to_owned())
            }
            CgroupVersion::One => {
                (group.read("cpu.cfs_quota_us")?, group.read("cpu.cfs_period_us")?)
            }
        };
        // "max" and "-1" are no number of microseconds: no limit.
        let micros = |text: &str| text.parse().ok().map(Duration::from_micros);
        let (time, period) = (micros(&time)?, micros(&period)?);
        (!period.is_zero()).then_some(Self { time, period, group })
    }
}

/// The tightest quota of those that hold for a process; `None` without any.
pub fn tightest_quota(root: &Path, memberships: &str) -> Option<Quota> {
    let quotas = cgroups(root, memberships, "cpu").into_iter().filter_map(Quota::of);
    quotas.min_by(|a, b| a.cpus().total_cmp(&b.cpus()))
}

/// The smallest memory limit of those that hold for a process, in bytes; `None` without any.
pub fn memory_limit(root: &Path, memberships: &str) -> Option<u64> {
    let limits = cgroups(root, memberships, "memory").into_iter().filter_map(|group| {
        let file = match group.version {
            CgroupVersion::Two => "memory.max",
            CgroupVersion::One => "memory.limit_in_bytes",
        };
        // "max" is no number. Version 1 writes "no limit" as a number near 2^63.
        group.read(file)?.parse().ok().filter(|limit| *limit < 1 << 62)
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A host with these files below its root.
    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join("sys/fs/cgroup").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_cpus() {
        let cpus = |text: &str| {
            let root = host(&[("a/cpu.max", text)]);
            tightest_quota(root.path(), "0::/a\n").map(|quota| quota.whole_cpus())
        };
        assert_eq!(cpus("150000 100000\n"), Some(2));
        assert_eq!(cpus("400000 100000"), Some(4));
        assert_eq!(cpus("0 100000"), Some(1));
        for none in ["max 100000", "", "100 0", "nonsense"] {
            assert_eq!(cpus(none), None, "{none}");
        }
        let one = |quota: &str| {
            let files =
                [("cpu/a/cpu.cfs_quota_us", quota), ("cpu/a/cpu.cfs_period_us", "100000\n")];
            tightest_quota(host(&files).path(), "1:cpu:/a\n").map(|quota| quota.cpus())
        };
        assert_eq!((one("50000\n"), one("-1\n")), (Some(0.5), None));
    }

    #[test]
    fn the_tightest_quota_of_a_group_and_those_above_it_counts() {
        let root = host(&[
            ("above/cpu.max", "100000 100000\n"),
            ("above/own/cpu.max", "300000 100000\n"),
            ("cpu.max", "max 100000\n"),
        ]);
        let quota = tightest_quota(root.path(), "0::/above/own\n").unwrap();
        assert!(quota.whole_cpus() == 1 && quota.group.folder.ends_with("cgroup/above"));
    }

    #[test]
    fn the_smallest_memory_limit_counts_in_both_versions() {
        let limit = |files: &[(&str, &str)], memberships: &str| {
            memory_limit(host(files).path(), memberships)
        };
        let two = [("a/memory.max", "4096\n"), ("a/b/memory.max", "max\n")];
        assert_eq!(limit(&two, "0::/a/b\n"), Some(4096));
        let one = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/m/memory.limit_in_bytes", "8192\n"),
        ];
        assert_eq!(limit(&one, "4:memory:/m\n0::/a\n"), Some(8192));
        assert_eq!(limit(&one[..1], "4:memory:/\n"), None);
        assert_eq!(limit(&[], "0::/a\n"), None);
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_root_is_limited_by_the_root() {
        let root = host(&[("cpu.max", "200000 100000\n")]);
        let quota = tightest_quota(root.path(), "0::/docker/a:b\n").unwrap();
        assert_eq!(quota.whole_cpus(), 2);
    }

    #[test]
    fn the_groups_of_a_controller_are_found_in_both_versions() {
        let memberships = "5:cpu,cpuacct:/docker/a:b\n4:memory:/m\n0::/user.slice\nnonsense\n";
        let folders = |controller| -> Vec<_> {
            let found = cgroups(Path::new("/"), memberships, controller);
            found.into_iter().map(|group| (group.folder, group.version)).collect()
        };
        let one = |path: &str| (PathBuf::from("/sys/fs/cgroup").join(path), CgroupVersion::One);
        let cpu = folders("cpu");
        for wanted in [one("cpu,cpuacct/docker/a:b"), one("cpu/docker/a:b"), one("cpu")] {
            assert!(cpu.contains(&wanted), "{cpu:?}");
        }
        let memory = folders("memory");
        assert!(memory.contains(&one("memory/m")), "{memory:?}");
        let two = ("/sys/fs/cgroup/user.slice".into(), CgroupVersion::Two);
        assert!(memory.contains(&two) && cpu.contains(&two), "{memory:?}");
    }
}
