//! `kill -9` at random moments under concurrent writers: every acknowledged write is found
//! afterwards.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::support::Server;
use rand::{RngExt, SeedableRng};
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, Neighborhood};

const KILLS: u64 = 50;
const WRITERS: u64 = 4;

/// What the server has acknowledged, over all its lives.
#[derive(Default)]
struct Acknowledged {
    /// Concepts that are written once: name to content.
    once: HashMap<String, String>,
    /// Concepts that are written again and again: name to the last version acknowledged, and the
    /// last sent.
    rewritten: HashMap<String, (u64, u64)>,
    /// Associations: source, target, kind.
    associations: Vec<(String, String, u32)>,
}

type Book = Arc<Mutex<Acknowledged>>;

/// A client that takes the server's end for what it is, at once: retries are for servers that come
/// back.
fn writing_client(address: SocketAddr) -> Client {
    sutra_client::Client::connect(address.to_string()).with_retries(0).blocking().unwrap()
}

/// Writes until the server is gone, and tells of every three writes. Each writer has names of its
/// own, so that what it was told is all there is to know of them.
fn write_until_killed(client: &Client, life: u64, writer: u64, book: &Book, written: &Sender<()>) {
    let mut random = rand::rngs::StdRng::seed_from_u64(life * WRITERS + writer);
    for number in 0u64.. {
        let name = format!("life-{life}-writer-{writer}-{number}");
        let content = format!("{name} {}", "x".repeat(random.random_range(0..3000)));
        // The embeddings of a namespace are all as long; some concepts have none.
        let numbers = if random.random_bool(0.8) { 48 } else { 0 };
        let embedding: Vec<f32> = (0..numbers).map(|_| random.random()).collect();
        if client.learn(Concept::new(&name).content(&content).embedding(embedding)).is_err() {
            return;
        }
        book.lock().unwrap().once.insert(name.clone(), content);

        let rewritten = format!("rewritten-{writer}-{}", number % 8);
        let version = {
            let mut book = book.lock().unwrap();
            let (_, sent) = book.rewritten.entry(rewritten.clone()).or_default();
            *sent += 1;
            *sent
        };
        if client.learn(Concept::new(&rewritten).content(version.to_string())).is_err() {
            return;
        }
        book.lock().unwrap().rewritten.get_mut(&rewritten).unwrap().0 = version;

        let kind = random.random_range(0..5);
        if client
            .associate(Association::between(&name, &rewritten).kind(AssociationKind(kind)))
            .is_err()
        {
            return;
        }
        book.lock().unwrap().associations.push((name, rewritten, kind));
        // Nobody listens any more once the server is being killed.
        let _ = written.send(());
    }
}

/// Everything acknowledged is there, from `since` on in the list of associations.
fn check(client: &Client, book: &Book, since: usize) {
    let book = book.lock().unwrap();
    for (name, content) in &book.once {
        let found = client
            .query(name.as_str())
            .unwrap()
            .unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        assert_eq!(found.content.as_str(), content);
        assert_eq!(found.name.as_str(), name);
    }
    for (name, (acknowledged, sent)) in &book.rewritten {
        let found = client.query(name.as_str()).unwrap();
        if *acknowledged > 0 {
            let version: u64 =
                found.unwrap_or_else(|| panic!("{name} is lost")).content.as_str().parse().unwrap();
            assert!(
                (*acknowledged..=*sent).contains(&version),
                "{name}: {version} is not in {acknowledged}..={sent}"
            );
        }
    }
    for (source, target, kind) in &book.associations[since..] {
        for (from, to) in [(source, target), (target, source)] {
            let to = sutra_client::ConceptId::from_name(to).unwrap();
            let known = client.neighbors(Neighborhood::of(from.as_str())).unwrap();
            let known = &known.neighbors;
            assert!(
                known.iter().any(|neighbor| neighbor.id == to.0 && neighbor.kind == *kind),
                "{source} -> {target} ({kind}) was acknowledged and is not found from {from}"
            );
        }
    }
}

#[test]
fn every_acknowledged_write_survives_fifty_kills_at_random_moments() {
    let book = Book::default();
    let mut random = rand::rngs::StdRng::seed_from_u64(2026);
    let mut server = Server::start(&["--cores", "3"]);
    let mut checked = 0;
    for life in 0..KILLS {
        let address = server.address;
        let (written, told) = channel();
        let kill_after = random.random_range(1..60);
        let mut stopped = None;
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (client, book, written) = (writing_client(address), &book, written.clone());
                scope.spawn(move || write_until_killed(&client, life, writer, book, &written));
            }
            drop(written);
            assert_eq!(
                told.iter().take(kill_after).count(),
                kill_after,
                "the server lives until it is killed"
            );
            // A moment more, so that the kill falls anywhere between two acknowledgements.
            for _ in 0..random.random_range(0..20_000) {
                std::hint::spin_loop();
            }
            stopped = Some(server.kill());
        });
        server = stopped.unwrap().start();
        check(&server.client(), &book, checked);
        // What is old is checked in part, a tenth of it a life and spread over all lives, so that
        // the check stays quick.
        let mut book = book.lock().unwrap();
        let this_life = format!("life-{life}-");
        book.once.retain(|name, _| name.starts_with(&this_life) || random.random_range(0..10) == 0);
        checked = book.associations.len();
    }
    check(&server.client(), &book, 0);
}

#[test]
fn a_stopped_server_finishes_what_it_received_and_ends_with_success() {
    let book = Book::default();
    let server = Server::start(&[]);
    let address = server.address;
    let (written, told) = channel();
    let mut stopped = None;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, book, written) = (writing_client(address), &book, written.clone());
            scope.spawn(move || write_until_killed(&client, 0, writer, book, &written));
        }
        drop(written);
        assert_eq!(told.iter().take(70).count(), 70, "the server lives until it is stopped");
        let (status, left) = server.stop();
        assert!(status.success(), "{status}");
        stopped = Some(left);
    });
    let server = stopped.unwrap().start();
    check(&server.client(), &book, 0);
}
