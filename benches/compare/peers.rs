//! Other people's servers, started as their users would run them, on one CPU: Redis and memcached
//! where they are installed, and the gRPC contender, which is a program of its own so that nothing
//! of ours depends on its libraries.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;
use crate::process::{Running, target_folder};

/// How long a server may take until it accepts.
const PATIENCE: Duration = Duration::from_secs(10);

/// How Redis keeps what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    Memory,
    /// Its log is synced every second.
    EverySecond,
    /// Its log is synced before each answer.
    Always,
}

impl Keeping {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Keeping::Memory => &["--appendonly", "no"],
            Keeping::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
            Keeping::Always => &["--appendonly", "yes", "--appendfsync", "always"],
        }
    }

    /// Each setting with its reason.
    pub(crate) fn settings(self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("--save ''", "no snapshots: a fork in the middle of a round would be measured as latency"),
            ("one I/O thread (its default)", "it has one CPU, as every contender"),
            ("--maxclients 16000", "room for the idle connections"),
        ];
        settings.push(match self {
            Keeping::Memory => ("--appendonly no", "reads need no log"),
            Keeping::EverySecond => {
                ("--appendonly yes --appendfsync everysec", "its default for a log: acknowledged before it is on disk")
            }
            Keeping::Always => ("--appendonly yes --appendfsync always", "what is acknowledged is on disk, as ours"),
        });
        if self != Keeping::Memory {
            settings.push((
                "--auto-aof-rewrite-percentage 0",
                "no rewriting of the log during a round: ours is not compacted either",
            ));
        }
        settings.into_iter().map(|(setting, reason)| (setting.to_owned(), reason.to_owned())).collect()
    }
}

/// The version that a program tells, or why it can't be had.
pub(crate) fn version(program: &str) -> Result<String, String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!("{program} is not installed")
        } else {
            format!("{program} can't be run: {error}")
        }
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

pub(crate) fn redis(cpu: usize, keeping: Keeping) -> Outcome<Running> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
    let address = free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--dir"]);
    command.arg(folder.path()).args(["--auto-aof-rewrite-percentage", "0", "--maxclients", "16000"]);
    command.args(keeping.arguments());
    started(command, cpu, address, Some(folder))
}

pub(crate) fn memcached(cpu: usize) -> Outcome<Running> {
    let address = free_address()?;
    let mut command = Command::new("memcached");
    command.args([
        "-l",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
        "-t",
        "1",
        "-m",
        "256",
        "-c",
        "16000",
        "-U",
        "0",
    ]);
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "root"]);
    }
    started(command, cpu, address, None)
}

/// The gRPC contender's program, built beside this one.
pub(crate) fn grpc_binary() -> Result<PathBuf, String> {
    let binary = target_folder().map_err(|error| error.to_string())?.join("sutra-bench-grpc");
    if binary.exists() {
        return Ok(binary);
    }
    Err(format!("{} is missing: cargo build --release -p sutra-bench-grpc", binary.display()))
}

fn started(
    mut command: Command,
    cpu: usize,
    address: SocketAddr,
    folder: Option<tempfile::TempDir>,
) -> Outcome<Running> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = on_cpu(cpu, || command.spawn())??;
    let mut running = Running::of(child, address, folder);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if let Some(ended) = running.ended()? {
            return Err(format!("{command:?} ended with {ended} before it listened").into());
        }
        if Instant::now() > deadline {
            return Err(format!("{command:?} does not listen on {address} after {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// Calls `start` with this thread on `cpu`: a process that it starts stays there, with every thread
/// that it will have.
pub(crate) fn on_cpu<T>(cpu: usize, start: impl FnOnce() -> T) -> Outcome<T> {
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    Ok(started)
}

/// An address that nobody listens on. Another process could take it before its server does, which
/// that server would say.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
