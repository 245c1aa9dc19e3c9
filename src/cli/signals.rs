//! Signals: those that ask for an end, and those that end a service by default though nobody asks
//! for its end. SIGHUP has a service read its settings again, SIGUSR2 a server start its successor.
//!
//! The first one that asks is followed by an orderly end, the second ends the process at once. A
//! signal that this process was started to ignore (`nohup`, a shell's background) stays ignored.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use libc::{SIGPWR, SIGRTMAX, SIGRTMIN, SIGSTKFLT};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
    SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::Signals;

use crate::exit::{Failure, SIGNALLED};
use crate::streams;

/// The signals that ask a command for its end.
const ASKING: &[i32] = &[SIGTERM, SIGINT];
/// The same of a service: somebody at a terminal, and the system where CPU time or power runs out.
const ASKING_SERVICE: &[i32] = &[SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGPWR];
/// The same of a command that has a terminal's screen: it gives that back first.
const ASKING_AT_SCREEN: &[i32] = &[SIGTERM, SIGINT, SIGQUIT, SIGHUP];
/// Those that ask a service for nothing. A write beyond a limit on the size of files fails, too.
const SURVIVED: &[i32] =
    &[SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ, SIGSTKFLT];
/// What SIGHUP asks for.
static RELOAD: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();
/// What SIGUSR2 asks for.
static SUCCEED: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();
/// How often the log tells of ignored signals.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// Has SIGHUP ask a service for this.
pub(crate) fn reload_by(reload: impl Fn() + Send + Sync + 'static) {
    RELOAD.get_or_init(|| Box::new(reload));
}

/// Has SIGUSR2 ask a service for this.
pub(crate) fn succeed_by(succeed: impl Fn() + Send + Sync + 'static) {
    SUCCEED.get_or_init(|| Box::new(succeed));
}

/// Calls `end` in a thread of its own for each signal that asks for the end. Where it returns
/// `false`, the process ends at once: it was asked before, or there is nothing to finish.
pub(crate) fn heed(end: impl FnMut(i32) -> bool + Send + 'static) -> Result<(), Failure> {
    heed_those(ASKING, &[], end)
}

/// The same for a command that has a terminal's screen.
pub(crate) fn heed_at_screen(end: impl FnMut(i32) -> bool + Send + 'static) -> Result<(), Failure> {
    heed_those(ASKING_AT_SCREEN, &[], end)
}

/// The same for a service, which other signals do not end.
pub(crate) fn heed_as_service(
    end: impl FnMut(i32) -> bool + Send + 'static,
) -> Result<(), Failure> {
    let survived: Vec<i32> = SURVIVED.iter().copied().chain(SIGRTMIN()..=SIGRTMAX()).collect();
    heed_those(ASKING_SERVICE, &survived, end)
}

fn heed_those(
    asking: &'static [i32],
    survived: &[i32],
    mut end: impl FnMut(i32) -> bool + Send + 'static,
) -> Result<(), Failure> {
    let ignored = std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
    let is_ours = |signal: &&i32| !is_in(ignored, **signal);
    let refused = |error| Failure::Host(format!("cannot receive signals: {error}"));
    let mut signals = Signals::new(asking.iter().filter(is_ours)).map_err(refused)?;
    for signal in survived.iter().filter(is_ours) {
        signals.handle().add_signal(*signal).map_err(refused)?;
    }
    if is_in(ignored, SIGTERM) {
        tracing::warn!(
            "SIGTERM was ignored at the start and stays ignored; another signal ends this process"
        );
    }
    let mut said: Option<Instant> = None;
    let heeding = move || {
        for signal in signals.forever() {
            if signal == SIGHUP
                && let Some(reload) = RELOAD.get()
            {
                reload();
            } else if signal == SIGUSR2
                && let Some(succeed) = SUCCEED.get()
            {
                succeed();
            } else if !asking.contains(&signal) {
                if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                    said = Some(Instant::now());
                    say_survived(signal);
                }
            } else if !end(signal) {
                streams::flush();
                std::process::exit(SIGNALLED + signal);
            }
        }
    };
    let spawned = thread::Builder::new().name("signals".into()).spawn(heeding);
    spawned.map(|_| ()).map_err(|error| Failure::no_thread(&error))
}

fn say_survived(signal: i32) {
    match signal {
        SIGXFSZ => {
            tracing::error!("SIGXFSZ: a file has reached the limit on its size (`ulimit -f`)");
        }
        signal => tracing::info!(signal, "this signal does nothing here; SIGTERM ends the process"),
    }
}

/// The signals that a process ignores, from the text of /proc/PID/status; bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    (1..=64).contains(&signal) && mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let mask = ignored("Name:\tsutra\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n");
        assert!(is_in(mask, SIGHUP) && is_in(mask, 13) && !is_in(mask, SIGINT) && !is_in(mask, 65));
        assert_eq!(ignored("nothing of the kind"), 0);
    }
}
