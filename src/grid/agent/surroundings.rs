//! What a node's process gets of its own instead of its agent's: environment, limits, priority,
//! umask.
//!
//! An agent may be protected from the out-of-memory killer, low in priority, or allowed few files.
//! Its nodes are servers of their own. What only a privileged agent may set is set where it may.

use std::io;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit, umask};

/// Variables that a program needs to run at all, and to say when and in which language.
const KEPT: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TZDIR",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "RUST_BACKTRACE",
];
/// The one setting that an agent passes on to its nodes.
const LOG: &str = "SUTRA_LOG";
/// Files that a node may open, where the agent may say so: what systemd gives a service.
const FILES: u64 = 524_288;
/// Limits of the agent's that would end its nodes, or refuse them something.
const LIMITS: [Resource; 8] = [
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Data,
    Resource::Fsize,
    Resource::Cpu,
    Resource::Nproc,
    Resource::Sigpending,
];

/// Leaves the command a few variables of the agent's: its settings and its secrets are not a
/// node's.
pub(crate) fn environment(command: &mut Command) {
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let known = name.to_string_lossy();
        if KEPT.contains(&&*known) || known == LOG || known.starts_with("LC_") {
            command.env(name, value);
        }
    }
}

/// What a limit of a node is set to: `wanted` where the agent may, else `allowed`.
struct Limit {
    resource: Resource,
    wanted: Rlimit,
    allowed: Rlimit,
}

/// What the child does between fork and exec; to be made before the fork.
pub(crate) fn prepare() -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    let limits = LIMITS.map(|resource| {
        let most = getrlimit(resource).maximum;
        let allowed = Rlimit { current: most, maximum: most };
        let more =
            most.map(|most| if resource == Resource::Nofile { most.max(FILES) } else { most });
        Limit { resource, wanted: Rlimit { current: more, maximum: more }, allowed }
    });
    move || {
        for Limit { resource, wanted, allowed } in &limits {
            let set = setrlimit(*resource, *wanted).or_else(|_| setrlimit(*resource, *allowed));
            // The second attempt can't fail: a process may always keep its own maximum.
            set?;
        }
        umask(Mode::RWXG | Mode::RWXO);
        own_priority();
        hold_nothing()?;
        rustix::process::setsid()?;
        Ok(())
    }
}

/// Gives it the usual priority. What the agent may not set stays as it is.
fn own_priority() {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
        let _ = rustix::io::write(file, b"0");
    }
    let usual = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a value that lives over the call, which only reads it; 0 is the
    // calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual) };
    let _ = setpriority_process(None, 0);
    const OF_A_PROCESS: libc::c_int = 1;
    // SAFETY: ioprio_set(2) takes three numbers and no memory: this process, and no class of its
    // own.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, OF_A_PROCESS, 0, 0) };
}

/// Makes exec close all descriptors above standard error, whoever opened them.
fn hold_nothing() -> io::Result<()> {
    const CLOSE_AT_EXEC: libc::c_uint = 4;
    // SAFETY: close_range(2) takes three numbers and no memory. With this flag it closes nothing
    // before exec, so every descriptor that is owned here stays open.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_AT_EXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
