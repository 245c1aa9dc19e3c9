//! Contenders as processes: started on a port of their own, pinned, killed when dropped.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::answering::{self, Echo};
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
}

impl Contender {
    /// Serves until it is killed.
    pub(crate) fn serve(&self) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("listening   {}", listener.local_addr()?);
        match self.kind {
            Kind::Bare => bare_echo::run(listener, self.cpu, self.spin)?,
            Kind::Runtime => answering::run(Echo, listener, self.cpu, self.spin)?,
            Kind::Stored => answering::run(Pieces::new()?, listener, self.cpu, self.spin)?,
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
    pub(crate) fn contender(kind: Kind, cpu: usize, spin: bool) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(kind.to_possible_value().ok_or("a value")?.get_name());
        command.arg("--cpu").arg(cpu.to_string()).args(spin.then_some("--spin"));
        Self::start(command, None)
    }

    /// Starts the server on an empty folder, one core.
    pub(crate) fn sutra(cpu: usize, arguments: &[&str]) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
        let mut command = Command::new(sutra_binary()?);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--compat",
            "127.0.0.1:0",
            "--cores",
            &format!("{cpu},"),
            "--data",
        ]);
        command.arg(folder.path().join("data")).args(arguments);
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

    /// Stops the server in an orderly way; what it leaves lies in `data` of the folder, which is gone when that is dropped.
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
