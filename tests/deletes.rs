//! Deleting concepts on the real server: over cores, under load, through kills.

use std::collections::HashMap;

use crate::support::Server;
use rkyv::rancor::Error;
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, ConceptId, Deleted, Neighborhood};
use sutra_testing::raw::{Raw, frame};
use sutra_wire::{AssociationKey, Checked, ConceptKey, Header, Opcode, Status};

fn id(name: &str) -> [u8; 16] {
    ConceptId::from_name(name).unwrap().0
}

/// A concept "hub" with this many associations from it and to it, its other ends learned on all
/// cores.
fn learn_hub(client: &Client, spokes: u32) {
    client.learn(Concept::new("hub").content("in the middle").embedding(vec![0.5])).unwrap();
    let name = |number: u32| format!("spoke-{number}");
    assert!(
        client
            .learn_many((0..spokes).map(|number| Concept::new(name(number))))
            .all(|answer| answer.is_ok())
    );
    let out = (0..spokes)
        .map(|number| Association::between("hub", name(number)).kind(AssociationKind(number % 3)));
    let back = (0..spokes).map(|number| Association::between(name(number), "hub"));
    assert!(client.associate_many(out.chain(back)).all(|answer| answer.is_ok()));
}

fn associations(client: &Client) -> u64 {
    client.stats().unwrap().associations.to_native()
}

fn neighbors(client: &Client, of: &str) -> Vec<[u8; 16]> {
    let pages = client.neighbor_pages(Neighborhood::of(of));
    pages
        .flat_map(|page| {
            page.unwrap().neighbors.iter().map(|neighbor| neighbor.id).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn one_association_is_removed_at_both_ends_and_stays_removed_after_a_kill() {
    let mut server = Server::start(&["--cores", "3"]);
    let client = server.client();
    // Ends on all cores, so that each core removes for its own client and for the others'.
    let ends = |number: u32| (format!("source-{number}"), format!("target-{number}"));
    let kinds = [AssociationKind::SEMANTIC, AssociationKind::CAUSAL];
    for number in 0..12 {
        let (source, target) = ends(number);
        for kind in kinds {
            client.associate(Association::between(&source, &target).kind(kind)).unwrap();
        }
    }
    for number in 0..12 {
        let (source, target) = ends(number);
        assert!(client.dissociate(&source, &target, AssociationKind::CAUSAL).unwrap());
        assert!(!client.dissociate(&source, &target, AssociationKind::CAUSAL).unwrap());
        assert!(!client.dissociate(&target, &source, AssociationKind::SEMANTIC).unwrap());
    }
    let elsewhere = client.namespace("elsewhere");
    assert!(!elsewhere.dissociate("source-0", "target-0", AssociationKind::SEMANTIC).unwrap());
    for _ in 0..2 {
        let client = server.client();
        assert_eq!(associations(&client), 12);
        for number in 0..12 {
            let (source, target) = ends(number);
            let (from, to) = (neighbors(&client, &source), neighbors(&client, &target));
            assert_eq!((from, to), (vec![id(&target)], vec![id(&source)]), "{number}");
            let found = client.association(&source, &target, None).unwrap().unwrap();
            assert_eq!(found.kind.to_native(), AssociationKind::SEMANTIC.0);
        }
        server = server.kill().start();
    }
}

#[test]
fn a_removal_that_names_no_kind_is_refused_with_words() {
    let server = Server::start(&[]);
    let mut raw = Raw::open(server.address);
    let key = AssociationKey { source: id("a"), target: id("b"), ..AssociationKey::default() };
    let header = Header { opcode: Opcode::Dissociate as u8, request: 1, ..Header::default() };
    let reply = raw.ask(header, &rkyv::to_bytes::<Error>(&key).unwrap());
    assert_eq!(reply.status(), Status::InvalidArgument);
    assert!(reply.message().contains("name its kind"), "{}", reply.message());
}

#[test]
fn a_deleted_concept_is_gone_from_all_cores_and_from_its_neighbours_and_stays_gone_after_a_kill() {
    let mut server = Server::start(&["--cores", "4"]);
    let client = server.client();
    learn_hub(&client, 700);
    client.associate(Association::between("hub", "hub")).unwrap();
    client.associate(Association::between("spoke-1", "spoke-2")).unwrap();
    client.namespace("other").learn(Concept::new("hub").content("of another namespace")).unwrap();
    assert_eq!(client.delete("hub").unwrap(), Deleted { concept: true, associations: 1_401 });
    for _ in 0..2 {
        let client = server.client();
        assert!(client.query("hub").unwrap().is_none());
        assert_eq!(neighbors(&client, "hub"), [[0; 16]; 0]);
        for number in [0, 3, 4, 99, 699] {
            assert_eq!(
                neighbors(&client, &format!("spoke-{number}")),
                [[0; 16]; 0],
                "spoke-{number}"
            );
        }
        assert_eq!(
            (neighbors(&client, "spoke-1"), neighbors(&client, "spoke-2")),
            (vec![id("spoke-2")], vec![id("spoke-1")])
        );
        assert!(client.association("hub", "spoke-0", None).unwrap().is_none());
        let listed: Vec<_> =
            client.concept_pages().flat_map(|page| page.unwrap().ids.to_vec()).collect();
        assert!(listed.len() == 700 && !listed.contains(&id("hub")));
        let stats = client.stats().unwrap();
        assert_eq!(
            (stats.concepts.to_native(), stats.associations.to_native(), stats.vectors.to_native()),
            (701, 1, 0),
            "the one of the other namespace is left"
        );
        assert!(client.namespace("other").query("hub").unwrap().is_some());
        assert_eq!(client.delete("hub").unwrap(), Deleted::default(), "it is not there any more");
        assert_eq!(client.delete("unheard of").unwrap(), Deleted::default());
        assert_eq!(client.namespace("nowhere").delete("hub").unwrap(), Deleted::default());
        server = server.kill().start();
    }
    let client = server.client();
    client.learn(Concept::new("hub").content("again")).unwrap();
    client.associate(Association::between("spoke-0", "hub")).unwrap();
    assert_eq!(client.query("hub").unwrap().unwrap().content.as_str(), "again");
    assert_eq!(neighbors(&client, "hub"), [id("spoke-0")]);
}

#[test]
fn a_core_answers_while_it_deletes_a_hub_and_a_delete_that_a_kill_cut_short_can_be_repeated() {
    const SPOKES: u32 = 25_000;
    for cores in ["1", "3"] {
        let server = Server::start(&["--cores", cores]);
        let client = server.client();
        learn_hub(&client, SPOKES);
        let all = u64::from(2 * SPOKES);
        assert_eq!(associations(&client), all);
        let deleting = sutra_client::Client::connect(server.address.to_string())
            .with_retries(0)
            .blocking()
            .unwrap();
        let deleting = std::thread::spawn(move || deleting.delete("hub"));
        // Each answer comes from the core, or cores, that are at it.
        let mut left = all;
        while left > all - 2_000 {
            left = associations(&client);
        }
        assert!(left > 0, "it was seen half done");
        assert!(client.query("hub").unwrap().is_some(), "the concept itself goes last");
        client.learn(Concept::new("learned meanwhile")).unwrap();
        let stopped = server.kill();
        // Its answer can't have come before the kill, unless it was done.
        let answered = deleting.join().unwrap().is_ok();

        let server = stopped.start();
        let client = server.client();
        assert!(client.query("learned meanwhile").unwrap().is_some());
        let is_there = client.query("hub").unwrap().is_some();
        assert!(!(answered && is_there), "an acknowledged delete came back");
        assert!(associations(&client) <= left, "what was removed and seen to be stays removed");
        assert_eq!(
            neighbors(&client, "hub").len() as u64,
            associations(&client),
            "both ends agree"
        );
        let counted = associations(&client);
        assert_eq!(
            client.delete("hub").unwrap(),
            Deleted { concept: is_there, associations: counted }
        );
        assert_eq!((associations(&client), neighbors(&client, "hub").len()), (0, 0));
        let server = server.kill().start();
        let client = server.client();
        assert!(client.query("hub").unwrap().is_none());
        assert_eq!(associations(&client), 0);
    }
}

#[test]
fn many_deletes_at_once_are_each_answered_once_and_of_two_for_one_concept_one_finds_it() {
    const CONCEPTS: u64 = 400;
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    let name = |number: u64| format!("c{number}");
    assert!(
        client
            .learn_many((0..CONCEPTS).map(|number| Concept::new(name(number))))
            .all(|answer| answer.is_ok())
    );
    let edges = (0..CONCEPTS).flat_map(|number| {
        [1, 7, 50].map(|step| Association::between(name(number), name((number + step) % CONCEPTS)))
    });
    assert!(client.associate_many(edges).all(|answer| answer.is_ok()));
    // More than a core works on at a time, from one connection, most of them to other cores.
    let mut raw = Raw::open_on(server.address, 1);
    for number in 0..2 * CONCEPTS {
        let key = ConceptKey { id: id(&name(number / 2)), namespace: String::new() };
        let header =
            Header { opcode: Opcode::DeleteCounted as u8, request: number, ..Header::default() };
        raw.send(&frame(header, &rkyv::to_bytes::<Error>(&key).unwrap()));
    }
    let replies: HashMap<u64, Deleted> = (0..2 * CONCEPTS)
        .map(|_| {
            let reply = raw.reply();
            let deleted = match reply.status() {
                Status::NotFound => Deleted::default(),
                _ => Checked::<Deleted>::new(&reply.payload).unwrap().to_owned(),
            };
            (reply.header.request, deleted)
        })
        .collect();
    for number in 0..CONCEPTS {
        let two = [replies[&(2 * number)], replies[&(2 * number + 1)]];
        assert_eq!(two.iter().filter(|deleted| deleted.concept).count(), 1, "{number}");
    }
    // Of deletes that run at a time, each association counts for one.
    assert_eq!(replies.values().map(|deleted| deleted.associations).sum::<u64>(), 3 * CONCEPTS);
    assert_eq!(associations(&client), 0);
    let server = server.kill().start();
    let stats = server.client().stats().unwrap();
    assert_eq!((stats.concepts.to_native(), stats.associations.to_native()), (0, 0));
}

#[test]
fn of_deletes_that_run_at_a_time_each_association_counts_for_one() {
    const CONCEPTS: u64 = 120;
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    let name = |number: u64| format!("c{number}");
    // Each with the next ones, and with itself; every other concept is learned.
    let edges = (0..CONCEPTS).flat_map(|number| {
        [0, 1, 5].map(|step| Association::between(name(number), name((number + step) % CONCEPTS)))
    });
    assert!(client.associate_many(edges).all(|answer| answer.is_ok()));
    let learned = (0..CONCEPTS).step_by(2).map(|number| Concept::new(name(number)));
    assert!(client.learn_many(learned).all(|answer| answer.is_ok()));
    let mut raw = Raw::open_on(server.address, 1);
    for number in 0..CONCEPTS {
        let key = ConceptKey { id: id(&name(number)), namespace: String::new() };
        let header =
            Header { opcode: Opcode::DeleteCounted as u8, request: number, ..Header::default() };
        raw.send(&frame(header, &rkyv::to_bytes::<Error>(&key).unwrap()));
    }
    let (mut concepts, mut counted) = (0, 0);
    for _ in 0..CONCEPTS {
        let reply = raw.reply();
        if reply.status() == Status::Ok {
            let deleted = Checked::<Deleted>::new(&reply.payload).unwrap();
            concepts += u64::from(deleted.concept);
            counted += deleted.associations.to_native();
        } else {
            assert_eq!(reply.status(), Status::NotFound, "its neighbours' deletes had removed all");
        }
    }
    assert_eq!((concepts, counted), (CONCEPTS / 2, 3 * CONCEPTS));
    assert_eq!(associations(&client), 0);
}

#[test]
fn a_client_that_asks_by_the_older_opcode_is_told_whether_anything_was_removed() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    client.associate(Association::between("named only", "other")).unwrap();
    client.learn(Concept::new("learned only")).unwrap();
    let mut raw = Raw::open_on(server.address, 0);
    let mut delete = |name: &str| {
        let key = ConceptKey { id: id(name), namespace: String::new() };
        let header = Header { opcode: Opcode::Delete as u8, request: 7, ..Header::default() };
        let reply = raw.ask(header, &rkyv::to_bytes::<Error>(&key).unwrap());
        assert!(reply.payload.is_empty(), "a bare header, as it was published");
        reply.status()
    };
    assert_eq!(
        ["named only", "named only", "other"].map(&mut delete),
        [Status::Ok, Status::NotFound, Status::NotFound]
    );
    assert_eq!(["learned only", "learned only"].map(delete), [Status::Ok, Status::NotFound]);
}
