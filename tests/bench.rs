//! `sutra bench` against the real server: it measures, says what it saw, and leaves the store as it
//! was.

use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::support::succession::Succession;
use crate::support::{PATIENCE, Server, sutra};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Association, Concept};

/// Short runs: what is measured is not the point here.
const SHORT: [&str; 6] = ["--duration", "0.1", "--warmup", "0", "--records", "100"];

/// What a store has, by its own count.
fn counts(server: &Server) -> [u64; 3] {
    let stats = server.client().stats().unwrap();
    [stats.concepts.to_native(), stats.associations.to_native(), stats.vectors.to_native()]
}

fn bench(server: &Server, arguments: &[&str]) -> Value {
    let measured = server.run(&[&["bench"], arguments, &SHORT, &["--json"]].concat());
    assert_eq!(
        measured.status.code(),
        Some(0),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&measured.stderr)
    );
    serde_json::from_slice(&measured.stdout).unwrap()
}

#[test]
fn benches_with_vectors_of_other_lengths_run_one_after_the_other_and_leave_the_store_as_it_was() {
    let server = Server::start(&[]);
    let client = server.client();
    client.learn(Concept::new("dog").embedding([1.0, 0.0, 0.5])).unwrap();
    client.associate(Association::between("dog", "cat")).unwrap();
    let before = counts(&server);
    for arguments in [
        &["learn", "--dimension", "384"][..],
        &["learn", "--dimension", "128"],
        &["learn"],
        &["query", "--dimension", "384"],
        &["associate"],
        &["neighbors", "--connections", "1"],
        &["health"],
    ] {
        let report = bench(&server, arguments);
        assert!(
            report["requests"].as_u64() > Some(0) && report["interrupted"] == false,
            "{report}"
        );
        assert_eq!(counts(&server), before, "{arguments:?}");
    }
    assert_eq!(client.query("dog").unwrap().unwrap().embedding.len(), 3);
}

/// A bench without an end of its own, and what it says to standard error.
fn endless(
    server: SocketAddr,
    arguments: &[&str],
) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = sutra();
    command.args(["bench"]).args(arguments).args([
        "--duration",
        "1h",
        "--warmup",
        "0",
        "--timeout",
        "60",
    ]);
    command.env("SUTRA_SERVER", server.to_string());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    (child, errors)
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// Waits until the server was asked for so much more of this kind.
fn wait_until_asked(server: SocketAddr, kind: &str, requests: u64) {
    let client = Client::connect(server.to_string()).unwrap();
    let asked = || {
        let stats = client.stats().unwrap();
        stats.counters.iter().find(|counter| counter.name == kind).unwrap().value.to_native()
    };
    let (before, until) = (asked(), Instant::now() + PATIENCE);
    while asked() < before + requests {
        assert!(Instant::now() < until, "the bench asks");
    }
}

#[test]
fn a_bench_that_is_interrupted_shows_what_it_measured_and_removes_its_records() {
    let server = Server::start(&[]);
    for (connections, signal) in [("1", Signal::INT), ("8", Signal::TERM)] {
        let (child, mut errors) =
            endless(server.address, &["query", "--records", "100", "--connections", connections]);
        wait_until_asked(server.address, "requests_query", 1_000);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let mut said = String::new();
        errors.read_to_string(&mut said).unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{said}");
        assert!(
            shown.contains("throughput")
                && shown.contains("interrupted before its time; 0 requests"),
            "{shown}"
        );
        assert!(said.contains("interrupted: what was measured follows"), "{said}");
        assert_eq!(counts(&server), [0; 3]);
    }
}

#[test]
fn a_bench_that_is_interrupted_while_it_prepares_removes_what_it_wrote() {
    let server = Server::start(&[]);
    let (child, mut errors) = endless(server.address, &["learn", "--records", "100000"]);
    wait_until_asked(server.address, "requests_learn", 1_000);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        String::from_utf8(output.stdout).unwrap().contains("before anything was measured"),
        "{said}"
    );
    assert_eq!(counts(&server), [0; 3]);
}

#[test]
fn a_bench_over_a_takeover_says_that_cpu_time_and_profile_can_not_be_told() {
    let mut server = Succession::start(&[]);
    let arguments = ["query", "--records", "100", "--profile", "--json"];
    let (child, mut errors) = endless(server.address(), &arguments);
    wait_until_asked(server.address(), "requests_query", 1_000);
    server.take_over();
    wait_until_asked(server.address(), "requests_query", 1_000);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect(&said);
    assert!(report["requests"].as_u64() > Some(1_000), "{report}");
    assert_eq!(report["refused"], serde_json::json!({}), "{report}");
    assert_eq!(report["server_changed"], true, "{report}");
    assert!(report["server_cpu"].is_null() && report["profile"].is_null(), "{report}");
}
