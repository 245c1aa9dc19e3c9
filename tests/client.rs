//! The Rust client against a server that is stopped, frozen and restarted under it.

use std::time::{Duration, Instant};

use crate::support;
use crate::support::Server;
use rustix::process::Signal;
use sutra_client::{
    Association, AssociationKind, Client, ClientError, Concept, Direction, Neighborhood,
};

#[test]
fn what_is_learned_is_found_in_place_and_neighbours_are_seen_from_both_ends() {
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    let embedding: Vec<f32> = (0..384).map(|number| number as f32 / 7.0).collect();
    client
        .learn(
            Concept::new("dog")
                .content("a domesticated carnivore: naïve 犬")
                .embedding(embedding.clone()),
        )
        .unwrap();
    client
        .learn(Concept::new("animal").content("a living organism").strength(0.5).confidence(0.25))
        .unwrap();
    client
        .associate(
            Association::between("dog", "animal")
                .kind(AssociationKind::HIERARCHICAL)
                .confidence(0.75),
        )
        .unwrap();
    client
        .associate(Association::between("dog", "never learned").kind(AssociationKind(77)))
        .unwrap();

    let dog = client.query("dog").unwrap().unwrap();
    assert_eq!(dog.content.as_str(), "a domesticated carnivore: naïve 犬");
    assert!(dog.embedding.iter().map(|number| number.to_native()).eq(embedding));
    assert!(dog.created.to_native() > 0 && dog.created == dog.updated, "the server says when");
    assert!(client.query("cat").unwrap().is_none());

    let of_dog = client.neighbors(Neighborhood::of("dog")).unwrap();
    assert_eq!(of_dog.neighbors.len(), 2);
    let of_animal = client.neighbors(Neighborhood::of("animal")).unwrap();
    let [parent] = of_animal.neighbors.as_slice() else { panic!("one association") };
    assert_eq!(
        (parent.id, parent.kind.to_native(), parent.confidence.to_native()),
        (dog.id, 3, 0.75)
    );
    assert_eq!(parent.direction, Direction::In as u8);
    assert_eq!(
        client.neighbors(Neighborhood::of("never learned")).unwrap().neighbors.len(),
        1,
        "an end need not be learned"
    );
    assert_eq!(client.neighbors(Neighborhood::of("unheard of")).unwrap().neighbors.len(), 0);
}

#[test]
fn learning_again_replaces_the_content_and_keeps_the_associations_and_the_first_time() {
    let server = Server::start(&[]);
    let client = server.client();
    client.learn(Concept::new("dog").content("old")).unwrap();
    client.associate(Association::between("dog", "animal").confidence(0.5)).unwrap();
    let before = client.query("dog").unwrap().unwrap().checked().to_owned();
    client.learn(Concept::new("dog").content("new")).unwrap();
    let after = client.query("dog").unwrap().unwrap();
    assert_eq!(after.content.as_str(), "new");
    assert_eq!(after.created.to_native(), before.created);
    assert!(after.updated.to_native() >= before.updated);
    client.associate(Association::between("dog", "animal").confidence(0.9)).unwrap();
    let neighbors = client.neighbors(Neighborhood::of("dog")).unwrap();
    let [animal] = neighbors.neighbors.as_slice() else { panic!("the same association, once") };
    assert_eq!(animal.confidence.to_native(), 0.9);
}

#[test]
fn namespaces_keep_equal_names_apart_and_survive_a_restart() {
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    for namespace in ["", "zoo", "museum"] {
        client
            .namespace(namespace)
            .learn(Concept::new("dog").content(format!("of {namespace:?}")))
            .unwrap();
    }
    let server = server.kill().start();
    let client = server.client();
    for namespace in ["", "zoo", "museum"] {
        let dog = client.namespace(namespace).query("dog").unwrap().unwrap();
        assert_eq!(dog.content.as_str(), format!("of {namespace:?}"));
    }
    assert!(client.namespace("elsewhere").query("dog").unwrap().is_none());
}

#[test]
fn the_neighbours_of_a_hub_are_read_in_pages_each_exactly_once() {
    let server = Server::start(&[]);
    let client = server.client();
    let spokes =
        (0..1000).map(|number| Association::between("hub", format!("spoke-{number}").as_str()));
    assert!(client.associate_many(spokes).all(|answer| answer.is_ok()));
    let mut seen = std::collections::HashSet::new();
    for page in client.neighbor_pages(Neighborhood::of("hub").limit(70)) {
        let page = page.unwrap();
        assert!(page.neighbors.len() <= 70);
        for neighbor in page.neighbors.iter() {
            assert!(seen.insert(neighbor.id), "each once");
        }
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn a_frozen_server_costs_the_timeout_and_no_more_and_answers_again_when_it_thaws() {
    let server = Server::start(&[]);
    // What is not frozen may be slow: it is asked until it answers.
    let impatient = || {
        Client::connect(server.address.to_string())
            .with_timeout(Duration::from_millis(300))
            .blocking()
    };
    let client = eventually(impatient);
    eventually(|| client.learn(Concept::new("dog").content("before")));
    eventually(|| client.query("dog"));
    server.freeze();
    let first = client.query("dog");
    assert!(matches!(first, Err(ClientError::TimedOut { .. })), "{first:?}");
    // From now on the connection is tried before it is used: that fails as well.
    assert!(client.query("dog").is_err() && client.query("dog").is_err());
    server.signal(Signal::CONT);
    // The late replies to the queries above must not be taken for the reply to this one.
    eventually(|| client.learn(Concept::new("cat").content("after")));
    assert_eq!(eventually(|| client.query("cat")).unwrap().content.as_str(), "after");
    assert_eq!(eventually(|| client.query("dog")).unwrap().content.as_str(), "before");
}

/// Asks until there is an answer and no error.
fn eventually<T>(ask: impl Fn() -> Result<T, ClientError>) -> T {
    let until = Instant::now() + support::PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    }
}

#[test]
fn a_restarted_server_is_found_again_by_the_same_client() {
    let server = Server::start(&[]);
    // A server may take long to start on a slow host: it is asked again as long as there is time.
    let patient = Client::connect(server.address.to_string())
        .with_timeout(support::PATIENCE)
        .with_retries(u32::MAX);
    let client = patient.blocking().unwrap();
    client.learn(Concept::new("dog").content("before")).unwrap();
    let server = server.kill().start_on_same_port();
    assert_eq!(client.query("dog").unwrap().unwrap().content.as_str(), "before");
    let (status, stopped) = server.stop();
    assert!(status.success());
    let starting = std::thread::spawn(|| stopped.start_on_same_port());
    // Refused at first: the client backs off and tries again within its timeout.
    client.learn(Concept::new("cat").content("while it starts")).unwrap();
    assert!(client.query("cat").unwrap().is_some());
    drop(starting.join().unwrap());
}

#[test]
fn a_server_that_is_gone_is_an_error_within_the_timeout() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    let connect =
        || Client::connect(address.as_str()).with_timeout(Duration::from_millis(500)).blocking();
    let client = eventually(connect);
    drop(server.kill());
    assert!(client.query("dog").is_err());
    let error = connect().unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
}

#[test]
fn thousands_of_pipelined_writes_and_reads_from_many_threads_each_get_their_own_answer() {
    let server = Server::start(&["--cores", "4"]);
    let client = Client::connect(server.address.to_string()).with_pool_size(2).blocking().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = client.clone();
            scope.spawn(move || {
                let name = |number: u32| format!("thread-{thread}-{number}");
                let concepts = (0..2000).map(|number| {
                    Concept::new(name(number)).content(format!("content of {}", name(number)))
                });
                assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
                let names: Vec<String> = (0..2000).map(name).collect();
                for (answer, name) in
                    client.query_many(names.iter().map(String::as_str)).zip(&names)
                {
                    assert_eq!(
                        answer.unwrap().unwrap().content.as_str(),
                        format!("content of {name}")
                    );
                }
            });
        }
    });
    assert_eq!(client.stats().unwrap().concepts.to_native(), 8000);
}
