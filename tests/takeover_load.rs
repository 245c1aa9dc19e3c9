//! Takeovers in a row under clients that never reconnect, native and Python: no error, no write
//! that is lost, and how long the pauses are.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rkyv::rancor::Error;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use sutra_testing::raw::Raw;
use sutra_wire::{Checked, ConceptId, ConceptKey, ConceptRecord, Header, Opcode, Stats, Status};

use crate::support::python::python;
use crate::support::succession::Succession;

/// Between two rounds of a client: without it the clients alone would keep the host busy, and what
/// is measured would be that.
const PAUSE: Duration = Duration::from_millis(5);
/// Calls that are quicker are no pause, in ns.
const SLOW: u64 = 1_000_000;

/// What a client has seen.
#[derive(Default, Deserialize)]
struct Seen {
    calls: u64,
    /// Calls that took long: when they ended, and how long they took, in ns.
    slow: Vec<(u64, u64)>,
    /// The last content of each concept that was acknowledged.
    last: HashMap<String, String>,
}

/// The monotonic clock, in ns, as all processes read it.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

fn header(opcode: Opcode, request: u64) -> Header {
    Header { opcode: opcode as u8, request, ..Header::default() }
}

fn query(raw: &mut Raw, name: &str) -> Option<String> {
    let key = ConceptKey { id: ConceptId::from_name(name).unwrap().0, namespace: String::new() };
    let reply = raw.ask(header(Opcode::Query, 2), &rkyv::to_bytes::<Error>(&key).unwrap());
    (reply.status() == Status::Ok)
        .then(|| Checked::<ConceptRecord>::new(&reply.payload).unwrap().content.to_string())
}

/// A native client on one connection, until it is over. Whatever goes wrong there ends it.
fn native(address: SocketAddr, number: u16, is_over: &AtomicBool) -> Seen {
    let mut raw = Raw::open_on(address, number % 2);
    let mut seen = Seen::default();
    while !is_over.load(Ordering::Relaxed) {
        let (name, text) = (format!("n{number}-{}", seen.calls % 20), format!("{}", seen.calls));
        let record = ConceptRecord {
            id: ConceptId::from_name(&name).unwrap().0,
            content: text.clone(),
            confidence: 1.0,
            ..ConceptRecord::default()
        };
        let mut timed = |call: &mut dyn FnMut()| {
            let before = now();
            call();
            let after = now();
            seen.calls += 1;
            if after - before > SLOW {
                seen.slow.push((after, after - before));
            }
        };
        timed(&mut || {
            let record = rkyv::to_bytes::<Error>(&record).unwrap();
            assert_eq!(raw.ask(header(Opcode::Learn, 1), &record).status(), Status::Ok);
        });
        timed(&mut || assert_eq!(query(&mut raw, &name).as_deref(), Some(text.as_str())));
        seen.last.insert(name, text);
        thread::sleep(PAUSE);
    }
    seen
}

fn python_client(python: &Path, address: SocketAddr, number: usize) -> Child {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command
        .env("PYTHONPATH", repository.join("compat/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(repository.join("tests/support/takeover_client.py"))
        .args([address.to_string(), format!("p{number}"), PAUSE.as_secs_f64().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().expect("Python runs")
}

/// What came of the takeovers.
struct Figures {
    clients: usize,
    calls: u64,
    errors: usize,
    lost: usize,
    /// For each takeover and each client: its longest call meanwhile, in ns.
    pauses: Vec<u64>,
    /// The same for as many stretches of time, each as long, in which nothing was taken over: what
    /// the host itself makes of it.
    quiet: Vec<u64>,
}

impl Figures {
    #[allow(clippy::print_stdout, reason = "the long run is for its figures")]
    fn print(&self, takeovers: usize) {
        let Self { clients, calls, errors, lost, .. } = self;
        println!(
            "{takeovers} takeovers under {clients} clients, {calls} calls: {errors} errors, \
             {lost} lost writes"
        );
        for (what, all) in [("in a takeover", &self.pauses), ("without one", &self.quiet)] {
            let mut sorted = all.clone();
            sorted.sort_unstable();
            let at = |share: f64| {
                let place = (sorted.len() as f64 * share).ceil() as usize;
                sorted[place.clamp(1, sorted.len()) - 1] as f64 / 1e6
            };
            println!(
                "a client's longest call {what}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, \
                 longest {:.1} ms",
                at(0.5),
                at(0.9),
                at(0.99),
                at(1.0)
            );
        }
    }
}

/// A counter of the server that runs now.
fn counter(server: &Succession, name: &str) -> u64 {
    let mut raw = Raw::open(server.address());
    let reply = raw.ask(header(Opcode::Stats, 3), &[]);
    let stats = Checked::<Stats>::new(&reply.payload).unwrap();
    let found = stats.counters.iter().find(|counter| counter.name == name);
    found.map_or(0, |counter| counter.value.to_native())
}

fn take_over_under_load(takeovers: usize, natives: u16, pythons: usize) -> Figures {
    let python = python();
    let mut server = Succession::start(&["--admin", "off"]);
    let is_over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..natives)
        .map(|number| {
            let (address, is_over) = (server.address(), Arc::clone(&is_over));
            thread::spawn(move || native(address, number, &is_over))
        })
        .collect();
    let processes: Vec<_> =
        (0..pythons).map(|number| python_client(&python, server.compat(), number)).collect();
    let all = u64::from(natives) + pythons as u64;
    // All of them are there before the first takeover, besides the connection that asks.
    sutra_testing::wait_until("all clients are connected", || {
        counter(&server, "connections") == all + 1
    });
    let mut windows = Vec::new();
    for _ in 0..takeovers {
        let began = now();
        server.take_over();
        windows.push((began, now()));
    }
    let spent: u64 = windows.iter().map(|(began, ended)| ended - began).sum();
    let quiet_windows: Vec<_> = (0..takeovers)
        .map(|_| {
            let began = now();
            thread::sleep(Duration::from_nanos(spent / takeovers as u64));
            (began, now())
        })
        .collect();
    assert_eq!(counter(&server, "connections_accepted"), 1, "nobody has connected anew");
    is_over.store(true, Ordering::Relaxed);
    let mut errors = 0;
    let mut seen: Vec<Seen> = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(client) => seen.push(client),
            Err(_) => errors += 1,
        }
    }
    for mut process in processes {
        drop(process.stdin.take());
        let mut text = String::new();
        process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        match process.wait().unwrap().success() {
            true => seen.push(serde_json::from_str(&text).unwrap()),
            false => errors += 1,
        }
    }
    let server = Succession::restart(server.stop(), &["--admin", "off"]);
    let mut raw = Raw::open(server.address());
    let acknowledged = seen.iter().flat_map(|client| &client.last);
    let lost = acknowledged.filter(|(name, text)| query(&mut raw, name).as_ref() != Some(text));
    let longest = |client: &Seen, (began, ended): (u64, u64)| {
        let overlaps = |(end, took): &&(u64, u64)| *end >= began && end - took <= ended;
        client.slow.iter().filter(overlaps).map(|(_, took)| *took).max().unwrap_or(SLOW)
    };
    let of = |windows: &[(u64, u64)]| -> Vec<u64> {
        windows.iter().flat_map(|window| seen.iter().map(|one| longest(one, *window))).collect()
    };
    Figures {
        clients: seen.len() + errors,
        calls: seen.iter().map(|client| client.calls).sum(),
        errors,
        lost: lost.count(),
        pauses: of(&windows),
        quiet: of(&quiet_windows),
    }
}

fn check(takeovers: usize, natives: u16, pythons: usize) {
    let figures = take_over_under_load(takeovers, natives, pythons);
    figures.print(takeovers);
    assert_eq!((figures.errors, figures.lost), (0, 0));
    assert_eq!(figures.clients, usize::from(natives) + pythons);
}

#[test]
fn clients_that_never_reconnect_lose_nothing_over_some_takeovers() {
    check(3, 4, 2);
}

/// `cargo test --release --test behaviour takeover_load:: -- --ignored --nocapture` tells the
/// figures.
#[test]
#[ignore = "takes minutes"]
fn clients_that_never_reconnect_lose_nothing_over_a_hundred_takeovers() {
    check(100, 24, 8);
}
