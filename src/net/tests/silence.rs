//! Connections that say nothing: kept, bounded by number, the oldest gives way.

use crate::support::toy_protocol::{READ, ToyClient, message};
use crate::support::{Client, ECHO, Server, hello};
use sutra_net::Limits;

#[test]
fn the_oldest_silent_connection_of_another_protocol_gives_its_place_and_the_others_may_speak_late()
{
    let server = Server::start(1, Limits { max_silent: 3, ..Limits::default() });
    let mut other = Client::connect(&server);
    let mut clients: Vec<_> = (0..5).map(|_| ToyClient::connect(server.translated)).collect();
    other.until("connections_closed_silent", |count| count == 2);
    let kept = clients.split_off(2);
    for mut gone in clients {
        gone.is_over();
    }
    for mut client in kept {
        client.send(&message(READ, b"late"));
        assert_eq!(client.reply(), "late");
    }
    server.stop();
}

#[test]
fn one_that_has_spoken_keeps_its_place() {
    let server = Server::start(1, Limits { max_silent: 2, ..Limits::default() });
    let mut other = Client::connect(&server);
    let mut spoken = ToyClient::connect(server.translated);
    spoken.send(&message(READ, b"first"));
    assert_eq!(spoken.reply(), "first");
    let silent: Vec<_> = (0..200).map(|_| ToyClient::connect(server.translated)).collect();
    other.until("connections_closed_silent", |count| count == 198);
    spoken.send(&message(READ, b"again"));
    assert_eq!(spoken.reply(), "again");
    drop(silent);
    other.until("connections", |count| count == 2);
    // None of those that have gone is counted among the silent any more.
    let mut late: Vec<_> = (0..2).map(|_| ToyClient::connect(server.translated)).collect();
    other.until("connections", |count| count == 4);
    for client in &mut late {
        client.send(&message(READ, b"here"));
        assert_eq!(client.reply(), "here");
    }
    assert_eq!(other.counters()["connections_closed_silent"], 198);
    server.stop();
}

#[test]
fn the_oldest_that_has_not_said_hello_gives_its_place() {
    let server = Server::start(1, Limits { max_silent: 2, ..Limits::default() });
    let mut other = Client::connect(&server);
    let mut clients: Vec<_> = (0..3).map(|_| Client::silent(server.address)).collect();
    other.until("connections_closed_silent", |count| count == 1);
    let mut late = clients.pop().unwrap();
    clients.remove(0).is_over();
    late.send(&hello(sutra_wire::NO_CORE));
    late.welcomed();
    assert!(late.ask(ECHO, 1, b"").is_ok());
    server.stop();
}

#[test]
fn a_silent_connection_gives_its_place_where_all_are_taken() {
    let server = Server::start(1, Limits { max_connections: 2, ..Limits::default() });
    let mut first = Client::connect(&server);
    let mut silent = ToyClient::connect(server.translated);
    first.until("connections", |count| count == 2);
    let mut third = Client::connect(&server);
    silent.is_over();
    assert!(third.ask(ECHO, 1, b"").is_ok() && first.ask(ECHO, 2, b"").is_ok());
    assert_eq!(first.counters()["connections_refused"], 0);
    server.stop();
}
