//! Ports that speak either protocol: what a connection says first tells which, in whatever pieces
//! it comes, and the same limits hold for both.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::toy_protocol::{HELLO, LATE, PAID, PARTS, READ, ToyClient, message};
use crate::support::{Client, ECHO, OPEN, RELEASE, Server, frame, hello, run};
use sutra_net::Limits;
use sutra_wire::{MAGIC, NO_CORE, Status};

/// A native connection to this port.
fn native(address: SocketAddr, wanted: u16) -> Client {
    let mut client = Client::silent(address);
    client.send(&hello(wanted));
    client.welcomed();
    client
}

#[test]
fn either_port_speaks_either_protocol_with_several_clients_of_each() {
    let server = Server::of_either(1, Limits::default());
    let ports = [server.address, server.translated].repeat(3);
    let mut clients: Vec<_> =
        ports.iter().map(|port| (native(*port, NO_CORE), ToyClient::connect(*port))).collect();
    for round in 0..20 {
        for (native, toy) in &mut clients {
            toy.send(&message(READ, b"toy"));
            assert_eq!(&native.ask(ECHO, round, b"native").payload[..], b"native");
            assert_eq!(toy.reply(), "toy");
        }
    }
    let counters = clients[0].0.counters();
    assert_eq!((counters["connections"], counters["requests_translated"]), (12, 120));
    server.stop();
}

#[test]
fn native_clients_get_the_core_that_they_ask_for_and_others_are_served_where_they_are() {
    let server = Server::of_either(3, Limits::default());
    for round in 0..10 {
        for port in [server.address, server.translated] {
            let mut toys = [(); 3].map(|()| ToyClient::connect(port));
            for wanted in 0..3 {
                let mut client = native(port, wanted + 3 * round);
                assert_eq!(client.core, wanted);
                assert!(client.ask(ECHO, 1, b"").is_ok());
            }
            for toy in &mut toys {
                toy.send(&message(HELLO, b""));
                assert_eq!(toy.reply(), "hello");
            }
        }
    }
    server.stop();
}

#[test]
fn the_first_message_may_be_cut_at_any_byte() {
    let server = Server::of_either(1, Limits::default());
    let mut other = Client::connect(&server);
    // Longer than a Hello, which is as much as is read at first. Its first byte is as a native
    // frame's, its second is not.
    let text = [b'x'; MAGIC.to_le_bytes()[0] as usize - 1];
    let first = message(READ, &text);
    assert_eq!(first[0], MAGIC.to_le_bytes()[0]);
    let all = [first, message(HELLO, b"")].concat();
    for cut in 0..=all.len() {
        let mut client = ToyClient::connect(server.address);
        client.send(&all[..cut]);
        // The core is behind the first part when it has answered somebody else.
        other.ask(ECHO, 1, b"");
        client.send(&all[cut..]);
        assert_eq!(client.reply().as_bytes(), text, "cut at {cut}");
        assert_eq!(client.reply(), "hello");
    }
    // And one byte at a time.
    let mut client = ToyClient::connect(server.address);
    for byte in &all {
        client.send(&[*byte]);
        other.ask(ECHO, 1, b"");
    }
    assert_eq!([client.reply().as_bytes(), client.reply().as_bytes()], [&text[..], b"hello"]);
    drop(client);
    assert_eq!(other.until("connections", |count| count == 1)["input_held_bytes"], 0);
    server.stop();
}

#[test]
fn hello_may_come_byte_by_byte_to_either_port() {
    let server = Server::of_either(1, Limits::default());
    let mut other = Client::connect(&server);
    for port in [server.address, server.translated] {
        let mut client = Client::silent(port);
        for byte in hello(NO_CORE).iter() {
            client.send(&[*byte]);
            other.ask(ECHO, 1, b"");
        }
        client.welcomed();
        assert!(client.ask(ECHO, 1, b"").is_ok());
    }
    server.stop();
}

#[test]
fn messages_that_come_together_are_all_answered_in_their_order() {
    let server = Server::of_either(1, Limits::default());
    let mut client = ToyClient::connect(server.address);
    let mut other = Client::connect(&server);
    let numbers = || (0..1_000).map(|number| number.to_string());
    let reads = numbers().flat_map(|text| message(READ, text.as_bytes()));
    client.send(&[message(PARTS, b"\x03ab"), message(LATE, b""), reads.collect()].concat());
    assert_eq!(client.reply(), "ababab");
    other.until("requests_in_flight", |count| count > 1);
    while other.counters()["requests_in_flight"] > 1 {
        other.ask(RELEASE, 1, b"");
    }
    assert_eq!(client.reply(), "");
    for text in numbers() {
        assert_eq!(client.reply(), text);
    }
    assert_eq!(other.counters()["input_held_bytes"], 0);
    server.stop();
}

#[test]
fn a_first_message_that_the_service_has_no_room_for_waits_with_all_behind_it() {
    let server = Server::of_either(1, Limits::default());
    let mut client = ToyClient::connect(server.address);
    let mut other = Client::connect(&server);
    client.send(&[message(PAID, b""), message(READ, &[b'x'; 90]), message(PAID, b"")].concat());
    other.until("waits_for_room", |count| count == 1);
    client.send(&message(HELLO, b""));
    other.ask(OPEN, 1, &2u32.to_le_bytes());
    assert_eq!(
        [(); 4].map(|()| client.reply()),
        ["".into(), "x".repeat(90), "".into(), "hello".into()]
    );
    server.stop();
}

#[test]
fn what_is_neither_is_told_in_the_translators_way_and_ends_the_connection() {
    let server = Server::of_either(1, Limits::default());
    let mut other = Client::connect(&server);
    let [first, second] = MAGIC.to_le_bytes();
    for port in [server.address, server.translated] {
        for start in [[0, 0], [0xff, first], [0, second]] {
            let mut client = ToyClient::connect(port);
            client.send(&start);
            client.send(&[7; 100_000]);
            assert_eq!(
                client.reply(),
                format!("broken after 0: {} bytes are no message", start[0])
            );
            client.is_over();
        }
    }
    other.until("connections", |count| count == 1);
    server.stop();
}

#[test]
fn what_begins_as_a_native_frame_and_is_none_is_told_natively() {
    let server = Server::of_either(1, Limits::default());
    for port in [server.address, server.translated] {
        let mut client = Client::silent(port);
        client.send(&MAGIC.to_le_bytes());
        client.send(&[0xff; 100]);
        let error = client.reply();
        assert!(error.status().is_error(), "{}", error.message());
        client.is_over();
        let mut early = Client::silent(port);
        early.send(&frame(ECHO, 3, b"before any Hello"));
        assert_eq!(early.reply().header.status, Status::Malformed as u8);
        early.is_over();
        // A Hello begun as such decides: what follows is no message of the other protocol.
        let mut late = native(port, NO_CORE);
        late.send(&message(READ, &[b'x'; 40]));
        assert_eq!(late.reply().header.status, Status::Malformed as u8);
        late.is_over();
    }
    server.stop();
}

#[test]
fn who_does_not_say_in_time_what_it_speaks_is_closed() {
    let limits = Limits { hello_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = Server::of_either(1, limits);
    let mut clients = [server.address, server.translated]
        .repeat(2)
        .into_iter()
        .map(ToyClient::connect)
        .collect::<Vec<_>>();
    for hesitant in &mut clients[2..] {
        hesitant.send(&[2]);
    }
    for client in &mut clients {
        client.is_over();
    }
    let mut other = Client::connect(&server);
    assert_eq!(other.counters()["connections_timed_out_in_hello"], 4);
    server.stop();
}

#[test]
fn half_a_first_message_and_silence_is_given_up_with_its_reason() {
    let limits = Limits { stall_timeout: Duration::from_millis(20), ..Limits::default() };
    let server = Server::of_either(1, limits);
    let mut client = ToyClient::connect(server.address);
    client.send(&[50, READ, b'x']);
    assert!(client.reply().starts_with("broken after 0: the rest of a"));
    client.is_over();
    server.stop();
}

#[test]
fn idle_connections_of_either_protocol_are_closed_where_that_is_asked_for_and_busy_ones_are_not() {
    let limits = Limits { idle_timeout: Some(Duration::from_millis(200)), ..Limits::default() };
    let server = Server::of_either(1, limits);
    let mut busy = ToyClient::connect(server.address);
    busy.send(&message(LATE, b""));
    let mut idle = [server.address, server.translated].map(|port| {
        let mut toy = ToyClient::connect(port);
        toy.send(&message(READ, b"and no more"));
        assert_eq!(toy.reply(), "and no more");
        (toy, native(port, NO_CORE))
    });
    for (toy, native) in &mut idle {
        toy.is_over();
        native.is_over();
    }
    let mut other = Client::connect(&server);
    assert_eq!(other.counters()["connections_timed_out_idle"], 4);
    other.ask(RELEASE, 1, b"");
    assert_eq!(busy.reply(), "");
    server.stop();
}

#[test]
fn who_says_one_thing_and_sends_no_more_is_answered_before_the_end() {
    let server = Server::of_either(1, Limits::default());
    let mut other = Client::connect(&server);
    for rest in [&b""[..], &[50, READ, b'x']] {
        let mut client = ToyClient::connect(server.address);
        client.send(&[&message(READ, b"one thing"), rest].concat());
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.reply(), "one thing");
        client.is_over();
    }
    // Too little to tell what it is.
    let mut client = ToyClient::connect(server.address);
    client.send(&[2]);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    client.is_over();
    let counters = other.until("connections", |count| count == 1);
    assert_eq!(counters["input_held_bytes"], 0);
    server.stop();
}

#[test]
fn a_drain_answers_what_was_asked_in_either_protocol() {
    let server = Server::of_either(1, Limits::default());
    let mut toy = ToyClient::connect(server.address);
    let mut client = native(server.translated, NO_CORE);
    toy.send(&[message(READ, b"one"), message(PARTS, b"\x03x"), message(READ, b"two")].concat());
    client.send(&run([frame(ECHO, 1, b""), frame(ECHO, 2, b"")]));
    assert_eq!((toy.reply().as_str(), client.reply().header.request), ("one", 1));
    server.shutdown();
    assert_eq!(
        ([(); 2].map(|()| toy.reply()), client.reply().header.request),
        (["xxx".into(), "two".into()], 2)
    );
    toy.is_over();
    client.is_over();
    server.join();
}
