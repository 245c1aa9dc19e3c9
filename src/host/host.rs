//! A host as settings see it: its files, its data folder, and what a server needs of it.
//!
//! What it consists of is read when it is asked for, as each setting reads its own few files. What
//! takes longer is done once: whether io_uring is to be had.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sutra_runtime::{Features, Folder, Quota, RuntimeError, tightest_quota};

use crate::facts::mounts::{Mount, mount_of};
use crate::facts::nics::{Nic, nics};
use crate::facts::process::{Limit, Process, reader};
use crate::facts::{cpus, disks};
use crate::probe::probe;
use crate::root::Root;

/// What a server needs of a host, as the layers that need it say.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Open files of a server with so many cores, its connections not counted.
    pub files: fn(usize) -> u64,
    /// Bytes of a new log segment.
    pub segment_bytes: u64,
    /// Connections that a listener asks the kernel to hold.
    pub backlog: u64,
}

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it can do its work.
    pub healthy: bool,
    /// "ok", or what is wrong.
    pub status: String,
}

/// A host.
#[derive(Debug)]
pub struct Host {
    pub(crate) root: Root,
    pub(crate) needs: Needs,
    pub(crate) process: Process,
    /// Where measurements are kept; `None` for nowhere.
    pub(crate) record: Option<PathBuf>,
    data: PathBuf,
    health: Option<Result<Health, String>>,
    probed: OnceLock<Result<Features, RuntimeError>>,
}

impl Host {
    /// The host that has its root at `root`, with this data folder. On this host a path that is not
    /// absolute begins at the current folder, else at that root.
    pub fn new(root: Root, data: &Path, needs: Needs) -> Self {
        let absolute = match root.is_here() {
            true => std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
            false => Path::new("/").join(data),
        };
        let process = Process::of(&root, &absolute);
        let (data, probed) = (absolute, OnceLock::new());
        Self { root, needs, process, record: None, data, health: None, probed }
    }

    /// The same, with a file in which measurements are kept.
    #[must_use]
    pub fn with_record(self, file: PathBuf) -> Self {
        Self { record: Some(file), ..self }
    }

    /// The same, with what the server says that runs on the data folder, or why it says nothing.
    #[must_use]
    pub fn with_health(self, health: Result<Health, String>) -> Self {
        Self { health: Some(health), ..self }
    }

    /// Its files.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The data folder, from the host's own root on.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server that runs on the data folder. Limits, groups and CPUs are its own then, and this
    /// process's otherwise.
    pub fn server(&self) -> Option<u32> {
        self.process.server
    }

    /// Where that server listens, as it noted it; nothing where it did not.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.process.listening
    }

    /// What it says of itself, where it was asked.
    pub(crate) fn health(&self) -> Option<&Result<Health, String>> {
        self.health.as_ref()
    }

    /// The server that only reads the data folder: it writes nothing there, its number neither.
    pub(crate) fn reader(&self) -> Option<u32> {
        let folder = self.root.is_here().then(|| Folder::open(self.root.at(&self.data)).ok())??;
        let file = folder.identity().ok()??.in_proc_locks();
        reader(&self.root, &file)
    }

    /// What the kernel calls itself.
    pub fn kernel(&self) -> Option<String> {
        self.root.text("/proc/sys/kernel/osrelease")
    }

    /// The data folder, or the nearest folder above it that is there, as this process reaches it.
    pub(crate) fn nearest(&self) -> PathBuf {
        let there = self.root.at(&self.data);
        let mut above = there.ancestors().filter(|path| path.is_dir());
        above.next().unwrap_or(self.root.folder()).to_owned()
    }

    /// What the data folder is on, or will be.
    pub(crate) fn mount(&self) -> Option<Mount> {
        let mountinfo = self.root.text("/proc/self/mountinfo")?;
        let path = match self.root.is_here() {
            true => self.nearest().canonicalize().ok()?,
            false => self.data.clone(),
        };
        mount_of(&mountinfo, &path)
    }

    /// The disks that the data folder is on.
    pub(crate) fn disks(&self) -> Vec<String> {
        self.mount().map(|mount| disks::disks_of(&self.root, &mount)).unwrap_or_default()
    }

    /// The network cards that are up.
    pub(crate) fn nics(&self) -> Vec<Nic> {
        nics(&self.root)
    }

    /// CPUs that are online.
    pub(crate) fn online(&self) -> Option<Vec<usize>> {
        cpus::online(&self.root)
    }

    /// CPUs that the server may run on.
    pub(crate) fn allowed(&self) -> Option<Vec<usize>> {
        self.process.allowed_cpus(&self.root)
    }

    /// How much CPU time the server may use; `None` for no limit.
    pub(crate) fn quota(&self) -> Option<Quota> {
        tightest_quota(self.root.folder(), &self.process.text(&self.root, "cgroup")?)
    }

    /// How many cores a server has here that was not told otherwise; 1 where it is not known.
    pub fn cores(&self) -> usize {
        let allowed = self.allowed().map_or(1, |cpus| cpus.len());
        self.quota().map_or(allowed, |quota| quota.whole_cpus().min(allowed)).max(1)
    }

    /// A limit of the server, soft and hard.
    pub(crate) fn limit(&self, name: &str) -> Option<(Limit, Limit)> {
        self.process.limit(&self.root, name)
    }

    /// Whether rings are to be had, by setting them up; `None` where the host is not this one.
    pub(crate) fn rings(&self) -> Option<&Result<Features, RuntimeError>> {
        let probed = || self.probed.get_or_init(|| probe(self.cores()));
        self.root.is_here().then(probed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What the tests' server needs.
    pub(crate) const NEEDS: Needs =
        Needs { files: |cores| 32 + 20 * cores as u64, segment_bytes: 64 << 20, backlog: 4096 };

    /// The host with these files, and its data in `/srv/data`.
    pub(crate) fn host(root: Root) -> Host {
        Host::new(root, Path::new("/srv/data"), NEEDS)
    }
}
