//! Counts system calls for each request, by perf(1) at the kernel's own tracepoint. The run is not
//! used for other figures: the tracepoint slows every system call.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// How long perf may take to attach before requests are sent. The idle server makes hardly any
/// calls meanwhile.
const ATTACH: Duration = Duration::from_millis(200);

/// Why system calls can't be counted here; `None` where they can.
pub(crate) fn missing() -> Option<String> {
    let tried = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "true"])
        .output();
    match tried {
        Err(error) => Some(format!("perf can't be run: {error}")),
        Ok(output) => count(&String::from_utf8_lossy(&output.stderr)).is_none().then(|| {
            "perf can't count raw_syscalls:sys_enter here (it needs root, and tracefs)".to_owned()
        }),
    }
}

/// The system calls that the process makes while `requests` runs, for each of the requests that it
/// answers.
pub(crate) fn a_request(pid: u32, requests: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
    let mut perf = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    sleep(ATTACH);
    let answered = requests();
    kill_process(Pid::from_child(&perf), Signal::INT)?;
    let mut said = String::new();
    if let Some(mut stderr) = perf.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    perf.wait()?;
    let calls = count(&said).ok_or_else(|| format!("perf said {said:?}"))?;
    Ok(calls / answered?.max(1) as f64)
}

/// The count in perf's comma-separated line.
fn count(said: &str) -> Option<f64> {
    said.lines()
        .find(|line| line.contains("raw_syscalls:sys_enter"))?
        .split(',')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_perfs_line_and_a_refusal_is_none() {
        assert_eq!(count("# started\n1234,,raw_syscalls:sys_enter,100,100.00,,\n"), Some(1234.0));
        assert_eq!(count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
    }
}
