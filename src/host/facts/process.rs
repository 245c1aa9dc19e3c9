//! The process whose limits count: the server that runs on the data folder, where there is one.
//! Else it is this process, as a server that is started from the same shell has the same limits.

use std::net::SocketAddr;
use std::path::Path;

use crate::root::{Root, numbers};

/// A process, as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    folder: String,
    /// The number of the server that runs.
    pub(crate) server: Option<u32>,
    /// Where it listens.
    pub(crate) listening: Vec<SocketAddr>,
}

/// CAP_IPC_LOCK (capabilities(7)): locked memory is not limited.
const IPC_LOCK: u32 = 14;

impl Process {
    /// The one whose limits count. A server notes its number in its data folder's lock file, and
    /// where it listens.
    pub(crate) fn of(root: &Root, data: &Path) -> Self {
        let lock = root.text(data.join("lock")).unwrap_or_default();
        let number = lock.lines().next().and_then(|line| line.parse().ok());
        // The file of a server that was killed stays, and its number may be another program's.
        // A new version may run under a name of its own, which begins alike.
        let is_server = |pid: &u32| {
            let comm = root.text(format!("/proc/{pid}/comm"));
            comm.is_some_and(|comm| comm.starts_with("sutra"))
        };
        match number.filter(is_server) {
            Some(pid) => {
                let listed = lock.lines().nth(2).unwrap_or_default().split(", ");
                let listening = listed.filter_map(|address| address.parse().ok()).collect();
                Self { folder: format!("/proc/{pid}"), server: Some(pid), listening }
            }
            None => Self { folder: "/proc/self".into(), server: None, listening: Vec::new() },
        }
    }

    /// A file of its folder in `/proc`.
    pub(crate) fn text(&self, root: &Root, file: &str) -> Option<String> {
        root.text(format!("{}/{file}", self.folder))
    }

    /// A value of its status (proc_pid_status(5)).
    pub(crate) fn status(&self, root: &Root, key: &str) -> Option<String> {
        let status = self.text(root, "status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// The CPUs that it may run on.
    pub(crate) fn allowed_cpus(&self, root: &Root) -> Option<Vec<usize>> {
        numbers(&self.status(root, "Cpus_allowed_list")?).filter(|cpus| !cpus.is_empty())
    }

    /// Whether it may lock as much memory as it likes.
    pub(crate) fn may_lock_all(&self, root: &Root) -> bool {
        let effective = self.status(root, "CapEff");
        let bits = effective.and_then(|bits| u64::from_str_radix(&bits, 16).ok());
        bits.is_some_and(|bits| bits >> IPC_LOCK & 1 == 1)
    }

    /// A limit of it, soft and hard (proc_pid_limits(5)): `Max open files`.
    pub(crate) fn limit(&self, root: &Root, name: &str) -> Option<(Limit, Limit)> {
        let text = self.text(root, "limits")?;
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut values = rest.split_whitespace().map(Limit::parse);
        Some((values.next()??, values.next()??))
    }
}

/// The server that holds a shared lock on a folder, by how `/proc/locks` names that.
pub(crate) fn reader(root: &Root, folder: &str) -> Option<u32> {
    let locks = root.text("/proc/locks")?;
    let shared = |line: &&str| {
        line.contains("FLOCK")
            && line.contains("READ")
            && line.split(' ').any(|word| word == folder)
    };
    let holders = locks
        .lines()
        .filter(shared)
        .filter_map(|line| line.split_whitespace().find_map(|word| word.parse::<u32>().ok()));
    // Others read it, too: a verify, or a repair of it.
    holders.into_iter().find(|pid| {
        let program = root.text(format!("/proc/{pid}/comm")).unwrap_or_default();
        let words = root.text(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        program.starts_with("sutra") && words.split('\0').any(|word| word == "serve")
    })
}

/// How much of something a process may have. The greatest is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    Of(u64),
    None,
}

impl Limit {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "unlimited" => Some(Limit::None),
            number => number.parse().ok().map(Limit::Of),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::root::tests::Sample;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 524288               files
Max locked memory         8388608              unlimited            bytes
";

    #[test]
    fn limits_capabilities_and_cpus_are_those_of_a_server_that_runs() {
        let sample = Sample::new(&[
            ("/data/lock", "77\n1700000000000000\n127.0.0.1:50050\n"),
            ("/proc/77/comm", "sutra\n"),
            ("/proc/77/limits", LIMITS),
            (
                "/proc/77/status",
                "Name:\tsutra\nCapEff:\t0000000000004000\nCpus_allowed_list:\t2-3\n",
            ),
            ("/proc/self/status", "CapEff:\t0000000000000000\n"),
        ]);
        let root = sample.root();
        let server = Process::of(&root, Path::new("/data"));
        assert_eq!(server.server, Some(77));
        assert_eq!(server.listening, ["127.0.0.1:50050".parse().unwrap()]);
        let open = server.limit(&root, "Max open files").unwrap();
        assert_eq!(open, (Limit::Of(1024), Limit::Of(524_288)));
        assert_eq!(server.limit(&root, "Max locked memory").unwrap().1, Limit::None);
        assert!(server.may_lock_all(&root) && Limit::None > Limit::Of(u64::MAX));
        assert_eq!(server.allowed_cpus(&root), Some(vec![2, 3]));
        // Its number is another program's by now.
        sample.write("/proc/77/comm", "cat\n");
        let own = Process::of(&root, Path::new("/data"));
        assert!(own.server.is_none() && !own.may_lock_all(&root));
        assert!(own.listening.is_empty());
        assert_eq!((own.allowed_cpus(&root), own.limit(&root, "Max open files")), (None, None));
    }

    #[test]
    fn a_server_that_only_reads_is_told_by_its_lock_and_no_other_program_is_taken_for_it() {
        let sample = Sample::new(&[
            (
                "/proc/locks",
                "1: FLOCK  ADVISORY  READ 70 fe:00:9 0 EOF\n\
                 2: FLOCK  ADVISORY  READ 77 fe:00:9 0 EOF\n\
                 3: FLOCK  ADVISORY  WRITE 78 fe:00:8 0 EOF\n",
            ),
            ("/proc/70/comm", "sutra\n"),
            ("/proc/70/cmdline", "sutra\0verify\0"),
            ("/proc/77/comm", "sutra\n"),
            ("/proc/77/cmdline", "sutra\0serve\0--read-only\0"),
        ]);
        let root = sample.root();
        assert_eq!([reader(&root, "fe:00:9"), reader(&root, "fe:00:8")], [Some(77), None]);
    }
}
