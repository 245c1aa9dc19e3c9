//! Servers that take over from each other, on one folder and on the same ports.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_testing::raw::PATIENCE;

use super::{Folder, sutra};

/// The server that runs now, of a row of them.
pub struct Succession {
    child: Child,
    folder: Folder,
    arguments: Vec<String>,
    /// What the first one said of itself.
    pub greeting: Value,
}

impl Succession {
    /// Starts the first: on any free ports, with two unpinned cores, unless the arguments say
    /// otherwise.
    pub fn start(arguments: &[&str]) -> Self {
        let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        for (flag, value) in [
            ("--cores", "2"),
            ("--listen", "127.0.0.1:0"),
            ("--compat", "127.0.0.1:0"),
            ("--admin", "127.0.0.1:0"),
        ] {
            if !arguments.contains(&flag) {
                all.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        if !arguments.contains(&"--cores") {
            all.push("--no-pin".into());
        }
        let folder = Folder::new();
        let (child, greeting) = launch(sutra(), &folder, &all, &[]).expect("it starts");
        Self { child, folder, arguments: all, greeting }
    }

    pub fn address(&self) -> SocketAddr {
        self.at("listening", 0)
    }

    pub fn compat(&self) -> SocketAddr {
        self.at("compat", 0)
    }

    pub fn admin(&self) -> SocketAddr {
        self.greeting["admin"].as_str().unwrap().parse().unwrap()
    }

    fn at(&self, port: &str, place: usize) -> SocketAddr {
        self.greeting[port][place].as_str().unwrap().parse().unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address().to_string()).unwrap()
    }

    /// Another process takes over; what it said of itself. Returns when the one before has ended,
    /// in order.
    pub fn take_over(&mut self) -> Value {
        let launched = launch(sutra(), &self.folder, &self.arguments, &["--takeover"]);
        let (child, greeting) = launched.unwrap_or_else(|output| {
            panic!("no takeover: {}", String::from_utf8_lossy(&output.stderr))
        });
        let mut before = std::mem::replace(&mut self.child, child);
        let status = ended(&mut before);
        assert!(status.success(), "the one before ended with {status}");
        greeting
    }

    /// A process that is to take over, and can't, as `change` makes of its arguments.
    pub fn fail_to_take_over(&self, change: &[&str]) -> Output {
        let mut arguments = self.arguments.clone();
        for pair in change.chunks(2) {
            match arguments.iter().position(|argument| argument == pair[0]) {
                Some(at) => arguments[at + 1] = pair[1].to_owned(),
                None => arguments.extend(pair.iter().map(ToString::to_string)),
            }
        }
        let launched = launch(sutra(), &self.folder, &arguments, &["--takeover"]);
        launched.map(drop).expect_err("it can't take over")
    }

    /// The same of one that may open so many files.
    pub fn fail_to_take_over_with_files(&self, files: u64) -> Output {
        let mut command = sutra();
        let limit = Rlimit { current: Some(files), maximum: Some(files) };
        let lower = move || Ok(setrlimit(Resource::Nofile, limit)?);
        // SAFETY: between fork and exec this makes one system call, which neither allocates nor
        // locks.
        unsafe { command.pre_exec(lower) };
        let launched = launch(command, &self.folder, &self.arguments, &["--takeover"]);
        launched.map(drop).expect_err("it can't take over")
    }

    /// A process that this one did not start has taken over; it is looked after from here on.
    pub fn has_passed_on(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGTERM to the server that runs now.
    pub fn stop(mut self) -> Folder {
        self.signal(Signal::TERM);
        let status = ended(&mut self.child);
        assert!(status.success(), "{status}");
        std::mem::replace(&mut self.folder, Folder::new())
    }

    /// A plain start on a folder that a server has left, with the same settings.
    pub fn restart(folder: Folder, arguments: &[&str]) -> Self {
        let mut new = Self::start(arguments);
        new.signal(Signal::KILL);
        ended(&mut new.child);
        let launched = launch(sutra(), &folder, &new.arguments, &[]);
        let (child, greeting) = launched.expect("it starts");
        (new.child, new.greeting, new.folder) = (child, greeting, folder);
        new
    }
}

impl Drop for Succession {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

/// Starts a server, and reads what it says of itself; where it says nothing, how it ended.
fn launch(
    mut command: Command,
    folder: &Folder,
    arguments: &[String],
    more: &[&str],
) -> Result<(Child, Value), Output> {
    command.args(["serve", "--json", "--data"]).arg(folder.path()).args(arguments).args(more);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    if line.is_empty() {
        return Err(child.wait_with_output().unwrap());
    }
    // Both pipes are read to their end, so that the server never blocks on a full pipe.
    let mut errors = child.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    Ok((child, serde_json::from_str(&line).unwrap()))
}
