//! The first exchange: Hello, the hand-over to the core that it asks for, and who is turned away.

use std::time::Duration;

use crate::support::{Client, ECHO, ELSEWHERE, Server, frame, hello, run};
use sutra_net::Limits;
use sutra_wire::{NO_CORE, Status};

#[test]
fn a_connection_is_served_by_the_core_that_hello_asks_for() {
    let server = Server::start(3, Limits::default());
    for round in 0..20 {
        for wanted in 0..3 {
            let mut client = Client::silent(server.address);
            // Requests right behind Hello are not lost on the way.
            client.send(&run([
                hello(wanted + 3 * round),
                frame(ECHO, 1, b"first"),
                frame(ELSEWHERE, 2, b""),
            ]));
            client.welcomed();
            assert_eq!(client.core, wanted, "a core beyond the last wraps round");
            assert_eq!(&client.reply().payload[..], b"first");
            assert_eq!(client.reply().header.request, 2);
        }
    }
    server.stop();
}

#[test]
fn hello_may_come_byte_by_byte() {
    let server = Server::start(1, Limits::default());
    let mut other = Client::connect(&server);
    let mut client = Client::silent(server.address);
    for byte in hello(NO_CORE).iter() {
        client.send(&[*byte]);
        other.ask(ECHO, 1, b"");
    }
    client.welcomed();
    assert!(client.ask(ECHO, 1, b"").is_ok());
    server.stop();
}

#[test]
fn a_stranger_gets_an_error_that_what_it_still_sends_does_not_destroy() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::silent(server.address);
    client.send(b"GET / HTTP/1.1\r\n");
    client.send(&vec![b'x'; 300_000]);
    let reply = client.reply();
    assert_eq!(reply.header.status, Status::Malformed as u8);
    assert!(reply.message().starts_with("bad magic"), "{}", reply.message());
    client.is_over();
    drop(client);
    let mut other = Client::connect(&server);
    other.until("connections", |count| count == 1);
    server.stop();
}

#[test]
fn a_request_before_hello_is_refused() {
    let server = Server::start(1, Limits::default());
    let mut client = Client::silent(server.address);
    client.send(&frame(ECHO, 3, b"too early"));
    let reply = client.reply();
    assert_eq!((reply.header.status, reply.header.request), (Status::Malformed as u8, 3));
    client.is_over();
    server.stop();
}

#[test]
fn who_does_not_say_hello_in_time_is_closed() {
    let limits = Limits { hello_timeout: Duration::from_millis(20), ..Limits::default() };
    let server = Server::start(1, limits);
    let mut silent = Client::silent(server.address);
    let mut half = Client::silent(server.address);
    half.send(&hello(NO_CORE)[..40]);
    silent.is_over();
    half.is_over();
    let mut client = Client::connect(&server);
    assert_eq!(client.counters()["connections_timed_out_in_hello"], 2);
    server.stop();
}

/// Whether the server takes another connection.
fn is_taken(server: &Server, wanted: u16) -> Option<Client> {
    let mut client = Client::silent(server.address);
    // The server closes without reading, which may reset even this.
    let sent = std::io::Write::write_all(&mut client.stream, &hello(wanted));
    sent.ok().and_then(|()| client.receive().ok().flatten()).map(|_| client)
}

#[test]
fn connections_beyond_the_limit_are_closed_and_those_after_them_served() {
    let server = Server::start(1, Limits { max_connections: 2, ..Limits::default() });
    let mut first = Client::connect(&server);
    let second = Client::connect(&server);
    assert!(is_taken(&server, NO_CORE).is_none());
    assert_eq!(first.counters()["connections_refused"], 1);
    drop(second);
    first.until("connections", |count| count == 1);
    let mut third = is_taken(&server, NO_CORE).expect("there is room again");
    assert!(third.ask(ECHO, 1, b"").is_ok());
    server.stop();
}

#[test]
fn the_limit_holds_for_connections_that_other_cores_hand_over() {
    let server = Server::start(2, Limits { max_connections: 1, ..Limits::default() });
    let mut first = Client::to_core(&server, 1);
    for _ in 0..20 {
        assert!(is_taken(&server, 1).is_none());
    }
    assert!(first.ask(ECHO, 1, b"").is_ok());
    assert_eq!(first.counters()["connections"], 1);
    server.stop();
}
