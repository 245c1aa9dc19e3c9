//! Starts a node's process: `sutra serve` in a session of its own, with its output in a file and
//! none of the agent's descriptors.

use std::fs::OpenOptions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::folder::FILE_MODE;
use crate::list::NodeRecord;
use crate::memory::{Group, Memory};
use crate::process::Process;
use crate::{data_folder, logs, surroundings};

/// What all nodes of an agent have in common.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    program: PathBuf,
    /// The agent's folder.
    root: PathBuf,
    /// Where nodes listen.
    ip: IpAddr,
    /// Where nodes serve HTTP, if they do.
    admin_ip: Option<IpAddr>,
    memory: Memory,
}

impl Launcher {
    pub(crate) fn new(
        program: PathBuf,
        root: PathBuf,
        ip: IpAddr,
        admin_ip: Option<IpAddr>,
        memory: Memory,
    ) -> Self {
        Self { program, root, ip, admin_ip, memory }
    }

    /// Where nodes listen.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Where nodes serve HTTP, if they do.
    pub(crate) fn admin_ip(&self) -> Option<IpAddr> {
        self.admin_ip
    }

    /// A node's data folder.
    pub(crate) fn data(&self, node: &NodeRecord) -> PathBuf {
        self.root.join(&node.path)
    }

    /// A node's log.
    pub(crate) fn log(&self, node_id: &str) -> PathBuf {
        logs::file(&self.root, node_id)
    }

    /// How a memory limit is kept, in words; nothing where there is none.
    pub(crate) fn memory_words(&self, limit_mb: u64) -> String {
        self.memory.words(limit_mb)
    }

    /// Where this host reaches what listens on the port.
    pub(crate) fn reach(&self, port: u16) -> SocketAddr {
        let ip = match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, port)
    }

    /// Starts a node's process, with its memory limit where that can be kept; or says why not.
    pub(crate) fn launch(&self, node: &NodeRecord) -> Result<Process, String> {
        let group = self.memory.group(&node.id, node.memory_limit_mb);
        let group = group.map_err(|error| format!("its memory limit can't be set: {error}"))?;
        let process = self.start(node, &self.log(&node.id), group.as_ref());
        process.map_err(|error| format!("{} can't be started: {error}", self.program.display()))
    }

    /// Removes what the system keeps for a node that has no process.
    pub(crate) fn clear(&self, node_id: &str) {
        self.memory.remove(node_id);
    }

    fn start(&self, node: &NodeRecord, log: &Path, group: Option<&Group>) -> io::Result<Process> {
        // The child writes to the file itself, so it goes on when the agent ends. It appends, so a
        // truncated file has no hole.
        let log = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(log)?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(self.data(node)).args(self.arguments(node));
        surroundings::environment(&mut command);
        command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let members = group.map(Group::members).transpose()?;
        let mut surround = surroundings::prepare();
        let prepare = move || {
            if let Some(members) = &members {
                rustix::io::write(members, b"0")?;
            }
            surround()
        };
        // SAFETY: between fork and exec only what is async-signal-safe may be called. The closure
        // makes system calls and nothing else, through wrappers that neither allocate nor lock,
        // with what was made before; turning an Errno into an io::Error does not allocate either.
        unsafe { command.pre_exec(prepare) };
        Process::of_child(command.spawn()?)
    }

    fn arguments(&self, node: &NodeRecord) -> Vec<String> {
        let at = |port: u16| SocketAddr::new(self.ip, port).to_string();
        let mut arguments =
            vec!["--listen".into(), at(node.port), "--compat".into(), at(node.compat_port)];
        let admin = node.admin.map_or_else(|| "off".to_owned(), |admin| admin.to_string());
        arguments.extend(["--admin".into(), admin]);
        if node.cores.is_empty() {
            // A store that is there says for how many cores it was made.
            if !data_folder::has_store(&self.data(node)) {
                arguments.extend(["--cores".into(), "1".into()]);
            }
            arguments.push("--no-pin".into());
        } else {
            arguments.extend(["--cores".into(), node.cores.clone()]);
        }
        arguments
    }
}
