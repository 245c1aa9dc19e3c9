//! Servers and helper programs as processes: starting, pinning, freezing and stopping them. A
//! server is killed when it is dropped.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::Outcome;

/// How long a server may take until it accepts a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that is running.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where a storage server speaks the old protocol.
    compat: Option<SocketAddr>,
    folder: Option<TempDir>,
}

impl Running {
    /// Starts the server on an empty folder. `cores` is the value of its `--cores`.
    pub(crate) fn sutra(cores: &str, arguments: &[&str]) -> Outcome<Self> {
        Self::sutra_on(folder()?, cores, arguments)
    }

    /// Starts the server on a folder that an earlier one has left.
    pub(crate) fn sutra_on(folder: TempDir, cores: &str, arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(built("sutra")?);
        command
            .args("serve --listen 127.0.0.1:0 --compat 127.0.0.1:0 --admin off --cores".split(' '));
        command.arg(cores).args(arguments);
        Self::with_folder(command, folder)
    }

    /// Starts a grid's master on an empty folder.
    pub(crate) fn grid_master(cpu: usize) -> Outcome<Self> {
        let mut command = Command::new(built("sutra")?);
        command.args(
            "grid master --listen 127.0.0.1:0 --compat 127.0.0.1:0 --admin off --cpu".split(' '),
        );
        // At "info" it logs every agent that registers, and that would be measured.
        command.arg(cpu.to_string()).env("SUTRA_LOG", "warn");
        Self::with_folder(command, folder()?)
    }

    /// Starts one of this program's own servers.
    pub(crate) fn own(cpu: usize, arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(arguments).args(["--cpu", &cpu.to_string()]);
        Self::announced(command, None)
    }

    /// Starts a program that takes its folder as `--data`.
    fn with_folder(mut command: Command, folder: TempDir) -> Outcome<Self> {
        command.arg("--data").arg(folder.path().join("data"));
        Self::announced(command, Some(folder))
    }

    /// Starts a server that prints where it listens.
    pub(crate) fn announced(mut command: Command, folder: Option<TempDir>) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines =
            BufReader::new(child.stdout.take().ok_or("its stdout is not piped")?).lines();
        let address = loop {
            let line =
                lines.next().ok_or_else(|| format!("{command:?} ended before it listened"))??;
            if let Some(address) = line.strip_prefix("listening") {
                break address.trim().parse()?;
            }
        };
        // A storage server names its compat port on the next line.
        let next = if folder.is_some() { lines.next().transpose()? } else { None };
        let compat = next
            .and_then(|line| line.strip_prefix("compat")?.split_whitespace().next()?.parse().ok());
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, compat, folder })
    }

    /// Starts a server that says nothing, and waits until it accepts at `address`.
    pub(crate) fn silent(
        mut command: Command,
        address: SocketAddr,
        folder: Option<TempDir>,
    ) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Self { child: command.spawn()?, address, compat: None, folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(ended) = running.ended()? {
                return Err(format!("{command:?} ended with {ended} before it listened").into());
            }
            if Instant::now() > deadline {
                return Err(
                    format!("{command:?} does not listen on {address} after {PATIENCE:?}").into()
                );
            }
            sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// How the process has ended, if it has.
    fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Where it speaks the old protocol.
    pub(crate) fn compat(&self) -> Outcome<SocketAddr> {
        Ok(self.compat.ok_or("the server named no compat port")?)
    }

    /// Stops all its threads until its next turn.
    pub(crate) fn freeze(&self) -> Outcome {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process run while `turn` uses it.
    pub(crate) fn take_turn<T>(&mut self, turn: impl FnOnce(&Running) -> Outcome<T>) -> Outcome<T> {
        self.signal(Signal::CONT)?;
        let done = turn(self);
        // If the process has ended, that explains more than the error of its turn.
        if let Some(ended) = self.ended()? {
            return Err(format!("it ended with {ended}").into());
        }
        self.freeze()?;
        done
    }

    /// Stops the server in an orderly way, and returns its folder. The store lies in `data` of it.
    /// The folder is removed when it is dropped.
    pub(crate) fn stop(mut self) -> Outcome<TempDir> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the server ended with {status}").into());
        }
        self.folder.take().ok_or_else(|| "only a storage server has a folder".into())
    }

    fn signal(&self, signal: Signal) -> Outcome {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("/proc/PID/status has no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `start` with this thread pinned to `cpu`. A process that it starts stays there, with all
/// its threads.
pub(crate) fn on_cpu<T>(cpu: usize, start: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

/// An address that nobody listens on. If another process takes it before the server does, the
/// server ends with an error.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The folder of the binaries. It is build output, and lies on the disk that is measured.
pub(crate) fn target_folder() -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?.parent().ok_or("this program lies in no folder")?.to_path_buf())
}

/// An empty folder on that disk. It is removed when it is dropped.
pub(crate) fn folder() -> Outcome<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?)
}

/// The path of a program of the project, built beside this one.
pub(crate) fn built(program: &str) -> Outcome<PathBuf> {
    let binary = target_folder()?.join(program);
    if binary.exists() {
        return Ok(binary);
    }
    Err(format!("{} is missing: run `cargo build --release -p {program}`", binary.display()).into())
}

/// The version that a program prints, or why it prints none.
pub(crate) fn version(program: &str) -> Outcome<String> {
    let output =
        Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                format!("{program} is not installed")
            } else {
                format!("{program} can't be run: {error}")
            }
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

/// Runs a helper program to its end, and returns what it printed.
pub(crate) fn said(mut command: Command) -> Outcome<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, words.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a helper program to its end, and parses the line of JSON that it printed.
pub(crate) fn printed<T: DeserializeOwned>(command: Command) -> Outcome<T> {
    let said = said(command)?;
    Ok(serde_json::from_str(said.trim())
        .map_err(|error| format!("not the JSON that was expected ({error}): {said}"))?)
}

/// Imports a folder of JSON lines into the server.
pub(crate) fn import(folder: &std::path::Path, server: &Running) -> Outcome {
    let mut import = Command::new(built("sutra")?);
    import.arg("import").arg(folder).arg("--json").arg("--server").arg(server.address.to_string());
    said(import).map(drop)
}
