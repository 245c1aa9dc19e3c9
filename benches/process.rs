//! Contenders as processes: started on a port of their own, pinned, killed when dropped.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::answering::{self, Echo};
use crate::legacy::{self, Sync};
use crate::sizes::Sizes;
use crate::stored::Pieces;
use crate::{Outcome, bare_echo};

/// The servers that this program can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An echo on a bare io_uring loop: the floor.
    Bare,
    /// An echo on our runtime.
    Runtime,
    /// Pieces of a region on our runtime, copied or sent from where they lie.
    Stored,
    /// The server that Sutra replaces.
    Legacy,
    /// The old grid master's heartbeats.
    LegacyGrid,
}

#[derive(Args)]
pub(crate) struct Contender {
    #[arg(value_enum)]
    kind: Kind,
    /// The CPU to serve on
    #[arg(long)]
    cpu: usize,
    /// Never sleep
    #[arg(long)]
    spin: bool,
    /// Bytes of an echo's requests
    #[arg(long, default_value_t = 64)]
    request_bytes: usize,
    /// Bytes of an echo's replies
    #[arg(long, default_value_t = 64)]
    reply_bytes: usize,
    /// Of the old server: when a write is answered
    #[arg(long, value_enum, default_value_t = Sync::Always)]
    sync: Sync,
}

impl Contender {
    /// Serves until it is killed.
    pub(crate) fn serve(&self) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("listening   {}", listener.local_addr()?);
        let sizes = Sizes::new(self.request_bytes, self.reply_bytes);
        match self.kind {
            Kind::Bare => bare_echo::run(listener, self.cpu, self.spin, sizes)?,
            Kind::Runtime => answering::run(Echo(sizes), listener, self.cpu, self.spin)?,
            Kind::Stored => answering::run(Pieces::new()?, listener, self.cpu, self.spin)?,
            Kind::Legacy => legacy::serve(listener, self.cpu, self.sync)?,
            Kind::LegacyGrid => legacy::serve_grid(listener, self.cpu)?,
        }
        Ok(())
    }
}

/// A contender that is running.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where a storage server speaks the old protocol.
    pub(crate) compat: Option<SocketAddr>,
    folder: Option<TempDir>,
}

impl Running {
    /// Starts one of this program's own servers.
    pub(crate) fn contender(kind: Kind, cpu: usize, arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(kind.to_possible_value().ok_or("a value")?.get_name());
        command.arg("--cpu").arg(cpu.to_string()).args(arguments);
        Self::start(command, None)
    }

    /// Starts an echo with requests and replies of these sizes.
    pub(crate) fn echo(kind: Kind, cpu: usize, spin: bool, (request, reply): (usize, usize)) -> Outcome<Self> {
        let (request, reply) = (request.to_string(), reply.to_string());
        let mut arguments = vec!["--request-bytes", &request, "--reply-bytes", &reply];
        arguments.extend(spin.then_some("--spin"));
        Self::contender(kind, cpu, &arguments)
    }

    /// Starts the gRPC contender, a program of its own.
    pub(crate) fn grpc(binary: &Path, cpu: usize) -> Outcome<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--cpu", &cpu.to_string()]);
        Self::start(command, None)
    }

    /// A server that somebody else has started.
    pub(crate) fn of(child: Child, address: SocketAddr, folder: Option<TempDir>) -> Self {
        Self { child, address, compat: None, folder }
    }

    /// How the process has ended, if it has.
    pub(crate) fn ended(&mut self) -> Outcome<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Starts the server on an empty folder, one core.
    pub(crate) fn sutra(cpu: usize, arguments: &[&str]) -> Outcome<Self> {
        Self::sutra_on(&format!("{cpu},"), arguments)
    }

    /// The same on the cores that `--cores` is told.
    pub(crate) fn sutra_on(cores: &str, arguments: &[&str]) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
        let mut command = Command::new(sutra_binary()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--compat", "127.0.0.1:0", "--cores", cores, "--data"]);
        command.arg(folder.path().join("data")).args(arguments);
        Self::start(command, Some(folder))
    }

    /// Starts a grid's master on an empty folder.
    pub(crate) fn grid_master(cpu: usize) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
        let mut command = Command::new(sutra_binary()?);
        command.args([
            "grid",
            "master",
            "--listen",
            "127.0.0.1:0",
            "--compat",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--cpu",
        ]);
        command.arg(cpu.to_string()).arg("--data").arg(folder.path().join("data"));
        // At "info" it names every agent that registers.
        command.env("SUTRA_LOG", "warn");
        Self::start(command, Some(folder))
    }

    fn start(mut command: Command, folder: Option<TempDir>) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("stdout is piped")?).lines();
        let address = loop {
            let line = lines.next().ok_or_else(|| format!("{command:?} ended before it listened"))??;
            if let Some(address) = line.strip_prefix("listening") {
                break address.trim().parse()?;
            }
        };
        // A storage server names its compat port on the next line.
        let compat = match &folder {
            Some(_) => {
                let line = lines.next().transpose()?.unwrap_or_default();
                line.strip_prefix("compat").and_then(|line| line.split_whitespace().next()?.parse().ok())
            }
            None => None,
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, compat, folder })
    }

    /// Stops the server in an orderly way; what it leaves lies in `data` of the folder, which is
    /// gone when that is dropped.
    pub(crate) fn stop(mut self) -> Outcome<TempDir> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid())?).ok_or("a process has a number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the server ended with {status}").into());
        }
        self.folder.take().ok_or_else(|| "only a storage server has a folder".into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("VmRSS in status")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the binaries: build output, on the disk that is measured.
pub(crate) fn target_folder() -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?.parent().ok_or("a binary lies in a folder")?.to_path_buf())
}

/// The server's binary, built beside this one.
pub(crate) fn sutra_binary() -> Outcome<PathBuf> {
    let binary = target_folder()?.join("sutra");
    if !binary.exists() {
        return Err(format!("{} is missing: run `cargo build --release` first", binary.display()).into());
    }
    Ok(binary)
}
