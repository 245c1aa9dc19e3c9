//! Requests are answered, in whatever order and way the service answers them.

use std::collections::HashSet;

use crate::support::{
    BACKGROUND, Client, ECHO, ELSEWHERE, HOLD, RELEASE, STORED, STORED_BYTES, Server, frame,
    pattern, run,
};
use sutra_net::Limits;
use sutra_testing::raw;
use sutra_wire::{CHECKSUM, Header, Status};

#[test]
fn a_reply_repeats_the_request_and_carries_its_sequence() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    for len in [0, 1, 15, 16, 17, 5000, 100_000] {
        let reply = client.ask(ECHO, len as u64, &pattern(len));
        assert!(reply.is_ok() && reply.payload[..] == pattern(len));
        assert_eq!(
            (reply.header.opcode, reply.header.extra, reply.header.flags),
            (ECHO, len as u64, 0)
        );
    }
    server.stop();
}

#[test]
fn an_unknown_operation_is_refused_and_the_connection_goes_on() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let reply = client.ask(0x7f, 1, b"");
    assert_eq!(
        (reply.header.status, reply.message().as_str()),
        (Status::UnknownOpcode as u8, "no operation 127")
    );
    assert!(client.ask(ECHO, 2, b"on").is_ok());
    server.stop();
}

#[test]
fn replies_come_in_the_order_in_which_the_service_gives_them() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    client.send(&run([
        frame(HOLD, 1, b""),
        frame(HOLD, 2, b""),
        frame(ECHO, 3, b"x"),
        frame(RELEASE, 4, b""),
    ]));
    let order: Vec<u64> = (0..4).map(|_| client.reply().header.request).collect();
    assert_eq!(order, [3, 2, 1, 4]);
    server.stop();
}

#[test]
fn replies_that_come_by_message_or_from_the_background_find_their_connection() {
    for cores in 1..=3 {
        let server = Server::start(cores, Limits::default());
        server.shared.open_gate();
        let mut clients: Vec<_> =
            (0..cores).map(|core| Client::to_core(&server, core as u16)).collect();
        for round in 0..20 {
            for (core, client) in clients.iter_mut().enumerate() {
                let number = round * 100 + core as u64;
                client.send(&run([
                    frame(ELSEWHERE, number, b""),
                    frame(BACKGROUND, number + 50, b""),
                ]));
            }
            for (core, client) in clients.iter_mut().enumerate() {
                let number = round * 100 + core as u64;
                let got =
                    HashSet::from([client.reply().header.request, client.reply().header.request]);
                assert_eq!(got, HashSet::from([number, number + 50]));
            }
        }
        server.stop();
    }
}

#[test]
fn stored_bodies_arrive_whole_whether_copied_or_sent_from_where_they_lie() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let lengths = [0, 1, 16, 100, 4095, 4096, 4097, 5000, 70_001, STORED_BYTES];
    for flags in [0, CHECKSUM] {
        let requests = lengths.iter().map(|len| {
            let header =
                Header { opcode: STORED, request: *len as u64, flags, ..Header::default() };
            raw::frame(header, &(*len as u32).to_le_bytes())
        });
        // All in one go, so that copied and shared pieces meet in one send.
        client.send(&run(requests));
        for len in lengths {
            let reply = client.reply();
            assert_eq!((reply.header.request, reply.header.flags), (len as u64, flags));
            assert!(reply.payload[..] == pattern(len), "{len} bytes");
        }
    }
    server.stop();
}

#[test]
fn thousands_of_pipelined_requests_are_all_answered_in_order() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut writer = client.stream.try_clone().unwrap();
    let payload = |number: u64| pattern((number % 300) as usize);
    let writing = std::thread::spawn(move || {
        let all = run((0..20_000).map(|number| frame(ECHO, number, &payload(number))));
        for piece in all.chunks(9_973) {
            std::io::Write::write_all(&mut writer, piece).unwrap();
        }
    });
    for number in 0..20_000 {
        let reply = client.reply();
        assert_eq!(reply.header.request, number);
        assert!(reply.payload[..] == payload(number));
    }
    writing.join().unwrap();
    server.stop();
}

#[test]
fn frames_cut_at_any_byte_are_put_together_again() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let mut other = Client::connect(&server);
    let checked = |request: u64, payload: &[u8]| {
        raw::frame(Header { opcode: ECHO, request, flags: CHECKSUM, ..Header::default() }, payload)
    };
    let payloads = [pattern(0), pattern(7), pattern(40)];
    let all = run((0u64..).zip(&payloads).map(|(number, payload)| checked(number, payload)));
    for cut in 0..=all.len() {
        client.send(&all[..cut]);
        // The core is behind the first part when it has answered somebody else.
        other.ask(ECHO, 1, b"");
        client.send(&all[cut..]);
        for (number, payload) in (0u64..).zip(&payloads) {
            let reply = client.reply();
            assert_eq!(
                (reply.header.request, &reply.payload[..]),
                (number, &payload[..]),
                "cut at {cut}"
            );
        }
    }
    assert_eq!(other.counters()["input_held_bytes"], 0);
    // And one byte at a time.
    for byte in &all {
        client.send(&[*byte]);
        other.ask(ECHO, 1, b"");
    }
    for number in 0..3 {
        assert_eq!(client.reply().header.request, number);
    }
    server.stop();
}
