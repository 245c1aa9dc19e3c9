//! The port: whether it is there, where, whose numbers it speaks, and how it ends.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;

use serde_json::json;

use super::legacy::{golden, json_of, msgpack};
use super::variant;
use crate::support;
use crate::support::legacy::Legacy;
use crate::support::{Server, sutra};

#[test]
fn later_bincode_clients_are_served_where_the_port_is_set_to_their_numbers() {
    let server = Server::start(&["--compat-numbering", "later"]);
    let mut client = Legacy::open(server.compat());
    let mut learn = golden().remove(0).bincode;
    learn.push(0);
    assert_eq!(variant(&client.ask(&learn)).0, 0);
    assert_eq!(variant(&client.ask(&[7, 0, 0, 0])).0, 7, "stats");
    assert_eq!(variant(&client.ask(&[8, 0, 0, 0])).0, 8, "flush");
    assert_eq!(variant(&client.ask(&[9, 0, 0, 0])).0, 9, "health");
    assert_eq!(variant(&client.ask(&[6, 0, 0, 0])).0, 10, "an error");
}

#[test]
fn the_compat_port_can_be_left_away_and_says_so_where_it_is_taken() {
    let off = Server::start(&["--compat", "off"]);
    assert!(!off.greeting.contains("compat"), "{}", off.greeting);
    let taken = Server::start(&[]);
    let folder = support::Folder::new();
    let refused = sutra()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--cores",
            "1",
            "--no-pin",
            "--admin",
            "off",
            "--compat",
            &taken.compat().to_string(),
        ])
        .arg("--data")
        .arg(folder.path())
        .output()
        .unwrap();
    let line = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(3) && line.contains("--compat"), "{line}");
}

#[test]
fn the_compat_port_listens_on_every_address_of_its_list() {
    let server = Server::start(&["--compat", "127.0.0.1:0,[::1]:0"]);
    let line =
        server.greeting.lines().find(|line| line.trim_start().starts_with("compat")).unwrap();
    let found = line.split([' ', ',']).filter_map(|word| word.parse().ok());
    let addresses: Vec<SocketAddr> = found.collect();
    assert_eq!(
        addresses.iter().map(SocketAddr::is_ipv6).collect::<Vec<_>>(),
        [false, true],
        "{line}"
    );
    addresses.into_iter().for_each(|address| Legacy::open(address).is_healthy());
}

#[test]
fn a_drain_answers_every_write_that_it_took_and_takes_none_that_it_does_not_answer() {
    const WRITES: usize = 2_000;
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    client.is_healthy();
    let (name, content) = (|number| format!("d{number}"), |number| format!("content {number}"));
    for number in 0..WRITES {
        client.send(&msgpack(
            &json!({"LearnConcept": [name(number), content(number), [], 1.0, 1.0]}),
        ));
    }
    let mut replies = vec![client.reply()];
    let (status, stopped) = server.stop();
    assert!(status.success(), "{status}");
    let mut prefix = [0; 4];
    let end = loop {
        match client.stream.read_exact(&mut prefix) {
            Ok(()) => {
                let mut reply = vec![0; u32::from_be_bytes(prefix) as usize];
                client.stream.read_exact(&mut reply).unwrap();
                replies.push(reply);
            }
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(end, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
    for reply in &replies {
        assert!(json_of(reply)["LearnConceptOk"][0].is_u64(), "{}", json_of(reply));
    }
    let server = stopped.start();
    let mut client = Legacy::open(server.compat());
    for number in 0..WRITES {
        let found = client.json(&json!({"QueryConcept": [name(number)]}));
        let expected = if number < replies.len() { content(number) } else { String::new() };
        assert_eq!(
            found["QueryConceptOk"]["content"],
            expected,
            "{number} of {} answered",
            replies.len()
        );
    }
}
