//! What can go wrong when the runtime starts or registers something, with the cure in the message.
//!
//! Errors of single operations (a send, a write) are `std::io::Error` and travel in their events.
//! The diagnosis of a missing `io_uring` lives here because three different causes answer with the
//! same errno.

use std::io;

use thiserror::Error;

/// Why the runtime could not start, or could not take what it was given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// `kernel.io_uring_disabled` is 1 or 2.
    #[error(
        "io_uring is switched off on this host (kernel.io_uring_disabled={setting}): \
         as root run `sysctl kernel.io_uring_disabled=0`"
    )]
    Disabled {
        /// The value of the sysctl: 1 bars unprivileged processes, 2 bars all.
        setting: u32,
    },
    /// `io_uring_setup` is refused although the host allows it: a seccomp filter, as containers
    /// have.
    #[error(
        "io_uring is blocked for this process ({source}), usually by a container's \
         seccomp profile: allow io_uring_setup, io_uring_enter and io_uring_register in it \
         (Docker and Podman: --security-opt seccomp=PROFILE.json, or seccomp=unconfined; \
         Kubernetes: securityContext.seccompProfile)"
    )]
    Blocked {
        /// What `io_uring_setup` answered.
        source: io::Error,
    },
    /// The kernel has no memory for the ring, or the limit on locked memory is too small.
    #[error(
        "{what}: not enough lockable memory (limit {limit}): raise it (`ulimit -l unlimited`, \
         systemd LimitMEMLOCK=infinity, Docker --ulimit memlock=-1), or run fewer cores"
    )]
    LockedMemory {
        /// What was being set up.
        what: &'static str,
        /// The soft RLIMIT_MEMLOCK, in words.
        limit: String,
    },
    /// The kernel lacks what the runtime is built on.
    #[error(
        "Linux {release} is too old: the data ring needs 6.1 or later (IORING_SETUP_DEFER_TASKRUN)"
    )]
    KernelTooOld {
        /// `uname -r`.
        release: String,
    },
    /// No file descriptors left.
    #[error("{what}: too many open files: raise the limit (`ulimit -n`, systemd LimitNOFILE=)")]
    FileLimit {
        /// What was being set up.
        what: &'static str,
    },
    /// The system has no room for a thread.
    #[error(
        "{what}: {source}; allow this user more processes (`ulimit -u`), or the service more tasks \
         (systemd TasksMax=)"
    )]
    Thread {
        /// What was being started.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A CPU was asked for that this process may not use.
    #[error(
        "CPU {cpu} is not available to this process, which may use {available:?} (affinity mask): \
         choose among these, or switch pinning off"
    )]
    CpuNotAvailable {
        /// The CPU that was asked for.
        cpu: usize,
        /// The CPUs that the process may use.
        available: Vec<usize>,
    },
    /// More pinned cores than CPUs.
    #[error(
        "{cores} cores were asked for and this process may use {available} CPUs: \
         ask for fewer, or switch pinning off"
    )]
    TooManyCores {
        /// How many were asked for.
        cores: usize,
        /// How many CPUs there are.
        available: usize,
    },
    /// The kernel refused to pin a thread.
    #[error(
        "could not pin a thread to CPU {cpu}: check the affinity mask (taskset, cpuset), \
         or switch pinning off"
    )]
    Pin {
        /// The CPU.
        cpu: usize,
    },
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(String),
    /// Another system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl RuntimeError {
    /// The system refuses a thread.
    pub(crate) fn thread(what: &'static str) -> impl Fn(io::Error) -> RuntimeError {
        move |source| RuntimeError::Thread { what, source }
    }

    /// Wraps the error of a system call, saying what it was for; a few errnos have a cure of their
    /// own.
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> RuntimeError {
        move |source| match source.raw_os_error() {
            Some(libc::ENOMEM) => RuntimeError::LockedMemory { what, limit: memlock_limit() },
            Some(libc::EMFILE | libc::ENFILE) => RuntimeError::FileLimit { what },
            _ => RuntimeError::System { what, source },
        }
    }
}

/// Why a start failed: the runtime's own reason, or that of the function which builds the handlers.
#[derive(Debug, Error)]
pub enum StartError<E> {
    /// The runtime could not be set up.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A core's handler could not be built.
    #[error("core {core}: {error}")]
    Handler {
        /// Which core.
        core: usize,
        /// What its builder returned.
        error: E,
    },
}

/// Explains a failed `io_uring_setup` on this host.
pub(crate) fn explain_setup_failure(source: io::Error) -> RuntimeError {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    diagnose(source, disabled, &release)
}

/// The pure part of [`explain_setup_failure`]: errno, the sysctl's value where the kernel has it,
/// and `uname -r`.
fn diagnose(source: io::Error, io_uring_disabled: Option<u32>, release: &str) -> RuntimeError {
    const WHAT: &str = "setting up io_uring";
    match source.raw_os_error() {
        Some(libc::EPERM) => match io_uring_disabled {
            Some(setting @ 1..) => RuntimeError::Disabled { setting },
            _ => RuntimeError::Blocked { source },
        },
        // Unknown set-up flags give EINVAL; a kernel before 5.1 has no such system call at all.
        Some(libc::ENOSYS | libc::EINVAL) if older_than_6_1(release) => {
            RuntimeError::KernelTooOld { release: release.to_owned() }
        }
        Some(libc::ENOSYS | libc::EACCES) => RuntimeError::Blocked { source },
        _ => RuntimeError::system(WHAT)(source),
    }
}

/// Whether `uname -r` names a kernel before 6.1. What can't be read counts as new enough: the errno
/// then speaks.
fn older_than_6_1(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 1),
        _ => false,
    }
}

/// The soft limit on locked memory, in words.
fn memlock_limit() -> String {
    match rustix::process::getrlimit(rustix::process::Resource::Memlock).current {
        Some(bytes) => format!("{} KiB", bytes / 1024),
        None => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(errno: i32, disabled: Option<u32>, release: &str) -> String {
        diagnose(io::Error::from_raw_os_error(errno), disabled, release).to_string()
    }

    #[test]
    fn a_disabled_io_uring_names_the_sysctl() {
        for setting in [1, 2] {
            let text = text(libc::EPERM, Some(setting), "6.18.0");
            assert!(text.contains("sysctl kernel.io_uring_disabled=0"), "{text}");
            assert!(text.contains(&format!("io_uring_disabled={setting}")), "{text}");
        }
    }

    #[test]
    fn a_refusal_with_the_sysctl_at_zero_names_seccomp() {
        for (errno, disabled) in
            [(libc::EPERM, Some(0)), (libc::EPERM, None), (libc::ENOSYS, Some(0))]
        {
            let text = text(errno, disabled, "6.1.0-13-amd64");
            assert!(text.contains("seccomp"), "{text}");
        }
    }

    #[test]
    fn an_old_kernel_is_named_with_the_release_that_is_needed() {
        for release in ["5.10.0-28-amd64", "6.0.19", "4.19"] {
            let text = text(libc::EINVAL, None, release);
            assert!(text.contains(release) && text.contains("6.1"), "{text}");
        }
        assert!(!text(libc::EINVAL, None, "6.1.0").contains("too old"));
    }

    #[test]
    fn a_shortage_of_lockable_memory_names_the_limit() {
        let text = text(libc::ENOMEM, Some(0), "6.18.0");
        assert!(text.contains("ulimit -l") && text.contains("LimitMEMLOCK"), "{text}");
    }
}
