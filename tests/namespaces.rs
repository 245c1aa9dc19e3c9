//! Namespaces that are named for the first time, many at once.

use crate::support::Server;
use sutra_client::{Association, Client, ClientError, Concept, Status};

/// As many as a store can have, the empty one not counted.
const MOST: usize = 4095;

#[test]
fn more_namespaces_than_there_can_be_are_refused_one_by_one_and_the_others_survive_a_kill() {
    let server = Server::start(&["--cores", "2"]);
    let address = server.address.to_string();
    let concept = |number: usize| {
        Concept::new("same name").content(number.to_string()).namespace(format!("ns-{number}"))
    };
    let learned = tokio::runtime::Runtime::new().unwrap().block_on(async move {
        let client = Client::connect(address).await.unwrap();
        let mut answers = client.learn_many((0..MOST + 105).map(concept));
        let mut learned = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => learned.push(true),
                Err(ClientError::Refused { status: Status::StorageFull, message, .. }) => {
                    assert!(message.contains("4096 namespaces"), "{message}");
                    learned.push(false);
                }
                Err(error) => panic!("{error}"),
            }
        }
        learned
    });
    assert_eq!(learned.len(), MOST + 105);
    assert_eq!(learned.iter().filter(|learned| **learned).count(), MOST);
    let server = server.kill().start();
    let client = server.client();
    for (number, learned) in learned.into_iter().enumerate() {
        let found = client.namespace(&format!("ns-{number}")).query("same name").unwrap();
        assert_eq!(
            found.map(|found| found.content.to_string()),
            learned.then(|| number.to_string())
        );
    }
}

#[test]
fn writes_to_a_namespace_that_is_new_are_done_in_the_order_in_which_they_were_sent() {
    let server = Server::start(&["--cores", "2"]);
    let address = server.address.to_string();
    tokio::runtime::Runtime::new().unwrap().block_on(async move {
        let client = Client::connect(address).await.unwrap();
        for round in 0..10 {
            let client = client.namespace(&format!("round-{round}"));
            // Some thousand more than may wait for a namespace at a time.
            let concepts = (0..3000).map(|number| {
                Concept::new(format!("name-{}", number % 7)).content(number.to_string())
            });
            assert_eq!(client.learn_many(concepts).in_flight(2000).finish().await.unwrap(), 3000);
            for name in 0..7 {
                let last = (0..3000).rev().find(|number| number % 7 == name).unwrap();
                let found = client.query(format!("name-{name}")).await.unwrap().unwrap();
                assert_eq!(found.content.as_str(), last.to_string());
            }
        }
    });
}

#[test]
fn the_first_write_to_a_namespace_may_be_an_association_and_too_long_a_name_is_refused_alone() {
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    client.associate(Association::between("a", "b").namespace("new")).unwrap();
    assert_eq!(client.namespace("new").neighbors("b").unwrap().neighbors.len(), 1);
    let error = client.learn(Concept::new("a").namespace("x".repeat(256))).unwrap_err();
    assert!(error.to_string().contains("255"), "{error}");
    client.learn(Concept::new("a").namespace("x".repeat(255))).unwrap();
}

#[test]
fn a_namespace_takes_vectors_of_another_length_once_its_last_is_deleted() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    let learn =
        |name: &str, numbers: usize| client.learn(Concept::new(name).embedding(vec![0.5; numbers]));
    learn("a", 3).unwrap();
    learn("b", 3).unwrap();
    let refused = learn("c", 384).unwrap_err().to_string();
    assert!(refused.contains("384") && refused.contains('3'), "{refused}");
    assert!(client.delete("a").unwrap().concept);
    assert!(learn("c", 384).is_err(), "b has one");
    // Learned anew without one.
    client.learn(Concept::new("b").content("no vector")).unwrap();
    learn("c", 384).unwrap();
    assert!(client.delete("c").unwrap().concept);
    let server = server.kill().start();
    let client = server.client();
    client.learn(Concept::new("d").embedding(vec![0.5; 7])).unwrap();
    assert!(client.learn(Concept::new("e").embedding(vec![0.5; 3])).is_err());
}

#[test]
fn a_namespace_without_content_gives_its_place_back_at_a_start() {
    let server = Server::start(&["--cores", "2", "--durability", "os"]);
    let client = server.client();
    for number in 0..3 {
        let namespace = client.namespace(&format!("n{number}"));
        namespace.learn(Concept::new("a").content("x")).unwrap();
        namespace.associate(Association::between("a", "b")).unwrap();
    }
    assert!(client.namespace("n0").delete("a").unwrap().concept);
    assert!(client.namespace("n1").delete("a").unwrap().concept);
    drop(client);
    let server = server.kill().start();
    // One takes the place of one of them. Another has its old name, which entries of the log still
    // have.
    let client = server.client();
    for name in ["new", "n1"] {
        client.namespace(name).learn(Concept::new("c").content(name)).unwrap();
    }
    drop(client);
    let server = server.stop().1.start();
    let client = server.client();
    for name in ["new", "n1"] {
        let namespace = client.namespace(name);
        assert_eq!(namespace.query("c").unwrap().unwrap().content.to_string(), name);
        assert!(namespace.query("a").unwrap().is_none());
    }
    assert!(
        client.namespace("n2").query("a").unwrap().is_some()
            && client.namespace("n0").query("a").unwrap().is_none()
    );
}
