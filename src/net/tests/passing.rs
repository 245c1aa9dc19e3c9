//! Connections go on in another process as if nothing had happened.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::toy_protocol::{PARTS, READ, ToyClient, message};
use crate::support::{
    Client, ECHO, GATED, HOLD, OPEN, RELEASE, STORED, STORED_BYTES, Server, frame, hello, pattern,
    run,
};
use sutra_net::Limits;

#[test]
fn a_connection_goes_on_at_its_core_in_the_middle_of_a_frame() {
    let mut server = Server::start(2, Limits::default());
    let mut clients: Vec<Client> = (0..4).map(|n| Client::to_core(&server, n % 2)).collect();
    let payload = pattern(10_000);
    for round in 0..3 {
        // From the first byte of a header on, and behind it.
        for (at, client) in [1, 40, 5_000, 10_020].into_iter().zip(&mut clients) {
            let frame = frame(ECHO, 7, &payload);
            client.send(&frame[..at]);
            client.stream.flush().unwrap();
        }
        server = server.pass_on();
        for (at, client) in [1, 40, 5_000, 10_020].into_iter().zip(&mut clients) {
            let frame = frame(ECHO, 7, &payload);
            client.send(&frame[at..]);
            let reply = client.reply();
            assert_eq!((reply.header.request, &reply.payload[..]), (7, &payload[..]), "{round}");
        }
    }
    server.stop();
}

#[test]
fn what_was_held_is_answered_where_the_server_goes_on_and_by_the_next_one() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    client.send(&frame(HOLD, 1, b""));
    let mut other = Client::connect(&server);
    other.until("requests_in_flight", |count| count == 2);
    let held = server.hold();
    // It has one under way, and begins no other: not even the one that would end it.
    other.send(&run([frame(RELEASE, 2, b""), frame(ECHO, 3, b"x")]));
    assert!(held.recv_timeout(Duration::from_millis(20)).is_err());
    other.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(other.receive().is_err());
    other.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    server.go_on();
    assert_eq!((other.reply().header.request, other.reply().header.request), (2, 3));
    assert_eq!(client.reply().header.request, 1);
    let held = server.hold();
    other.send(&run((4..200).map(|number| frame(ECHO, number, b"y"))));
    held.recv().unwrap().unwrap();
    let server = server.pass_on();
    assert!((4..200).all(|number| other.reply().header.request == number));
    server.stop();
}

#[test]
fn requests_that_waited_for_room_are_offered_by_the_next_one() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    client.send(&run((1..=3).map(|number| frame(GATED, number, b""))));
    let mut other = Client::connect(&server);
    other.until("waits_for_room", |count| count == 1);
    let server = server.pass_on();
    assert!(server.shared.credited.lock().unwrap().is_empty());
    other.ask(OPEN, 1, &3_u32.to_le_bytes());
    assert_eq!([(); 3].map(|()| client.reply().header.request), [1, 2, 3]);
    assert_eq!(*server.shared.credited.lock().unwrap(), [1, 2, 3]);
    server.stop();
}

#[test]
fn replies_that_nobody_reads_hold_nothing_up_and_are_not_lost() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    let ask = (0..40).map(|number| frame(STORED, number, &(STORED_BYTES as u32).to_le_bytes()));
    client.send(&run(ask));
    Client::connect(&server).until("waits_for_room", |count| count >= 1);
    let server = server.pass_on().pass_on();
    let whole = pattern(STORED_BYTES);
    for number in 0..40 {
        let reply = client.reply();
        assert_eq!(reply.header.request, number);
        assert!(reply.payload[..] == whole, "{number}");
    }
    let counters = client.until("requests_in_flight", |count| count == 1);
    assert_eq!(counters["input_held_bytes"], 0);
    server.stop();
}

#[test]
fn a_connection_that_has_said_nothing_or_half_a_hello_says_it_to_the_next_one() {
    let server = Server::start(2, Limits::default());
    let mut silent = Client::silent(server.address);
    let mut begun = Client::silent(server.address);
    let text = hello(1);
    begun.send(&text[..30]);
    // All have been accepted.
    Client::connect(&server).until("connections_accepted", |count| count >= 1);
    let server = server.pass_on();
    begun.send(&text[30..]);
    begun.welcomed();
    assert_eq!(begun.core, 1);
    silent.send(&hello(0));
    silent.welcomed();
    assert_eq!(silent.ask(ECHO, 1, b"a").payload[..], *b"a");
    server.stop();
}

#[test]
fn connections_that_nobody_has_accepted_wait_for_the_next_one() {
    let mut server = Server::start(2, Limits::default());
    for _ in 0..5 {
        let address = server.address;
        let connecting = std::thread::spawn(move || {
            (0..50).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>()
        });
        server = server.pass_on();
        for mut stream in connecting.join().unwrap() {
            stream.write_all(&hello(1)).unwrap();
            stream.read_exact(&mut [0; 1]).unwrap();
        }
    }
    server.stop();
}

#[test]
fn another_protocols_connection_goes_on_with_its_replies_in_order() {
    let mut server = Server::start(1, Limits::default());
    let mut silent = ToyClient::connect(server.translated);
    let mut client = ToyClient::connect(server.translated);
    for _ in 0..20 {
        let many: Vec<u8> =
            [message(READ, b"1"), message(PARTS, b"\x30a"), message(READ, b"2")].concat().repeat(3);
        let (first, rest) = many.split_at(many.len() - 2);
        client.send(first);
        server = server.pass_on();
        client.send(rest);
        for _ in 0..3 {
            let parts = "a".repeat(0x30);
            assert_eq!([(); 3].map(|()| client.reply()), ["1", &parts, "2"]);
        }
    }
    silent.send(&message(READ, b"late"));
    assert_eq!(silent.reply(), "late");
    server.stop();
}

#[test]
fn who_broke_the_protocol_is_told_so_and_who_has_left_is_answered() {
    let server = Server::start(1, Limits::default());
    let mut left = Client::connect(&server);
    let mut broken = Client::connect(&server);
    let held = server.hold();
    left.send(&frame(ECHO, 5, b"last"));
    left.half_close();
    held.recv().unwrap().unwrap();
    server.go_on();
    broken.send(&[b"no frame, and long enough for a header".as_slice(), &[0; 64]].concat());
    let server = server.pass_on();
    assert_eq!(left.reply().payload[..], *b"last");
    left.is_over();
    assert!(broken.reply().message().contains("frame"));
    broken.half_close();
    assert!(broken.has_ended());
    server.stop();
}

#[test]
fn a_server_that_is_told_to_stop_while_it_holds_requests_answers_them_first() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::connect(&server);
    server.hold().recv().unwrap().unwrap();
    client.send(&frame(ECHO, 5, b"held"));
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(client.receive().is_err());
    client.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    server.shutdown();
    assert_eq!(client.reply().payload[..], *b"held");
    client.is_over();
    server.join();
}
