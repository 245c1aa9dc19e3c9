//! A grid's master as a real process, and the commands of `sutra grid` against it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails};

use super::agent::kill;
use super::{greeted, sutra};

/// A master process, killed when it is dropped.
pub struct Master {
    child: Child,
    /// Where it speaks to native clients, and where it was told to speak the old protocol.
    pub address: String,
    pub compat: String,
    /// Its admin port; nowhere unless the arguments say where.
    pub admin: String,
}

impl Master {
    /// Starts one on this folder and address. Its patience is short unless the arguments say
    /// otherwise.
    pub fn start(data: &Path, listen: &str, arguments: &[&str]) -> Self {
        Self::start_by(sutra(), data, listen, arguments)
    }

    /// The same by another command, which ends in the binary.
    pub fn start_by(mut command: Command, data: &Path, listen: &str, arguments: &[&str]) -> Self {
        command.args(["grid", "master", "--json", "--listen", listen, "--data"]).arg(data);
        for (flag, value) in [
            ("--admin", "off"),
            ("--compat", "127.0.0.1:0"),
            ("--heartbeat", "100ms"),
            ("--degraded-after", "2"),
            ("--offline-after", "4"),
        ] {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(arguments);
        let (child, greeting) = greeted(command);
        let first = |field: &str| greeting[field][0].as_str().unwrap_or_default().to_owned();
        let admin = greeting["admin"].as_str().unwrap_or_default().to_owned();
        Self { child, address: first("listening"), compat: first("compat"), admin }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of `sutra grid` against it.
    pub fn run(&self, words: &[&str]) -> Output {
        self.run_by(sutra(), words)
    }

    /// The same by another command, which ends in the binary.
    pub fn run_by(&self, mut command: Command, words: &[&str]) -> Output {
        command
            .arg("grid")
            .args(words)
            .args(["--master", &self.address])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A command with `--json`: its exit code and its answer.
    pub fn ask(&self, words: &[&str]) -> (i32, Value) {
        answer(&self.run(&[words, &["--json"]].concat()))
    }

    /// The same where the exit code does not matter.
    pub fn json(&self, words: &[&str]) -> Value {
        self.ask(words).1
    }

    /// How it says that an agent is; nothing where it knows none of this name.
    pub fn agent_state(&self, agent: &str) -> String {
        state_of(&self.json(&["agents"]), agent)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Value {
        let nodes = self.json(&["nodes"]);
        nodes.as_array().unwrap().iter().find(|node| node["name"] == name).cloned().unwrap()
    }

    /// SIGKILL.
    pub fn kill(self) {}

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        kill(self.pid(), Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit code and the JSON of a command.
pub fn answer(output: &Output) -> (i32, Value) {
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let value = serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), value)
}

/// How an agent is in a list of agents.
pub fn state_of(agents: &Value, agent: &str) -> String {
    let found = agents.as_array().unwrap().iter().find(|known| known["agent_id"] == agent);
    found.map_or_else(String::new, |known| known["state"].as_str().unwrap().to_owned())
}

/// Where an agent listens that answers when it is asked back who it is, and does nothing else; for
/// ever.
pub fn answering_agent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut prefix = [0; 4];
            if stream.read_exact(&mut prefix).is_err() {
                continue;
            }
            let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
            stream.read_exact(&mut message).unwrap();
            let claim = GridRequest::read_claim(&message).unwrap();
            let details = claim.map(|_| ReplyDetails::Agent { is_it: true });
            let mut answer = Vec::new();
            GridReply::Error { message: "no such node".into() }
                .append_with_details(details.as_ref(), &mut answer);
            stream.write_all(&answer).unwrap();
        }
    });
    address
}

/// A node's process; 0 where it has none.
pub fn pid_of(node: &Value) -> u32 {
    u32::try_from(node["pid"].as_u64().unwrap_or_default()).unwrap()
}
