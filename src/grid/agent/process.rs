//! A node's process: held by a pidfd, so that no signal ever reaches another process that has been
//! given its pid.
//!
//! A process is known by its pid, its start time (field 22 of `/proc/PID/stat`) and the boot that
//! both belong to. One that the agent did not start itself is taken for a node's only where its
//! command line and its data folder's lock say so, too.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{data_folder, host};

/// What tells a process from all others, earlier and later ones too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// In clock ticks since the boot.
    pub(crate) start: u64,
    pub(crate) boot: String,
}

/// A process that is held.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    pidfd: AsyncFd<OwnedFd>,
    /// Where the agent is its parent: to be reaped.
    child: Option<Child>,
}

impl Process {
    /// Holds a child that has just been started.
    pub(crate) fn of_child(mut child: Child) -> io::Result<Self> {
        let held = open(child.id()).and_then(|pidfd| Ok((pidfd, id(child.id())?)));
        match held {
            Ok((pidfd, id)) => Ok(Self { id, pidfd, child: Some(child) }),
            Err(error) => {
                // A child that is not waited for keeps its pid, so this is still it.
                let _ = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    /// Holds the process that runs on this data folder, if `pid` is one; with `known`, only if it
    /// is that very one.
    pub(crate) fn adopt(pid: u32, known: Option<&ProcessId>, data: &Path) -> Option<Self> {
        let pidfd = open(pid).ok()?;
        let id = id(pid).ok()?;
        let is_it = known.is_none_or(|known| *known == id) && serves(pid, data) && holds(pid, data);
        // All that was read is the process's that the pidfd holds if that has not ended by now.
        let process = Self { id, pidfd, child: None };
        (is_it && process.is_alive()).then_some(process)
    }

    pub(crate) fn id(&self) -> &ProcessId {
        &self.id
    }

    /// Whether it has not ended.
    fn is_alive(&self) -> bool {
        !is_readable(&self.pidfd)
            && state(self.id.pid).is_some_and(|state| state != 'Z' && state != 'X')
    }

    /// Waits for its end, and says how it was. May be called again.
    pub(crate) async fn ended(&mut self) -> String {
        // A pidfd is readable once its process has ended, and stays so.
        let waited = self.pidfd.async_io(Interest::READABLE, |_| Ok(())).await;
        if let Err(error) = waited {
            return format!("it can't be watched any more: {error}");
        }
        match self.child.as_mut().map(Child::wait) {
            Some(Ok(status)) => format!("it ended with {status}"),
            Some(Err(error)) => format!("it ended, and how is not known: {error}"),
            None => "it ended, and how is not known, as an earlier agent started it".into(),
        }
    }

    /// How much it has done by now: CPU time, and bytes read and written. `None` where the system
    /// does not say, and where a debugger holds the process.
    pub(crate) fn done(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id.pid)).ok()?;
        if field(&stat, 3)? == "t" {
            return None;
        }
        let ticks = [14, 15]
            .iter()
            .filter_map(|number| field(&stat, *number)?.parse::<u64>().ok())
            .sum::<u64>();
        let io = fs::read_to_string(format!("/proc/{}/io", self.id.pid)).unwrap_or_default();
        let bytes = io
            .lines()
            .filter_map(|line| line.split_once(": ")?.1.trim().parse::<u64>().ok())
            .sum::<u64>();
        Some(ticks.wrapping_add(bytes))
    }

    /// Sends a signal. That it has ended is no error.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.pidfd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A pidfd is readable once its process has ended.
fn is_readable(pidfd: &AsyncFd<OwnedFd>) -> bool {
    let mut polled = [rustix::event::PollFd::new(pidfd.get_ref(), rustix::event::PollFlags::IN)];
    let no_time = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(rustix::event::poll(&mut polled, Some(&no_time)), Ok(0))
}

fn open(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    // SAFETY: an OwnedFd gives the same descriptor as long as it lives, and keeps it open; it moves
    // into the AsyncFd, which nobody takes it out of.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?)
}

/// The process that has the pid now.
fn id(pid: u32) -> io::Result<ProcessId> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let start =
        field(&stat, 22).and_then(|field| field.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(ProcessId { pid, start, boot: host::boot_id() })
}

fn state(pid: u32) -> Option<char> {
    field(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 3)?.chars().next()
}

/// A field of `/proc/PID/stat`, counted from 1 as proc(5) does. The second, the name, may hold
/// anything, parentheses and spaces too.
fn field(stat: &str, number: usize) -> Option<&str> {
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(number.checked_sub(3)?)
}

/// The folder of a process that was started as `… serve --data FOLDER …`.
fn served(pid: u32) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    match words.get(1..4) {
        Some([b"serve", b"--data", folder]) => Some(PathBuf::from(OsStr::from_bytes(folder))),
        _ => None,
    }
}

fn serves(pid: u32, data: &Path) -> bool {
    served(pid).is_some_and(|folder| folder == data)
}

/// Whether the lock of the data folder names this process, or none that could have it: it is taken
/// soon after the start. The lock itself is not tried, as a server that took it at that moment
/// would be refused.
fn holds(pid: u32, data: &Path) -> bool {
    data_folder::holder(data).is_none_or(|holder| holder == pid || !serves(holder, data))
}

/// The processes that run on data folders, whoever started them.
pub(crate) fn servers() -> HashMap<PathBuf, u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((served(pid)?, pid))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = "12 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(
            (field(stat, 3), field(stat, 22), field(stat, 99)),
            (Some("R"), Some("4711"), None)
        );
        assert_eq!((field("", 3), field(stat, 1)), (None, None));
    }

    /// A process with the command line of a node.
    fn pretender(data: &Path) -> Child {
        Command::new("/bin/sh")
            .arg("-c")
            .arg("sleep 60; true")
            .arg("serve")
            .arg("--data")
            .arg(data)
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn a_child_is_signalled_and_its_end_is_told() {
        let mut process =
            Process::of_child(Command::new("sleep").arg("60").spawn().unwrap()).unwrap();
        assert!(process.is_alive());
        process.signal(Signal::STOP).unwrap();
        let mut before = process.done();
        while process.done() != before || before.is_none() {
            before = process.done();
        }
        process.signal(Signal::KILL).unwrap();
        assert!(process.ended().await.contains("signal: 9"));
        process.signal(Signal::KILL).unwrap();
        assert!(!process.is_alive());
    }

    #[tokio::test]
    async fn a_process_is_adopted_only_where_everything_matches() {
        let place = tempfile::tempdir().unwrap();
        // The words stand one further than a node's, so this is none.
        let mut other = pretender(place.path());
        assert!(Process::adopt(other.id(), None, place.path()).is_none());
        assert!(!servers().contains_key(place.path()));
        assert!(
            Process::adopt(
                std::process::id(),
                Some(&id(std::process::id()).unwrap()),
                place.path()
            )
            .is_none()
        );
        assert!(Process::adopt(u32::MAX, None, place.path()).is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
