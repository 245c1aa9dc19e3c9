//! Another protocol in front of the same service: no numbers, replies in the order of the requests.

use std::time::Duration;

use crate::support::toy_protocol::{
    HELLO, LATE, LATE_WRITE, LONGEST, PAID, PARTS, READ, ToyClient, message,
};
use crate::support::{Client, OPEN, RELEASE, Server};
use sutra_net::Limits;

#[test]
fn replies_leave_in_the_order_of_their_requests_whatever_the_service_does() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    let all = [
        message(LATE, b""),
        message(READ, b"one"),
        message(HELLO, b""),
        message(LATE, b""),
        message(READ, b"two"),
    ];
    client.send(&all.concat());
    other.until("requests_in_flight", |count| count == 3);
    other.ask(RELEASE, 1, b"");
    assert_eq!([(); 5].map(|()| client.reply()), ["", "one", "hello", "", "two"]);
    let counters = other.counters();
    assert_eq!((counters["requests_translated"], counters["output_held_bytes"]), (4, 0));
    server.stop();
}

#[test]
fn a_read_waits_for_the_writes_before_it_and_a_write_for_the_reads() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    let kinds = [LATE_WRITE, LATE_WRITE, LATE, LATE, LATE, LATE_WRITE, LATE];
    client.send(&kinds.map(|kind| message(kind, b"")).concat());
    for together in [2, 3, 1, 1] {
        // Besides the request that asks.
        other.until("requests_in_flight", |count| count == together + 1);
        assert_eq!(other.ask(RELEASE, 1, b"").header.status, 0);
        for _ in 0..together {
            assert_eq!(client.reply(), "");
        }
    }
    server.stop();
}

#[test]
fn one_reply_may_hold_what_several_requests_bring() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    client.send(
        &[message(READ, b"before"), message(PARTS, b"\x05abc"), message(READ, b"after")].concat(),
    );
    assert_eq!([(); 3].map(|()| client.reply()), ["before", "abcabcabcabcabc", "after"]);
    server.stop();
}

#[test]
fn a_message_may_arrive_in_any_pieces() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut other = ToyClient::connect(server.translated);
    let all =
        [message(READ, &[b'x'; 99]), message(PARTS, b"\x02yz"), message(READ, b"end")].concat();
    for piece in all.chunks(7) {
        client.send(piece);
        // What came before is read by now, so that pieces are not put together on their way.
        other.send(&message(READ, b"there?"));
        assert_eq!(other.reply(), "there?");
    }
    assert_eq!([(); 3].map(|()| client.reply()), ["x".repeat(99), "yzyz".into(), "end".into()]);
    server.stop();
}

#[test]
fn what_the_service_has_no_room_for_waits_and_nobody_else_does() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut neighbor = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    client.send(&[message(PAID, b""), message(PAID, b""), message(READ, b"behind")].concat());
    other.until("waits_for_room", |count| count > 0);
    neighbor.send(&message(READ, b"not held up"));
    assert_eq!(neighbor.reply(), "not held up");
    other.ask(OPEN, 1, &2u32.to_le_bytes());
    assert_eq!([(); 3].map(|()| client.reply()), ["", "", "behind"]);
    server.stop();
}

#[test]
fn what_is_no_message_is_told_after_what_was_asked_before_and_ends_the_connection() {
    let server = Server::start(1, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    client.send(&[message(LATE, b""), message(0xff, b""), vec![LONGEST + 1]].concat());
    client.send(&[7; 10_000]);
    other.until("requests_in_flight", |count| count == 2);
    other.ask(RELEASE, 1, b"");
    assert_eq!(
        [(); 3].map(|()| client.reply()),
        ["", "error", "broken after 255: 101 bytes are no message"]
    );
    client.is_over();
    server.stop();
}

#[test]
fn an_error_that_is_no_requests_is_worded_in_the_manner_of_the_last_message() {
    let server = Server::start(1, Limits::default());
    for (first, last) in [(READ, HELLO), (HELLO, READ)] {
        let mut client = ToyClient::connect(server.translated);
        client.send(&[message(first, b""), message(last, b""), vec![0]].concat());
        client.reply();
        client.reply();
        assert_eq!(client.reply(), format!("broken after {last}: 0 bytes are no message"));
        client.is_over();
    }
    server.stop();
}

#[test]
fn half_a_message_and_silence_is_given_up_with_its_reason() {
    let limits = Limits { stall_timeout: Duration::from_millis(20), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = ToyClient::connect(server.translated);
    client.send(&[50, READ, b'x']);
    assert!(client.reply().starts_with("broken after 0: the rest of a"));
    client.is_over();
    server.stop();
}

#[test]
fn early_replies_that_nobody_reads_are_bounded() {
    let limits = Limits { max_output: 4_000, ..Limits::default() };
    let server = Server::start(1, limits);
    let mut client = ToyClient::connect(server.translated);
    let mut other = Client::connect(&server);
    // The first is never answered, so everything behind it is kept.
    client.send(&message(LATE, b""));
    for _ in 0..1_000 {
        client.send(&message(READ, &[b'x'; 90]));
    }
    other.until("waits_for_room", |count| count > 0);
    let held = other.counters()["output_held_bytes"];
    assert!((4_000..4_200).contains(&held), "{held}");
    other.ask(RELEASE, 1, b"");
    assert_eq!(client.reply(), "");
    for _ in 0..1_000 {
        assert_eq!(client.reply().len(), 90);
    }
    server.stop();
}

#[test]
fn connections_go_to_the_core_that_has_the_fewest() {
    let server = Server::start(3, Limits::default());
    let clients: Vec<_> = (0..30)
        .map(|_| {
            let mut client = ToyClient::connect(server.translated);
            client.send(&message(HELLO, b""));
            assert_eq!(client.reply(), "hello");
            client
        })
        .collect();
    for core in 0..3 {
        let mut native = Client::to_core(&server, core);
        let count = native.counters()["connections"];
        assert!((10..=12).contains(&count), "core {core} has {count}");
    }
    drop(clients);
    server.stop();
}

#[test]
fn a_drain_answers_what_was_asked() {
    let server = Server::start(2, Limits::default());
    let mut client = ToyClient::connect(server.translated);
    client.send(&[message(READ, b"one"), message(PARTS, b"\x03x"), message(READ, b"two")].concat());
    assert_eq!(client.reply(), "one");
    server.shutdown();
    assert_eq!([(); 2].map(|()| client.reply()), ["xxx", "two"]);
    client.is_over();
    server.join();
}
