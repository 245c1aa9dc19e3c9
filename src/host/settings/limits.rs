//! What a process may have: open files, and memory that stays where it is.

use crate::facts::process::Limit;
use crate::host::Host;
use crate::setting::{Group, Look, Setting, Severity, Tuning, no_live_value};

/// Locked memory of a core's rings and receive buffers, in bytes: two cores start in full within
/// 320 KiB (src/runtime/README.md).
const LOCKED_PER_CORE: u64 = 160 << 10;
/// Below this no core's rings fit, however small.
const LOCKED_LEAST: u64 = 96 << 10;
/// Connections that a host should have room for before anybody has to think of it.
const CONNECTIONS: u64 = 65_536;
/// So few that clients with a connection for each core soon use them up.
const FEW_CONNECTIONS: u64 = 4096;

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "nofile",
        group: Group::Limits,
        why: "Every connection and every log segment is an open file. The server takes the hard \
              limit by itself.",
        effect: "At the limit a core accepts no connection until another one has closed; below \
                 what its rings and files need, the server does not start.",
        source: "src/runtime/README.md, Bounds",
        look: open_files,
        tuning: Tuning::of(no_live_value),
    },
    Setting {
        name: "memlock",
        group: Group::Limits,
        why: "A core's rings and receive buffers are locked memory, some 150 KB, unless the \
              process has CAP_IPC_LOCK.",
        effect: "Two cores start in full within 320 KiB, with smaller rings within 128 KiB, and \
                 not at all within 64 KiB.",
        source: "src/runtime/README.md, measured on Linux 6.18",
        look: locked_memory,
        tuning: Tuning::of(no_live_value),
    },
];

/// Whose limits they are, behind what they are.
fn whose(host: &Host) -> String {
    match host.server() {
        Some(pid) => format!(" (of the server that runs, process {pid})"),
        None => " (of this shell; a service has its own)".into(),
    }
}

fn words(limit: Limit, unit: u64, name: &str) -> String {
    match limit {
        Limit::None => "unlimited".into(),
        Limit::Of(count) => format!("{}{name}", count / unit),
    }
}

fn open_files(host: &Host) -> Look {
    let Some((_, hard)) = host.limit("Max open files") else {
        return Look::unknown("the process's limits are not there");
    };
    let needed = (host.needs.files)(host.cores());
    let current = words(hard, 1, "") + &whose(host);
    let wanted = format!("{CONNECTIONS} or more; a server needs {needed} and one a connection");
    let remedy = "sutra tune nofile, and log in anew; systemd LimitNOFILE=1048576; docker run \
                  --ulimit nofile=1048576; for now `ulimit -Hn 1048576` as root";
    let severity = match hard {
        limit if limit < Limit::Of(needed) => Severity::Fatal,
        limit if limit < Limit::Of(needed + FEW_CONNECTIONS) => Severity::Warning,
        limit if limit < Limit::Of(CONNECTIONS) => Severity::Hint,
        _ => return Look::good(current, wanted),
    };
    Look::wrong(severity, current, wanted, remedy)
}

fn locked_memory(host: &Host) -> Look {
    let Some((soft, _)) = host.limit("Max locked memory") else {
        return Look::unknown("the process's limits are not there");
    };
    let cores = host.cores() as u64;
    let wanted = format!("{} KiB for {cores} cores", (LOCKED_PER_CORE * cores) >> 10);
    let current = words(soft, 1024, " KiB") + &whose(host);
    if host.process.may_lock_all(&host.root) {
        return Look::good(format!("no limit: CAP_IPC_LOCK{}", whose(host)), wanted);
    }
    let remedy = "sutra tune memlock, and log in anew; systemd LimitMEMLOCK=infinity; docker run \
                  --ulimit memlock=-1; for now `ulimit -l unlimited` as root";
    let severity = match soft {
        limit if limit < Limit::Of(LOCKED_LEAST) => Severity::Fatal,
        limit if limit < Limit::Of(LOCKED_PER_CORE * cores) => Severity::Warning,
        _ => return Look::good(current, wanted),
    };
    Look::wrong(severity, current, wanted, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn at(files: &str, locked: &str, capabilities: &str) -> (State, State) {
        let limits = format!("Max open files  1024  {files}  files\nMax locked memory  {locked}\n");
        let status = format!("CapEff:\t{capabilities}\nCpus_allowed_list:\t0-3\n");
        let sample = Sample::new(&[("/proc/self/limits", &limits), ("/proc/self/status", &status)]);
        let host = host(sample.root());
        (open_files(&host).state, locked_memory(&host).state)
    }

    #[test]
    fn limits_are_held_against_what_four_cores_need() {
        use Severity::{Fatal, Hint, Warning};
        for (files, state) in [
            ("111", State::Wrong(Fatal)),
            ("112", State::Wrong(Warning)),
            ("20000", State::Wrong(Hint)),
            ("65536", State::Good),
            ("unlimited", State::Good),
        ] {
            assert_eq!(at(files, "unlimited unlimited bytes", "0").0, state, "{files}");
        }
        for (locked, capabilities, state) in [
            ("65536 65536 bytes", "0", State::Wrong(Fatal)),
            ("65536 65536 bytes", "000001ffffffffff", State::Good),
            ("327680 unlimited bytes", "0", State::Wrong(Warning)),
            ("655360 655360 bytes", "0", State::Good),
            ("unlimited unlimited bytes", "0", State::Good),
        ] {
            assert_eq!(at("1", locked, capabilities).1, state, "{locked}");
        }
        let nowhere = host(Sample::new(&[]).root());
        let states = (open_files(&nowhere).state, locked_memory(&nowhere).state);
        assert_eq!(states, (State::Unknown, State::Unknown));
    }
}
