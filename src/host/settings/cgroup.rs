//! What a container or a service may use: CPU time, CPUs, memory.

use std::fs;

use sutra_runtime::{CgroupVersion, Quota, cgroups, memory_limit};

use crate::host::Host;
use crate::root::{listed, numbers};
use crate::setting::{Group, Look, Setting, Severity};

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "cpu-quota",
        group: Group::Cgroup,
        why: "A core's thread answers everything that its shard owns. When the group's quota is \
              spent, all threads of the group stand still until the next period begins.",
        effect: "A server that wanted 0.46 CPUs and was given 0.2: the median stayed at 0.75 ms, \
                 and the p99 went from 3 ms to 54 ms (64 connections, queries).",
        source: "measured with `sutra bench` on a 2-core virtual EPYC; Linux, \
                 Documentation/scheduler/sched-bwc.rst",
        look: quota,
        tuning: None,
    },
    Setting {
        name: "affinity",
        group: Group::Cgroup,
        why: "The server has a core for each CPU that it may use, and a store keeps the number of \
              cores that it was made with, unless `--cores` names another.",
        effect: "A store that was made under a narrow mask keeps few cores on every host until a \
                 start names more.",
        source: "src/cli/README.md, setting `cores`; src/store/README.md",
        look: affinity,
        tuning: None,
    },
    Setting {
        name: "memory-limit",
        group: Group::Cgroup,
        why: "All that is stored is in memory, too: the log's segments are mapped and filled at \
              the start.",
        effect: "At the limit the kernel ends the server, and ends it again at the next start, as \
                 the log is no smaller then.",
        source: "Linux, Documentation/admin-guide/cgroup-v2.rst, memory.max",
        look: memory,
        tuning: None,
    },
];

/// How often and how long a group was held, from its `cpu.stat`.
fn held(quota: &Quota) -> Option<String> {
    let text = quota.group.read("cpu.stat")?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        line.parse::<u64>().ok()
    };
    let time = match quota.group.version {
        CgroupVersion::Two => value("throttled_usec")? / 1000,
        CgroupVersion::One => value("throttled_time")? / 1_000_000,
    };
    Some(format!("held {} times so far, {time} ms in all", value("nr_throttled")?))
}

fn quota(host: &Host) -> Look {
    if host.process.text(&host.root, "cgroup").is_none() {
        return Look::unknown("the process's cgroup is not told");
    }
    let wanted = "no quota, or whole CPUs with as many cores";
    let Some(quota) = host.quota() else {
        return Look::good("none", wanted);
    };
    let (cpus, group) = (quota.cpus(), quota.group.folder.display());
    let current = format!(
        "{cpus:.2} CPUs ({} of {} ms, {group})",
        quota.time.as_millis(),
        quota.period.as_millis()
    );
    let whole = quota.whole_cpus();
    let remedy = format!(
        "lift it (systemd CPUQuota=, docker run --cpus, Kubernetes resources.limits.cpu), better \
         with a cpuset of whole CPUs; until then `sutra serve --cores {whole} --no-pin`"
    );
    let look = Look::wrong(Severity::Warning, current, wanted, remedy);
    match held(&quota) {
        Some(held) => look.measured(held),
        None => look,
    }
}

/// The CPUs that the nearest group allows that says so.
fn cpuset(host: &Host) -> Option<Vec<usize>> {
    let memberships = host.process.text(&host.root, "cgroup")?;
    let groups = cgroups(host.root.folder(), &memberships, "cpuset");
    groups.iter().find_map(|group| {
        let file = match group.version {
            CgroupVersion::Two => "cpuset.cpus.effective",
            CgroupVersion::One => "cpuset.effective_cpus",
        };
        numbers(&group.read(file)?).filter(|cpus| !cpus.is_empty())
    })
}

fn affinity(host: &Host) -> Look {
    let (Some(allowed), Some(online)) = (host.allowed(), host.online()) else {
        return Look::unknown("which CPUs are online and allowed is not told");
    };
    let missing: Vec<usize> = online.iter().copied().filter(|cpu| !allowed.contains(cpu)).collect();
    let current = format!("CPUs {} of {}", listed(&allowed), listed(&online));
    let wanted = format!("all: {}", listed(&online));
    if missing.is_empty() {
        return Look::good(current, wanted);
    }
    // A cpuset is somebody's decision; a mask within it is often left over from a shell.
    let by_cpuset = cpuset(host).is_some_and(|cpus| cpus.iter().all(|cpu| allowed.contains(cpu)));
    match by_cpuset {
        true => Look::wrong(
            Severity::Hint,
            current + ", by the cpuset",
            wanted,
            "if it is not meant so: systemd AllowedCPUs=, docker run --cpuset-cpus, Kubernetes' \
             static CPU manager",
        ),
        false => Look::wrong(
            Severity::Warning,
            current + ", by the affinity mask",
            wanted,
            format!(
                "start it with all: `taskset -c {} sutra serve`; systemd CPUAffinity=",
                listed(&online)
            ),
        ),
    }
}

/// Bytes of the log in the data folder.
fn log_bytes(host: &Host) -> u64 {
    let folder = host.root.at(host.data());
    let inside = |path| fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let shards =
        inside(folder).filter(|entry| entry.file_name().to_string_lossy().starts_with("shard-"));
    let files = shards.flat_map(|shard| inside(shard.path()));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// The tightest limit of the groups, or the host's memory: bytes, and what says so.
fn limit(host: &Host) -> Option<(u64, &'static str)> {
    let memberships = host.process.text(&host.root, "cgroup").unwrap_or_default();
    let limit = memory_limit(host.root.folder(), &memberships);
    let meminfo = host.root.text("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = total.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024;
    Some(match limit.filter(|limit| *limit < total) {
        Some(limit) => (limit, "the group's limit"),
        None => (total, "this host's memory"),
    })
}

fn memory(host: &Host) -> Look {
    let Some((limit, what)) = limit(host) else {
        return Look::unknown("the memory of this host is not told");
    };
    let stored = log_bytes(host);
    let mebibytes = |bytes: u64| bytes >> 20;
    let current = format!(
        "{} MiB ({what}), {} MiB of log in the data folder",
        mebibytes(limit),
        mebibytes(stored)
    );
    let least = host.needs.segment_bytes * 2 * host.cores() as u64;
    let wanted = "the log and a quarter more, and two segments a core";
    let remedy = "raise it (systemd MemoryMax=, docker run --memory, Kubernetes \
                  resources.limits.memory), or move to a host with more memory";
    let needed = (stored + stored / 4).max(least);
    let severity = match limit {
        limit if limit < stored => Severity::Fatal,
        limit if limit < needed => Severity::Warning,
        _ => return Look::good(current, wanted),
    };
    Look::wrong(severity, current, wanted, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    const ONLINE: (&str, &str) = ("/sys/devices/system/cpu/online", "0-3\n");

    #[test]
    fn a_quota_is_told_with_how_often_it_held_the_group() {
        let sample = Sample::new(&[
            ("/proc/self/cgroup", "0::/a\n"),
            ("/sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/a/cpu.stat", "nr_periods 9\nnr_throttled 7\nthrottled_usec 42000\n"),
        ]);
        let look = quota(&host(sample.root()));
        assert_eq!(look.state, State::Wrong(Severity::Warning));
        assert!(look.current.starts_with("1.50 CPUs (150 of 100 ms"), "{}", look.current);
        assert!(look.remedy.contains("--cores 2"), "{}", look.remedy);
        assert_eq!(look.measured, "held 7 times so far, 42 ms in all");
        sample.write("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
        assert_eq!(quota(&host(sample.root())).state, State::Good);
        assert_eq!(quota(&host(Sample::new(&[]).root())).state, State::Unknown);
    }

    #[test]
    fn a_mask_within_the_cpuset_is_a_warning_and_the_cpuset_itself_a_hint() {
        let at = |allowed: &str, cpuset: &str| {
            let status = format!("Cpus_allowed_list:\t{allowed}\n");
            let files = [
                ONLINE,
                ("/proc/self/status", &status),
                ("/proc/self/cgroup", "0::/a\n"),
                ("/sys/fs/cgroup/a/cpuset.cpus.effective", cpuset),
            ];
            affinity(&host(Sample::new(&files).root())).state
        };
        assert_eq!(at("0-3", "0-3\n"), State::Good);
        assert_eq!(at("1", "0-3\n"), State::Wrong(Severity::Warning));
        assert_eq!(at("1-2", "1-2\n"), State::Wrong(Severity::Hint));
        assert_eq!(affinity(&host(Sample::new(&[ONLINE]).root())).state, State::Unknown);
    }

    #[test]
    fn the_memory_that_there_is_is_held_against_the_log() {
        let at = |limit: &str, log: usize| {
            let files = [
                ("/proc/meminfo", "MemTotal:       4194304 kB\nMemFree: 1 kB\n"),
                ("/proc/self/cgroup", "4:memory:/m\n"),
                ("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", limit),
                ("/srv/data/shard-000/segment-00000000.log", &"x".repeat(log)),
            ];
            memory(&host(Sample::new(&files).root()))
        };
        let none = at("9223372036854771712\n", 1 << 20);
        assert!(none.state == State::Good && none.current.starts_with("4096 MiB (this host's"));
        let small = at("67108864\n", 1 << 20);
        assert_eq!(small.state, State::Wrong(Severity::Warning));
        assert!(small.current.starts_with("64 MiB (the group's limit), 1 MiB of log"));
        assert_eq!(at("1000000\n", 2 << 20).state, State::Wrong(Severity::Fatal));
    }
}
