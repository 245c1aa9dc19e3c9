//! Starts the real binary on a folder of its own, talks to it, kills it, and starts it again.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod agent;
pub mod axe;
pub mod browser;
pub mod clock;
pub mod disks;
pub mod files;
pub mod hosts;
pub mod http;
pub mod legacy;
pub mod master;
pub mod old_folder;
pub mod python;
pub mod succession;
pub mod whole;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use sutra_client::blocking::Client;
pub use sutra_testing::raw::PATIENCE;
use tempfile::TempDir;

/// The binary under test.
pub fn sutra() -> Command {
    // A shell's background job ignores Ctrl-C, what nohup starts a hangup; and what they start
    // would, too.
    static RESTORED: std::sync::Once = std::sync::Once::new();
    RESTORED.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: signal(2) with a constant disposition; no handler is replaced, as this
            // program has none.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_sutra"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SUTRA_")) {
        command.env_remove(name);
    }
    // The settings file of the user who runs the tests is not read.
    command.env("XDG_CONFIG_HOME", "/nowhere");
    command
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    sutra().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The slice of WordNet that the repository keeps.
pub fn wordnet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wordnet")
}

/// A server process.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    folder: Folder,
    arguments: Vec<String>,
    /// What it has printed up to the line that says it listens.
    pub greeting: String,
}

/// A data folder: of the test's own, gone when it is dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        // Below the build's folder: on a real filesystem, where the system's temporary folder may
        // be memory.
        Self(
            tempfile::Builder::new()
                .prefix("store-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap(),
        )
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Server {
    /// Starts a server on an empty folder and any free port. Two unpinned cores unless the
    /// arguments say otherwise.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_on(Folder::new(), arguments)
    }

    /// Starts a server on a folder of an earlier one.
    pub fn start_on(folder: Folder, arguments: &[&str]) -> Self {
        Self::start_by(sutra(), folder, arguments)
    }

    /// The same by another command, which ends in the binary.
    pub fn start_by(command: Command, folder: Folder, arguments: &[&str]) -> Self {
        let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut default = |flag: &str, values: &[&str]| {
            if !arguments.contains(&flag) {
                all.extend(values.iter().map(ToString::to_string));
            }
        };
        default("--cores", &["--cores", "2"]);
        default("--no-pin", &["--no-pin"]);
        default("--listen", &["--listen", "127.0.0.1:0"]);
        default("--compat", &["--compat", "127.0.0.1:0"]);
        default("--admin", &["--admin", "off"]);
        let (child, address, greeting) = launch(command, &folder.path(), &all);
        Self { child, address, folder, arguments: all, greeting }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path()
    }

    /// Where clients of the old protocol are served.
    pub fn compat(&self) -> SocketAddr {
        address(&self.greeting, "compat").expect("it serves them")
    }

    /// Where it serves its admin port.
    pub fn admin(&self) -> SocketAddr {
        address(&self.greeting, "admin").expect("it serves it")
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        Client::connect(self.address.to_string()).unwrap()
    }

    /// A client, with the server that it needs to stay.
    pub fn client_and_server(self) -> (Client, Self) {
        (self.client(), self)
    }

    /// Memory that it has resident, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGSTOP, and waits until every thread has stopped: the signal reaches them one by one, and
    /// one that still runs may answer.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let stat =
                std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        let until = Instant::now() + PATIENCE;
        while !std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().all(is_stopped)
        {
            assert!(Instant::now() < until, "the server stops");
            std::thread::yield_now();
        }
    }

    /// `kill -9`, and the folder that is left.
    pub fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stopped()
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> (ExitStatus, Stopped) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait();
        (status, self.stopped())
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the server did not end");
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn stopped(mut self) -> Stopped {
        let folder = std::mem::replace(&mut self.folder, Folder::new());
        Stopped { folder, arguments: std::mem::take(&mut self.arguments), address: self.address }
    }

    /// Runs a client command against this server.
    pub fn run(&self, arguments: &[&str]) -> Output {
        sutra()
            .args(arguments)
            .env("SUTRA_SERVER", self.address.to_string())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server that has ended leaves.
pub struct Stopped {
    pub folder: Folder,
    arguments: Vec<String>,
    address: SocketAddr,
}

impl Stopped {
    /// Starts a server on the folder again, with the same settings.
    pub fn start(self) -> Server {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Server::start_on(self.folder, &arguments)
    }

    /// The same, on the same port.
    pub fn start_on_same_port(mut self) -> Server {
        let at = self.arguments.iter().position(|argument| argument == "--listen").unwrap() + 1;
        self.arguments[at] = self.address.to_string();
        self.start()
    }
}

/// Starts a command that says in a line of JSON where it listens, and reads that line. What it
/// writes else is read to its end, so that it never blocks.
pub fn greeted(mut command: Command) -> (Child, serde_json::Value) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        errors.read_to_string(&mut line).unwrap();
        panic!("it ended before it listened: {} {line}", child.wait().unwrap());
    }
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    (child, serde_json::from_str(&line).unwrap())
}

/// The first address on the line of a server's greeting that begins with this word.
pub fn address(greeting: &str, word: &str) -> Option<SocketAddr> {
    let line = greeting.lines().find_map(|line| line.strip_prefix(word))?;
    let first = line.trim().split([',', ' ']).next()?;
    let address = first.strip_prefix("http://").unwrap_or(first);
    Some(address.parse().expect("an address"))
}

/// Starts the binary and waits until it says where it listens.
fn launch(mut command: Command, data: &Path, arguments: &[String]) -> (Child, SocketAddr, String) {
    let mut child = command
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut errors = child.stderr.take().unwrap();
    let mut greeting = String::new();
    let address = loop {
        if lines.read_line(&mut greeting).unwrap() == 0 {
            let mut message = String::new();
            errors.read_to_string(&mut message).unwrap();
            panic!(
                "the server ended before it listened: {} {greeting}{message}",
                child.wait().unwrap()
            );
        }
        // Both lines that name ports stand before it.
        if let (Some(listening), true) =
            (address(&greeting, "listening"), greeting.contains("\ndata"))
        {
            break listening;
        }
    };
    // Both pipes are read to their end, so that the server never blocks on a full pipe.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    (child, address, greeting)
}
