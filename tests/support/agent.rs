//! A grid agent as a real process, asked as a master asks it: by the old protocol's messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use sutra_client::blocking::Client;
use sutra_compat::grid::{GridReply, GridRequest, SpawnOptions, SpawnedDetails};
use sutra_testing::wait_until;
use tempfile::TempDir;

use super::{PATIENCE, greeted, sutra};

/// An agent's folder; the nodes in it are killed when it is dropped, as they outlive their agent.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("agent-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap(),
        )
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("agent")
    }

    /// The processes that run on data below the folder.
    pub fn nodes(&self) -> Vec<u32> {
        let below = self.path().to_string_lossy().into_owned() + "/";
        let of =
            |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let processes = std::fs::read_dir("/proc").unwrap();
        let pids =
            processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| of(*pid).split('\0').skip(1).any(|word| word.starts_with(&below)))
            .collect()
    }

    /// What the list on disk says.
    pub fn list(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path().join("nodes.json")).unwrap()).unwrap()
    }

    /// All that is in the folder, its own files left out.
    pub fn entries(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.path()];
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(self.path()).unwrap().to_string_lossy().into_owned());
                if path.is_dir() {
                    todo.push(path);
                }
            }
        }
        found.retain(|name| {
            !["agent.lock", "incarnation", "nodes.json", "logs"].contains(&name.as_str())
        });
        found.sort_unstable();
        found
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.nodes() {
            kill(pid, Signal::KILL);
        }
        wait_until("the nodes are gone", || self.nodes().is_empty());
    }
}

/// An agent process, killed when it is dropped.
pub struct Agent {
    child: Child,
    pub address: SocketAddr,
    pub greeting: serde_json::Value,
}

/// A node that was spawned.
#[derive(Clone, Debug)]
pub struct Spawned {
    pub id: String,
    pub native: String,
    pub compat: String,
}

impl Spawned {
    pub fn client(&self) -> Client {
        Client::connect(self.native.clone()).unwrap()
    }
}

impl Agent {
    /// Starts agent "a" on any free port. Its master is nowhere unless the arguments say where.
    pub fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::start_by(sutra(), home, arguments)
    }

    /// The same by another command, which ends in the binary.
    pub fn start_by(mut command: Command, home: &Home, arguments: &[&str]) -> Self {
        command.args(["grid", "agent", "--json", "--data"]).arg(home.path());
        for (flag, value) in [
            ("--id", "a"),
            ("--master", "127.0.0.1:9"),
            ("--listen", "127.0.0.1:0"),
            ("--admin", "off"),
        ] {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(arguments);
        let (child, greeting) = greeted(command);
        Self { child, address: greeting["listening"].as_str().unwrap().parse().unwrap(), greeting }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it one thing.
    pub fn ask(
        &self,
        request: &GridRequest,
        options: Option<&SpawnOptions>,
    ) -> (GridReply, Option<SpawnedDetails>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let mut bytes = Vec::new();
        request.append(options, &mut bytes);
        stream.write_all(&bytes).unwrap();
        read_reply(&mut stream)
    }

    /// Asks for a node at a path with these options.
    pub fn try_spawn(
        &self,
        path: &str,
        port: u32,
        options: &SpawnOptions,
    ) -> Result<Spawned, String> {
        let request = GridRequest::SpawnStorageNode {
            agent_id: "a".into(),
            storage_path: path.into(),
            memory_limit_mb: 0,
            port,
        };
        match self.ask(&request, Some(options)) {
            (
                GridReply::SpawnStorageNodeOk {
                    node_id,
                    endpoint,
                    success: true,
                    error_message: None,
                },
                Some(details),
            ) => Ok(Spawned { id: node_id, native: details.native_endpoint, compat: endpoint }),
            (
                GridReply::SpawnStorageNodeOk { success: false, error_message: Some(why), .. },
                None,
            ) => Err(why),
            other => panic!("no answer to a spawn: {other:?}"),
        }
    }

    pub fn spawn(&self, path: &str) -> Spawned {
        self.try_spawn(path, 0, &SpawnOptions::default()).unwrap()
    }

    pub fn stop_node(&self, node: &str) -> Result<(), String> {
        match self
            .ask(&GridRequest::StopStorageNode { agent_id: "a".into(), node_id: node.into() }, None)
            .0
        {
            GridReply::StopStorageNodeOk { success: true, error_message: None } => Ok(()),
            GridReply::StopStorageNodeOk { success: false, error_message: Some(why) } => Err(why),
            other => panic!("no answer to a stop: {other:?}"),
        }
    }

    /// How a node is, and its process.
    pub fn status(&self, node: &str) -> (String, u32) {
        match self.ask(&GridRequest::GetStorageNodeStatus { node_id: node.into() }, None).0 {
            GridReply::GetStorageNodeStatusOk { status, pid, .. } => (status, pid),
            other => panic!("no status: {other:?}"),
        }
    }

    /// Waits until a node is so; its process then.
    pub fn wait_for(&self, node: &str, status: &str) -> u32 {
        let mut last = Default::default();
        wait_until(status, || {
            last = self.status(node);
            last.0 == status
        });
        last.1
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        kill(self.pid(), Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn read_reply(stream: &mut TcpStream) -> (GridReply, Option<SpawnedDetails>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).unwrap();
    let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut message).unwrap();
    GridReply::read(&message).unwrap()
}

pub fn kill(pid: u32, signal: Signal) {
    // One that has ended meanwhile is as good as one that ends by this.
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// A file that the agent's list can't be written over: what a full disk is to it.
pub fn block_list(home: &Path) {
    std::fs::rename(home.join("nodes.json"), home.join("nodes.json.kept")).unwrap();
    std::fs::create_dir(home.join("nodes.json")).unwrap();
}
