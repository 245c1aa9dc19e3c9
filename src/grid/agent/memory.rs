//! Memory limits of nodes, by cgroup v2 where this process's group is delegated to it. Elsewhere
//! they are not enforced, and the agent says so.
//!
//! Only a group without processes of its own can give its children a memory limit. So the agent
//! moves itself into a child of the group that it was started in; under systemd `Delegate=memory`
//! with `DelegateSubgroup=sutra-agent` has it start there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The group of the agent itself, beside its nodes'.
const OWN: &str = "sutra-agent";

/// How memory limits are enforced on this host.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    /// In groups below this one.
    Groups(PathBuf),
    /// Not at all, and why.
    Unenforced(String),
}

/// The group of one node.
#[derive(Clone, Debug)]
pub(crate) struct Group(PathBuf);

impl Memory {
    /// Finds out what this process may do.
    pub(crate) fn probe() -> Self {
        match base() {
            Ok(base) => Self::Groups(base),
            Err(why) => Self::Unenforced(format!("unenforced: {why}")),
        }
    }

    /// How the limit of a node is kept, in words; nothing where it has none.
    pub(crate) fn words(&self, limit_mb: u64) -> String {
        match self {
            _ if limit_mb == 0 => String::new(),
            Self::Groups(_) => "cgroup v2 (memory.max)".into(),
            Self::Unenforced(why) => why.clone(),
        }
    }

    /// The group for a node with this limit, 0 for none; no group where none can be made. A node
    /// without a limit has a group as well, so that the agent's own limit does not apply to it.
    pub(crate) fn group(&self, node: &str, limit_mb: u64) -> io::Result<Option<Group>> {
        let Self::Groups(base) = self else { return Ok(None) };
        let group = base.join(format!("sutra-{node}"));
        if !group.is_dir() {
            fs::create_dir(&group)?;
        }
        let most = if limit_mb == 0 {
            "max".to_owned()
        } else {
            limit_mb.saturating_mul(1 << 20).to_string()
        };
        fs::write(group.join("memory.max"), most)?;
        Ok(Some(Group(group)))
    }

    /// Removes the group of a node that has no process.
    pub(crate) fn remove(&self, node: &str) {
        if let Self::Groups(base) = self {
            // Mostly there is none.
            let _ = fs::remove_dir(base.join(format!("sutra-{node}")));
        }
    }
}

impl Group {
    /// Where a process writes to become a member.
    pub(crate) fn members(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.0.join("cgroup.procs"))
    }
}

/// The group whose children can have memory limits, or why there is none.
fn base() -> Result<PathBuf, String> {
    let membership = fs::read_to_string("/proc/self/cgroup")
        .map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let own = own_group(&membership).ok_or("this process is in no group of cgroup v2")?;
    let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let mount = mount.into_iter().find(|mount| mount.join("cgroup.controllers").exists());
    let mount = mount.ok_or("cgroup v2 is not mounted at /sys/fs/cgroup")?;
    let own = mount.join(own.trim_start_matches('/'));
    let base = if own.ends_with(OWN) { own.parent().unwrap_or(mount).to_owned() } else { own };
    let has = |file: &str| {
        let text = fs::read_to_string(base.join(file)).unwrap_or_default();
        text.split_whitespace().any(|controller| controller == "memory")
    };
    if !has("cgroup.controllers") {
        return Err(format!(
            "the memory controller of cgroup v2 is not there for {}",
            base.display()
        ));
    }
    if !has("cgroup.subtree_control") {
        give_memory(&base).map_err(|error| {
            format!(
                "{} is not delegated to the agent ({error}); under systemd set Delegate=memory",
                base.display()
            )
        })?;
    }
    let trial = base.join(format!("sutra-trial-{}", std::process::id()));
    let made = fs::create_dir(&trial);
    let has_limit = trial.join("memory.max").exists();
    let _ = fs::remove_dir(&trial);
    made.map_err(|error| format!("no group can be made in {}: {error}", base.display()))?;
    if has_limit {
        Ok(base)
    } else {
        Err(format!("groups in {} have no memory.max", base.display()))
    }
}

/// Leaves the group for a child of it and has its children take memory limits; back again if that
/// fails.
fn give_memory(base: &Path) -> io::Result<()> {
    let own = base.join(OWN);
    if !own.is_dir() {
        fs::create_dir(&own)?;
    }
    let moved = fs::write(own.join("cgroup.procs"), "0");
    let given = moved.and_then(|()| fs::write(base.join("cgroup.subtree_control"), "+memory"));
    if given.is_err() {
        let _ = fs::write(base.join("cgroup.procs"), "0").and_then(|()| fs::remove_dir(&own));
    }
    given
}

/// The path of the group in cgroup v2 (cgroups(7)): the line `0::PATH`.
fn own_group(membership: &str) -> Option<&str> {
    membership.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_group_of_version_2_is_found_among_the_others() {
        assert_eq!(own_group("4:memory:/m\n0::/system.slice/a\n"), Some("/system.slice/a"));
        assert_eq!(own_group("4:memory:/m\n"), None);
    }

    #[test]
    fn a_limit_that_is_not_kept_is_said_to_be_so() {
        let memory = Memory::Unenforced("unenforced: no".into());
        assert!(memory.group("node-1", 64).unwrap().is_none());
        assert_eq!((memory.words(64), memory.words(0)), ("unenforced: no".into(), String::new()));
        let place = tempfile::tempdir().unwrap();
        let memory = Memory::Groups(place.path().to_owned());
        let group = memory.group("node-1", 64).unwrap().unwrap();
        assert_eq!(fs::read_to_string(group.0.join("memory.max")).unwrap(), "67108864");
        let group = memory.group("node-1", 0).unwrap().unwrap();
        assert_eq!(fs::read_to_string(group.0.join("memory.max")).unwrap(), "max");
    }
}
