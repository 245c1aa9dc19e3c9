//! The kernel, and whether it lets this process have rings.

use sutra_runtime::RuntimeError;

use crate::host::Host;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "kernel-version",
        group: Group::Kernel,
        why: "The server stands on io_uring with DEFER_TASKRUN, which Linux has from 6.1 on.",
        effect: "Below 6.1 the server does not start. From 6.1 to 6.14 an idle core's wait is \
                 counted as I/O wait, so CPU monitors show a busy host; 6.15 keeps it out.",
        source: "src/runtime/README.md; io_uring_enter(2), IORING_ENTER_NO_IOWAIT",
        look: kernel,
        tuning: None,
    },
    Setting {
        name: "io-uring",
        group: Group::Kernel,
        why: "Sockets and the log are moved by io_uring alone; there is no other way in.",
        effect: "Without it the server does not start. With smaller rings than asked for, a turn \
                 of many requests takes more system calls.",
        source: "found out by setting rings up, one set for each core, as the server does",
        look: rings,
        tuning: None,
    },
    Setting {
        name: "io-uring-disabled",
        group: Group::Kernel,
        why: "kernel.io_uring_disabled switches io_uring off: 1 for all without CAP_SYS_ADMIN or \
              the group of kernel.io_uring_group, 2 for everybody.",
        effect: "With 2, and with 1 for an ordinary user, the server does not start.",
        source: "Linux, Documentation/admin-guide/sysctl/kernel.rst",
        look: disabled,
        tuning: Tuning::of(enabled),
    },
    Setting {
        name: "seccomp",
        group: Group::Kernel,
        why: "Containers run under a seccomp filter, and the default ones of Docker and containerd \
              refuse io_uring.",
        effect: "Under such a filter the server does not start.",
        source: "moby/moby#46762, containerd/containerd#9320",
        look: seccomp,
        tuning: None,
    },
];

/// Major and minor number of a release: `6.18.44-amd64`.
fn numbered(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn kernel(host: &Host) -> Look {
    let Some((release, number)) = host.kernel().and_then(|release| {
        let number = numbered(&release)?;
        Some((release, number))
    }) else {
        return Look::unknown("/proc/sys/kernel/osrelease is not there");
    };
    let current = format!("Linux {release}");
    let newer = "boot a newer kernel: `apt install linux-image-amd64` from backports, or the \
                 distribution's newer release";
    match number {
        (major, minor) if (major, minor) < (6, 1) => {
            Look::wrong(Severity::Fatal, current, "6.1 or later", newer)
        }
        (major, minor) if (major, minor) < (6, 15) => {
            Look::wrong(Severity::Hint, current, "6.15 or later", newer)
        }
        _ => Look::good(current, "6.1 or later, better 6.15"),
    }
}

/// How the refusal is mended, without what was being done.
fn remedy(error: &RuntimeError) -> &'static str {
    match error {
        RuntimeError::Disabled { .. } => "sutra tune io-uring-disabled",
        RuntimeError::Blocked { .. } => {
            "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile: \
             `docker run --security-opt seccomp=PROFILE.json`, Kubernetes \
             securityContext.seccompProfile, systemd SystemCallFilter=@system-service \
             io_uring_setup io_uring_enter io_uring_register"
        }
        RuntimeError::LockedMemory { .. } => {
            "ulimit -l unlimited; systemd LimitMEMLOCK=infinity; docker run --ulimit memlock=-1; \
             or sutra tune memlock and log in anew"
        }
        RuntimeError::KernelTooOld { .. } => "boot Linux 6.1 or later",
        RuntimeError::FileLimit { .. } => "ulimit -n 65536; systemd LimitNOFILE=65536",
        _ => "run `sutra serve` here, which says the same error, and see what it names",
    }
}

fn rings(host: &Host) -> Look {
    const WANTED: &str = "rings for every core";
    match host.rings() {
        None => Look::unknown("rings are set up on this host only, not below --root"),
        Some(Ok(features)) => Look::good(features.to_string(), WANTED)
            .measured(format!("set up for {} cores", host.cores())),
        Some(Err(error)) => Look::wrong(Severity::Fatal, error.to_string(), WANTED, remedy(error)),
    }
}

fn disabled(host: &Host) -> Look {
    let wanted = "0";
    match host.root.text(SWITCH).as_deref() {
        None if host.kernel().is_some() => Look::absent("this kernel has no such switch"),
        None => Look::unknown(format!("{SWITCH} is not there")),
        Some("0") => Look::good("0", wanted),
        Some("1") => Look::wrong(Severity::Warning, "1", wanted, "sutra tune io-uring-disabled"),
        Some(other) => Look::wrong(Severity::Fatal, other, wanted, "sutra tune io-uring-disabled"),
    }
}

fn enabled(host: &Host) -> Vec<Live> {
    where_there(host, SWITCH, "0").into_iter().collect()
}

fn seccomp(host: &Host) -> Look {
    let Some(mode) = host.process.status(&host.root, "Seccomp") else {
        return Look::unknown("the process's status does not tell");
    };
    let wanted = "no filter, or one that lets io_uring through";
    if mode == "0" {
        return Look::good("no filter", wanted);
    }
    match host.rings() {
        Some(Err(error @ RuntimeError::Blocked { .. })) => {
            let current = "a filter, which refuses io_uring";
            Look::wrong(Severity::Fatal, current, wanted, remedy(error))
        }
        Some(Ok(_)) => Look::good("a filter, which lets io_uring through", wanted),
        _ => Look::unknown("there is a filter; what it refuses could not be found out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    #[test]
    fn an_old_kernel_is_fatal_and_one_that_counts_waits_a_hint() {
        for (release, state) in [
            ("5.10.0-28-amd64", State::Wrong(Severity::Fatal)),
            ("6.0.19", State::Wrong(Severity::Fatal)),
            ("6.1.0-13-amd64", State::Wrong(Severity::Hint)),
            ("6.14.2", State::Wrong(Severity::Hint)),
            ("6.18.44", State::Good),
            ("7.0.0", State::Good),
            ("none", State::Unknown),
        ] {
            let sample = Sample::new(&[("/proc/sys/kernel/osrelease", release)]);
            assert_eq!(kernel(&host(sample.root())).state, state, "{release}");
        }
    }

    #[test]
    fn the_switch_is_told_by_its_value_and_its_absence() {
        let at = |files: &[(&str, &str)]| disabled(&host(Sample::new(files).root())).state;
        assert_eq!(at(&[(SWITCH, "0\n")]), State::Good);
        assert_eq!(at(&[(SWITCH, "1\n")]), State::Wrong(Severity::Warning));
        assert_eq!(at(&[(SWITCH, "2\n")]), State::Wrong(Severity::Fatal));
        assert_eq!(at(&[("/proc/sys/kernel/osrelease", "6.1.0")]), State::Absent);
        assert_eq!(at(&[]), State::Unknown);
    }

    #[test]
    fn below_another_root_nothing_is_set_up_and_nothing_guessed() {
        let sample = Sample::new(&[("/proc/self/status", "Seccomp:\t2\n")]);
        let host = host(sample.root());
        assert_eq!((rings(&host).state, seccomp(&host).state), (State::Unknown, State::Unknown));
        sample.write("/proc/self/status", "Seccomp:\t0\n");
        assert_eq!(seccomp(&host).state, State::Good);
    }
}
