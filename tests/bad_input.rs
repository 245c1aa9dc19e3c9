//! What a server does with bytes that no client of ours would send: each gets its clear error or is
//! closed, is counted, and nobody else notices.

use std::io::Write;

use crate::support::Server;
use rkyv::rancor::Error;
use sutra_testing::raw::{Raw, frame, hello};
use sutra_wire::{
    CHECKSUM, ConceptKey, ConceptRecord, HEADER_BYTES, Header, NO_CORE, Opcode, Status,
};

fn header(opcode: Opcode) -> Header {
    Header { opcode: opcode as u8, request: 7, ..Header::default() }
}

fn record() -> ConceptRecord {
    ConceptRecord {
        id: [7; 16],
        content: "some content".into(),
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    }
}

fn archive(record: &ConceptRecord) -> Vec<u8> {
    rkyv::to_bytes::<Error>(record).unwrap().to_vec()
}

/// The value of a counter in the server's stats.
fn counter(server: &Server, name: &str) -> u64 {
    let output = server.run(&["stats", "--json"]);
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    stats["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {stats}"))
}

/// Sends bytes that are no frame: an error that closes the connection, is counted, and does not
/// touch another connection.
fn closes(server: &Server, bytes: &[u8], status: Status, says: &str) {
    let counted = format!("errors_{}", status.name());
    let before = counter(server, &counted);
    let mut neighbour = Raw::open(server.address);
    let mut raw = Raw::open(server.address);
    raw.send(bytes);
    let reply = raw.reply();
    assert_eq!(reply.status(), status);
    assert!(reply.message().contains(says), "{}", reply.message());
    assert!(raw.has_ended(), "the connection ends after it");
    assert!(neighbour.is_alive());
    assert_eq!(counter(server, &counted), before + 1);
}

/// Sends a frame that is one and asks for something wrong: an error, and the connection goes on.
fn refuses(server: &Server, header: Header, payload: &[u8], status: Status, says: &str) {
    let counted = format!("errors_{}", status.name());
    let before = counter(server, &counted);
    let mut raw = Raw::open(server.address);
    let reply = raw.ask(header, payload);
    assert_eq!((reply.status(), reply.header.request), (status, header.request));
    assert!(reply.message().contains(says), "{}", reply.message());
    assert!(raw.is_alive(), "the connection goes on");
    assert_eq!(counter(server, &counted), before + 1);
}

#[test]
fn bytes_that_are_no_frame_get_their_error_and_end_only_their_own_connection() {
    let server = Server::start(&[]);
    let good = frame(header(Opcode::Health), &[]);
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        bytes
    };
    closes(&server, &with(0, b'X'), Status::Malformed, "magic");
    closes(&server, &with(2, 9), Status::UnsupportedVersion, "version 9");
    closes(&server, &with(5, 0x40), Status::Malformed, "flags");
    closes(&server, &with(6, 1), Status::Malformed, "reserved");
    let long = Header { length: (16 << 20) + 1, ..header(Opcode::Learn) }.encode();
    closes(&server, &long, Status::TooLarge, "16777217 bytes is over the limit of 16777216");
    let mut damaged =
        frame(Header { flags: CHECKSUM, ..header(Opcode::Learn) }, &archive(&record()));
    damaged[HEADER_BYTES + 3] ^= 0x10;
    closes(&server, &damaged, Status::ChecksumMismatch, "checksum");
}

#[test]
fn another_protocol_is_told_so() {
    let server = Server::start(&[]);
    let mut raw = Raw::connect(server.address);
    raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let reply = raw.reply();
    assert_eq!(reply.status(), Status::Malformed);
    assert!(raw.has_ended());
    let mut raw = Raw::connect(server.address);
    let mut wrong = hello(NO_CORE).to_vec();
    wrong[HEADER_BYTES] ^= 1;
    raw.send(&wrong);
    let reply = raw.reply();
    assert_eq!(reply.status(), Status::UnsupportedVersion);
    assert!(reply.message().contains("same release"), "{}", reply.message());
}

#[test]
fn requests_that_make_no_sense_are_refused_by_name_and_the_connection_goes_on() {
    let server = Server::start(&[]);
    refuses(
        &server,
        Header { opcode: 0x7f, request: 7, ..Header::default() },
        &[],
        Status::UnknownOpcode,
        "0x7f",
    );
    refuses(
        &server,
        header(Opcode::Learn),
        &[1, 2, 3],
        Status::InvalidArchive,
        "3 bytes is not a valid concept record",
    );
    let learn = |change: &dyn Fn(&mut ConceptRecord)| {
        let mut record = record();
        change(&mut record);
        archive(&record)
    };
    let nan = learn(&|record| record.embedding = vec![0.5, f32::NAN]);
    refuses(
        &server,
        header(Opcode::Learn),
        &nan,
        Status::InvalidArgument,
        "embedding: number 1 of 2 is NaN",
    );
    let infinite = learn(&|record| record.strength = f32::INFINITY);
    refuses(&server, header(Opcode::Learn), &infinite, Status::InvalidArgument, "strength");
    let confident = learn(&|record| record.confidence = 1.5);
    refuses(&server, header(Opcode::Learn), &confident, Status::InvalidArgument, "between 0 and 1");
    let nobody = learn(&|record| record.id = [0; 16]);
    refuses(&server, header(Opcode::Learn), &nobody, Status::InvalidArgument, "id: is empty");
    let mut not_text = archive(&record());
    let at = not_text.windows(12).position(|window| window == b"some content").unwrap();
    not_text[at] = 0xff;
    refuses(
        &server,
        header(Opcode::Learn),
        &not_text,
        Status::InvalidArchive,
        "not a valid concept record",
    );
    let key = rkyv::to_bytes::<Error>(&ConceptKey::default()).unwrap();
    refuses(&server, header(Opcode::Query), &key, Status::InvalidArgument, "id: is empty");
}

#[test]
fn a_frame_may_arrive_byte_by_byte_and_many_may_arrive_at_once() {
    let server = Server::start(&[]);
    let mut raw = Raw::open(server.address);
    for byte in frame(header(Opcode::Learn), &archive(&record())).iter() {
        raw.send(&[*byte]);
    }
    assert_eq!(raw.reply().status(), Status::Ok);
    let mut run = Vec::new();
    for request in 0..500u64 {
        run.extend_from_slice(&frame(Header { request, ..header(Opcode::Health) }, &[]));
    }
    raw.send(&run);
    let mut answered: Vec<u64> = (0..500).map(|_| raw.reply().header.request).collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..500).collect::<Vec<_>>());
}

#[test]
fn random_bytes_never_stop_the_server() {
    use rand::{RngExt, SeedableRng};
    let server = Server::start(&[]);
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for round in 0..300 {
        let mut raw =
            if round % 2 == 0 { Raw::open(server.address) } else { Raw::connect(server.address) };
        let mut bytes: Vec<u8> =
            (0..random.random_range(1..4000)).map(|_| random.random()).collect();
        if round % 3 == 0 {
            // A plausible header, so that the payload's parser is reached.
            let opcodes = Opcode::ALL;
            let opcode = opcodes[random.random_range(0..opcodes.len())];
            bytes = frame(header(opcode), &bytes).to_vec();
        }
        // The server may have closed the connection already.
        let _ = raw.stream.write_all(&bytes);
    }
    assert!(Raw::open(server.address).is_alive());
}
