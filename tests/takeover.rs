//! One server takes over from another: clients go on over the connections that they have, and see
//! no more than a late answer. Where a takeover fails, nothing has happened.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rkyv::rancor::Error;
use rustix::process::Signal;
use sutra_client::Concept;
use sutra_testing::raw::{PATIENCE, Raw, Reply, frame, hello};
use sutra_testing::wait_until;
use sutra_wire::{
    Checked, ConceptId, ConceptKey, ConceptRecord, CoreLayout, Header, Opcode, Status,
};

use crate::support::legacy::Legacy;
use crate::support::python::python;
use crate::support::succession::Succession;
use crate::support::{Folder, run};

/// A concept's record, as a native client archives it.
fn record(name: &str, content: &str) -> Vec<u8> {
    let record = ConceptRecord {
        id: ConceptId::from_name(name).unwrap().0,
        content: content.to_owned(),
        confidence: 1.0,
        ..ConceptRecord::default()
    };
    rkyv::to_bytes::<Error>(&record).unwrap().to_vec()
}

fn key(name: &str) -> Vec<u8> {
    let key = ConceptKey { id: ConceptId::from_name(name).unwrap().0, namespace: String::new() };
    rkyv::to_bytes::<Error>(&key).unwrap().to_vec()
}

fn header(opcode: Opcode, request: u64) -> Header {
    Header { opcode: opcode as u8, request, ..Header::default() }
}

fn learn(raw: &mut Raw, name: &str, content: &str) {
    let reply = raw.ask(header(Opcode::Learn, 1), &record(name, content));
    assert_eq!(reply.status(), Status::Ok);
}

fn content(reply: &Reply) -> String {
    assert_eq!(reply.status(), Status::Ok);
    Checked::<ConceptRecord>::new(&reply.payload).unwrap().content.to_string()
}

fn query(raw: &mut Raw, name: &str) -> String {
    content(&raw.ask(header(Opcode::Query, 2), &key(name)))
}

/// How many connections the server that runs now has accepted itself.
fn accepted(server: &Succession) -> u64 {
    let mut raw = Raw::open(server.address());
    let reply = raw.ask(header(Opcode::Stats, 3), &[]);
    let stats = Checked::<sutra_wire::Stats>::new(&reply.payload).unwrap();
    let counter = stats.counters.iter().find(|counter| counter.name == "connections_accepted");
    counter.unwrap().value.to_native()
}

#[test]
fn native_and_old_clients_go_on_over_the_connections_that_they_have() {
    let mut server = Succession::start(&[]);
    let mut native: Vec<Raw> = (0..4).map(|n| Raw::open_on(server.address(), n % 2)).collect();
    let mut old = Legacy::open(server.compat());
    let mut silent = Legacy::open(server.compat());
    let mut begun = Raw::connect(server.address());
    begun.send(&hello(1)[..20]);
    let health = b"\xabHealthCheck";
    let well = old.ask(health);
    learn(&mut native[0], "dog", "first");
    let mut uptime = 0;
    for round in 0..5 {
        let said = server.take_over();
        let stats = server.client().stats().unwrap();
        assert!(stats.uptime.to_native() > uptime, "the service goes on");
        uptime = stats.uptime.to_native();
        assert_eq!(said["listening"], server.greeting["listening"]);
        assert_eq!(said["admin"], server.greeting["admin"]);
        let text = format!("round {round}");
        learn(&mut native[round % 4], "dog", &text);
        for raw in &mut native {
            assert_eq!(query(raw, "dog"), text);
        }
        assert_eq!(old.ask(health).len(), well.len());
    }
    assert_eq!(silent.ask(health).len(), well.len());
    begun.send(&hello(1)[20..]);
    assert!(begun.reply().is_ok());
    assert_eq!(query(&mut begun, "dog"), "round 4");
    assert!(accepted(&server) <= 3, "only those that ask for figures");
    // And for new ones it is a server like any other.
    assert_eq!(server.client().query("dog").unwrap().unwrap().content, "round 4");
    let folder = server.stop();
    let server = Succession::restart(folder, &[]);
    assert_eq!(server.client().query("dog").unwrap().unwrap().content, "round 4");
}

#[test]
fn a_frame_of_which_half_was_sent_and_a_burst_that_nobody_has_answered_are_answered() {
    let mut server = Succession::start(&[]);
    let mut half = Raw::open_on(server.address(), 0);
    let long = "x".repeat(300_000);
    let whole = frame(header(Opcode::Learn, 77), &record("long", &long));
    half.send(&whole[..200_000]);
    let mut burst = Raw::open_on(server.address(), 1);
    let mut sender = burst.stream.try_clone().unwrap();
    // Some of it is answered before, some is under way, some has not been sent.
    let sending = thread::spawn(move || {
        for number in 0..20_000 {
            let name = format!("burst-{}", number % 500);
            let text = format!("{number}");
            sender.write_all(&frame(header(Opcode::Learn, number), &record(&name, &text))).unwrap();
        }
    });
    let mut seen = vec![false; 20_000];
    let mut take = |raw: &mut Raw, count: usize| {
        for _ in 0..count {
            let reply = raw.reply();
            assert_eq!(reply.status(), Status::Ok);
            let number = usize::try_from(reply.header.request).unwrap();
            assert!(!std::mem::replace(&mut seen[number], true), "{number} is answered twice");
        }
    };
    take(&mut burst, 1_000);
    server.take_over();
    take(&mut burst, 4_000);
    server.take_over();
    take(&mut burst, 15_000);
    sending.join().unwrap();
    half.send(&whole[200_000..]);
    assert_eq!(half.reply().header.request, 77);
    assert_eq!(query(&mut half, "long"), long);
    for number in 19_500..20_000 {
        assert_eq!(query(&mut half, &format!("burst-{}", number % 500)), format!("{number}"));
    }
}

#[test]
fn answers_that_nobody_reads_hold_no_takeover_up_and_are_all_there_afterwards() {
    let mut server = Succession::start(&[]);
    let mut raw = Raw::open(server.address());
    let long = "y".repeat(1 << 20);
    learn(&mut raw, "long", &long);
    // Where the concept is, so that each request waits for room while answers are unread.
    let owner = CoreLayout::new(2).owner(&ConceptId::from_name("long").unwrap());
    let mut lazy = Raw::open_on(server.address(), owner);
    for number in 0..40 {
        lazy.send(&frame(header(Opcode::Query, number), &key("long")));
    }
    wait_until("the server waits for its reader", || {
        let stats = server.client().stats().unwrap();
        let counter = stats.counters.iter().find(|counter| counter.name == "waits_for_room");
        counter.unwrap().value.to_native() > 0
    });
    server.take_over();
    server.take_over();
    let mut numbers: Vec<u64> = (0..40)
        .map(|_| {
            let reply = lazy.reply();
            assert!(content(&reply) == long);
            reply.header.request
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..40));
}

#[test]
fn every_write_that_was_acknowledged_while_servers_changed_is_there() {
    let mut server = Succession::start(&["--cores", "1", "--no-pin"]);
    let (is_over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let address = server.address();
            let (is_over, acknowledged) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
            thread::spawn(move || {
                let mut raw = Raw::open(address);
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    learn(&mut raw, &format!("w{writer}-{number}"), "acknowledged");
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
                number
            })
        })
        .collect();
    for _ in 0..4 {
        let before = acknowledged.load(Ordering::Relaxed);
        wait_until("more is written", || acknowledged.load(Ordering::Relaxed) > before + 50);
        server.take_over();
    }
    is_over.store(true, Ordering::Relaxed);
    let counts: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let folder = server.stop();
    let server = Succession::restart(folder, &["--cores", "1", "--no-pin"]);
    let mut raw = Raw::open(server.address());
    for (writer, count) in counts.into_iter().enumerate() {
        for number in 0..count {
            assert_eq!(query(&mut raw, &format!("w{writer}-{number}")), "acknowledged");
        }
    }
}

#[test]
fn what_can_not_take_over_says_why_and_the_server_goes_on_undisturbed() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let server = Succession::start(&[]);
    let mut raw = Raw::open(server.address());
    learn(&mut raw, "dog", "here");
    let pid = server.pid();
    for (change, code, words) in [
        (&["--cores", "3"][..], 2, "--cores 2, and this one is to have 3"),
        (&["--durability", "os"], 2, "--durability always"),
        (&["--compat-numbering", "later"], 2, "--compat-numbering first"),
        (&["--listen", "nonsense"], 2, "expected an IP address"),
        (&["--admin", &taken], 3, "admin port"),
        (&["--id-rule", "legacy"], 3, "by the rule md5-or-hex"),
    ] {
        let output = server.fail_to_take_over(change);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(query(&mut raw, "dog"), "here");
    }
    assert_eq!(server.pid(), pid);
    let nobody = Folder::new();
    std::fs::create_dir_all(nobody.path()).unwrap();
    for folder in [nobody.path(), nobody.path().join("none")] {
        let output = run(&["serve", "--takeover", "--data", folder.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("leave out --takeover"), "{said}");
        assert!(!folder.join("lock").exists());
    }
}

#[test]
fn a_server_goes_on_with_all_connections_where_its_successor_fails_late() {
    let mut server = Succession::start(&[]);
    let mut raw = Raw::open_on(server.address(), 1);
    let mut old = Legacy::open(server.compat());
    let health = b"\xabHealthCheck";
    let well = old.ask(health);
    learn(&mut raw, "dog", "here");
    let pid = server.pid();
    // More than a process may have that may open few files: it fails when it is given them.
    let many: Vec<Raw> = (0..200).map(|_| Raw::open(server.address())).collect();
    for round in 0..3 {
        let whole = frame(header(Opcode::Query, 5), &key("dog"));
        raw.send(&whole[..30]);
        let output = server.fail_to_take_over_with_files(100);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains("ulimit -n"), "{said}");
        raw.send(&whole[30..]);
        assert_eq!(content(&raw.reply()), "here", "{round}");
        assert_eq!(old.ask(health).len(), well.len());
        assert_eq!(server.client().query("dog").unwrap().unwrap().content, "here");
    }
    assert_eq!(server.pid(), pid);
    // It can still be taken over, and ends in order.
    server.take_over();
    for mut raw in many {
        assert_eq!(query(&mut raw, "dog"), "here");
    }
    assert_eq!(query(&mut raw, "dog"), "here");
    server.stop();
}

/// A successor that takes everything when it is told to, and does nothing with it. It prints what
/// it hears.
const TAKES_ALL: &str = r#"
import json, os, socket, sys
stat = os.stat(sys.argv[1])
name = f"\0sutra/takeover/{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
way.connect(name)
way.send(json.dumps({"Ask": {"protocol": int(sys.argv[2]), "version": "test"}}).encode())
print(way.recv(65536).decode(), flush=True)
sys.stdin.readline()
try:
    way.send(b'"Ready"')
except BrokenPipeError:
    sys.exit(print("ended"))
text, fds, *_ = socket.recv_fds(way, 65536, 253)
left = json.loads(text or "{}").get("Estate")
if left:
    wanted = left["listeners"] + left["admin"] + len(left["marks"]) + left["connections"]
    while wanted:
        wanted -= len(socket.recv_fds(way, 65536, 253)[1])
print(text.decode(), flush=True)
sys.stdin.read()
"#;

/// Such a process, and what it hears.
struct Strange(Child, BufReader<ChildStdout>);

impl Strange {
    fn successor(python: &Path, server: &Succession, protocol: u32) -> Self {
        let mut command = Command::new(python);
        command.args(["-c", TAKES_ALL]).arg(server.data()).arg(protocol.to_string());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python runs");
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self(child, lines)
    }

    fn hears(&mut self, words: &str) {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        assert!(line.contains(words), "{line}");
    }

    fn take_all(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_goes_on_with_all_connections_where_its_successor_is_killed_with_all_of_them() {
    // Which may have to be fetched first.
    let python = python();
    let mut server = Succession::start(&[]);
    let mut raw = Raw::open(server.address());
    let mut silent = Raw::connect(server.address());
    learn(&mut raw, "dog", "here");
    let mut strange = Strange::successor(&python, &server, 1);
    strange.hears("Profile");
    strange.take_all();
    strange.hears("Estate");
    // What comes now waits: nobody serves.
    raw.send(&frame(header(Opcode::Query, 9), &key("dog")));
    let mut new = TcpStream::connect(server.address()).unwrap();
    new.write_all(&hello(0)).unwrap();
    drop(strange);
    assert_eq!(content(&raw.reply()), "here");
    silent.say_hello(1);
    assert_eq!(query(&mut silent, "dog"), "here");
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    new.read_exact(&mut [0; 1]).unwrap();
    server.take_over();
    assert_eq!(query(&mut raw, "dog"), "here");
}

#[test]
fn a_successor_of_another_protocol_is_told_so_and_one_that_leaves_is_forgotten() {
    let mut server = Succession::start(&[]);
    let python = python();
    Strange::successor(&python, &server, 99).hears("protocol 99");
    Strange::successor(&python, &server, 1).hears("Profile");
    let mut raw = Raw::open(server.address());
    learn(&mut raw, "dog", "here");
    server.take_over();
    assert_eq!(query(&mut raw, "dog"), "here");
}

#[test]
fn a_signal_has_a_server_start_its_successor_itself() {
    let mut server = Succession::start(&[]);
    let mut raw = Raw::open(server.address());
    learn(&mut raw, "dog", "here");
    let first = server.pid();
    server.signal(Signal::USR2);
    assert!(server.has_passed_on().success());
    assert_eq!(query(&mut raw, "dog"), "here");
    // The successor is nobody's child here; the lock names it.
    let holder = || -> Option<i32> {
        let lock = std::fs::read_to_string(server.data().join("lock")).ok()?;
        lock.lines().next()?.parse().ok()
    };
    let second = holder().unwrap();
    assert_ne!(second.unsigned_abs(), first);
    let process = rustix::process::Pid::from_raw(second).unwrap();
    wait_until("the next one follows", || {
        // It may not have come to listen to signals yet. One successor is started at a time.
        let _ = rustix::process::kill_process(process, Signal::USR2);
        holder().is_some_and(|third| third != second)
    });
    assert_eq!(query(&mut raw, "dog"), "here");
    let third = rustix::process::Pid::from_raw(holder().unwrap()).unwrap();
    rustix::process::kill_process(third, Signal::TERM).unwrap();
    assert!(raw.has_ended());
    wait_until("it ends", || holder().is_none());
}

#[test]
fn a_server_that_was_told_to_stop_is_not_taken_over() {
    let server = Succession::start(&[]);
    let mut strange = Strange::successor(&python(), &server, 1);
    strange.hears("Profile");
    server.stop();
    strange.take_all();
    strange.hears("ended");
}

#[test]
fn a_server_with_pinned_cores_keeps_its_cpus() {
    let mut server = Succession::start(&["--cores", "1"]);
    let cpus = server.greeting["cpus"].clone();
    for _ in 0..2 {
        assert_eq!(server.take_over()["cpus"], cpus);
    }
    let mut raw = Raw::open(server.address());
    learn(&mut raw, "dog", "here");
}

#[test]
fn associations_vectors_and_namespaces_are_what_they_were() {
    let mut server = Succession::start(&[]);
    let client = server.client();
    let concepts = (0..600).map(|number| {
        Concept::new(format!("c{number}")).content("x").embedding(vec![number as f32, 1.0])
    });
    assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
    for number in 1..50 {
        let association = sutra_client::Association::between("c0", format!("c{number}"));
        client.associate(association).unwrap();
    }
    client.namespace("pets").learn(Concept::new("dog").content("in pets")).unwrap();
    let before = client.stats().unwrap();
    server.take_over();
    client.namespace("more").learn(Concept::new("cat").content("in more")).unwrap();
    server.take_over();
    let after = client.stats().unwrap();
    assert_eq!(after.associations.to_native(), before.associations.to_native());
    assert_eq!(after.vectors.to_native(), before.vectors.to_native());
    let like = sutra_client::SearchQuery::like([599.0, 1.0]).k(1);
    assert_eq!(client.search(like).unwrap().hits.len(), 1);
    assert_eq!(client.neighbors("c0").unwrap().neighbors.len(), 49);
    for (namespace, name) in [("pets", "dog"), ("more", "cat")] {
        let found = client.namespace(namespace).query(name).unwrap().unwrap();
        assert_eq!(found.content, format!("in {namespace}"));
    }
}
