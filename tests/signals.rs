//! Signals that ask for nothing end no service; those that ask for the end are followed by one in
//! order.

use std::process::{Command, Stdio};

use crate::support;
use crate::support::agent::{Agent, Home, kill};
use crate::support::master::Master;
use crate::support::{Folder, Server, greeted};
use rustix::process::Signal;
use sutra_testing::terminal::Terminal;

/// All signals that end a process by default. Left out are those that ask for its end, those that
/// report its own faults, and SIGUSR2, by which a server starts its successor.
fn that_ask_for_nothing() -> Vec<i32> {
    let named = [
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPIPE,
        libc::SIGXFSZ,
        libc::SIGSTKFLT,
    ];
    named.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect()
}

/// Sends them all.
fn bother(pid: u32) {
    for signal in that_ask_for_nothing() {
        // SAFETY: kill(2) takes two numbers and touches no memory.
        let sent = unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) };
        assert_eq!(sent, 0, "signal {signal}");
    }
}

// An end by one of these signals would show in the exit status, which is that of SIGTERM's orderly
// end.

#[test]
fn a_server_survives_what_asks_for_nothing() {
    let server = Server::start(&[]);
    bother(server.pid());
    assert!(server.client().health().unwrap().healthy);
    assert!(server.stop().0.success());
}

#[test]
fn a_master_survives_what_asks_for_nothing() {
    let folder = Folder::new();
    let master = Master::start(&folder.path(), "127.0.0.1:0", &[]);
    bother(master.pid());
    assert_eq!(master.ask(&["agents"]).0, 0);
    master.stop();
}

#[test]
fn an_agent_and_its_nodes_survive_what_asks_for_nothing() {
    let home = Home::new();
    let agent = Agent::start(&home, &[]);
    let node = agent.spawn("n");
    let pid = agent.wait_for(&node.id, "running");
    bother(agent.pid());
    bother(pid);
    assert!(node.client().health().unwrap().healthy);
    assert_eq!(agent.status(&node.id), ("running".to_owned(), pid));
    agent.stop_node(&node.id).unwrap();
    agent.stop();
}

#[test]
fn a_service_ends_in_order_by_every_signal_that_asks_for_it() {
    for signal in [Signal::INT, Signal::QUIT, Signal::XCPU, Signal::POWER] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        let status = server.wait();
        assert!(status.success(), "{signal:?}: {status}");
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    let script = "trap '' INT HUP; exec \"$0\" \"$@\"";
    command.args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_sutra"),
        "serve",
        "--json",
        "--cores",
        "1",
        "--no-pin",
    ]);
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "off", "--compat", "off", "--data"])
        .arg(folder.path());
    let (mut child, greeting) = greeted(command);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(mask.trim(), 16).unwrap();
    for signal in [libc::SIGINT, libc::SIGHUP] {
        assert_eq!(ignored >> (signal - 1) & 1, 1, "signal {signal}: {mask}");
    }
    kill(child.id(), Signal::INT);
    let address = greeting["listening"][0].as_str().unwrap().to_owned();
    assert!(sutra_client::blocking::Client::connect(address).unwrap().health().unwrap().healthy);
    kill(child.id(), Signal::TERM);
    assert!(child.wait().unwrap().success());
}

/// What closes a terminal: its processes get SIGHUP, and what they write to it fails.
#[test]
fn a_server_outlives_its_terminal() {
    let folder = Folder::new();
    let terminal = Terminal::open(24, 80);
    let mut command = support::sutra();
    command.args([
        "serve",
        "--json",
        "--cores",
        "1",
        "--no-pin",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "off",
    ]);
    command.arg("--data").arg(folder.path());
    terminal.prepare(&mut command);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut line = String::new();
    let mut answers = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut answers, &mut line).unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&line).unwrap();
    drop(terminal);
    let address = greeting["listening"][0].as_str().unwrap().to_owned();
    assert!(sutra_client::blocking::Client::connect(address).unwrap().health().unwrap().healthy);
    kill(child.id(), Signal::TERM);
    assert!(child.wait().unwrap().success());
}
