//! Peers that stop in the middle, on a real server in this process whose patience is short.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rkyv::rancor::Error;
use sutra_server::Limits;
use sutra_testing::raw::{Raw, frame, hello};
use sutra_wire::{Checked, ConceptKey, ConceptRecord, Header, NO_CORE, Opcode, Stats, Status};

fn header(opcode: Opcode) -> Header {
    Header { opcode: opcode as u8, request: 7, ..Header::default() }
}

/// A connection that has said Hello. One that a busy host has kept from saying it in time is given
/// up as it ought to be, and tries again.
fn opened(address: SocketAddr) -> Raw {
    loop {
        let mut raw = Raw::connect(address);
        let is_sent = raw.stream.write_all(&hello(NO_CORE)).is_ok();
        if is_sent && matches!(raw.receive(), Ok(Some(reply)) if reply.is_ok()) {
            return raw;
        }
    }
}

#[test]
fn a_peer_that_stops_in_the_middle_is_given_up_and_others_notice_nothing() {
    let (server, _folder) = support::start(Limits {
        hello_timeout: Duration::from_secs(1),
        stall_timeout: Duration::from_secs(1),
        max_output: 16 << 10,
        ..Limits::default()
    });
    let address = server.listening()[0];
    // Learned before the others begin: it is what the one that never reads asks for.
    let record = ConceptRecord {
        id: [7; 16],
        content: "x".repeat(16 << 10),
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    };
    let learn = rkyv::to_bytes::<Error>(&record).unwrap();
    let mut neighbour = opened(address);
    assert!(neighbour.ask(header(Opcode::Learn), &learn).is_ok());
    let key =
        rkyv::to_bytes::<Error>(&ConceptKey { id: record.id, namespace: String::new() }).unwrap();
    let query = frame(header(Opcode::Query), &key);

    let half_a_frame = thread::spawn(move || {
        let mut raw = opened(address);
        raw.send(&frame(header(Opcode::Learn), &learn)[..40]);
        let reply = raw.reply();
        assert_eq!(reply.status(), Status::Malformed);
        assert!(reply.message().contains("rest of a frame"), "{}", reply.message());
        assert!(raw.has_ended());
    });
    let no_hello = thread::spawn(move || assert!(Raw::connect(address).has_ended()));
    let never_reads = thread::spawn(move || {
        let mut raw = opened(address);
        // Far more than both sockets hold: the server stops taking requests, and in the end gives
        // the connection up, which fails the write.
        while raw.stream.write_all(&query).is_ok() {}
    });
    let gone = [half_a_frame, no_hello, never_reads];
    while !gone.iter().all(thread::JoinHandle::is_finished) {
        assert!(neighbour.is_alive());
        thread::park_timeout(Duration::from_millis(20));
    }
    for thread in gone {
        thread.join().unwrap();
    }

    let reply = neighbour.ask(header(Opcode::Stats), &[]);
    let stats = Checked::<Stats>::new(&reply.payload).unwrap().to_owned();
    let counter =
        |name: &str| stats.counters.iter().find(|counter| counter.name == name).unwrap().value;
    assert_eq!(counter("connections_timed_out_stalled"), 2);
    assert!(counter("connections_timed_out_in_hello") >= 1);
    assert!(
        counter("resident_bytes") < 256 << 20,
        "a client that does not read holds no memory without a bound"
    );
    support::stop(server);
}
