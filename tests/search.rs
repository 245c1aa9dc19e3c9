//! Vector search over real data: right beside a scan of everything, at once after every change, the
//! same after a crash.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{Server, wordnet};
use rkyv::rancor::Error;
use sutra_client::blocking::Client;
use sutra_client::{Association, ClientError, Concept, ConceptId, SearchQuery, View};
use sutra_testing::raw::Raw;
use sutra_wire::{ConceptKey, ConceptRecord, Header, Near, Opcode, SearchRequest, Status};

const K: usize = 10;

/// Vectors by their concepts' ids: what an index is held against.
type Vectors = BTreeMap<[u8; 16], Vec<f32>>;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// The k nearest of all, as a set.
fn nearest(vectors: &Vectors, to: &[f32]) -> HashSet<[u8; 16]> {
    let mut all: Vec<_> = vectors.iter().map(|(id, vector)| (*id, cosine(vector, to))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.iter().take(K).map(|(id, _)| *id).collect()
}

fn hits(client: &Client, query: SearchQuery) -> Vec<([u8; 16], f32)> {
    client
        .search(query)
        .unwrap()
        .hits
        .iter()
        .map(|hit| (hit.id, hit.similarity.to_native()))
        .collect()
}

/// Queries with their exact nearest.
type Queries = Vec<(Vec<f32>, HashSet<[u8; 16]>)>;

/// The share of the exact k nearest that searches find, over all queries. Every hit's similarity is
/// checked.
fn recall(
    client: &Client,
    vectors: &Vectors,
    queries: &Queries,
    ask: impl Fn(SearchQuery) -> SearchQuery,
) -> f64 {
    let mut found = 0;
    for (query, expected) in queries {
        let hits = hits(client, ask(SearchQuery::like(query.as_slice())));
        assert_eq!(hits.len(), K);
        assert!(hits.is_sorted_by(|a, b| a.1 >= b.1));
        for (id, similarity) in &hits {
            let exact = cosine(vectors.get(id).expect("a hit is there"), query);
            assert!((exact - f64::from(*similarity)).abs() < 1e-5, "{similarity} is not {exact}");
        }
        found += hits.iter().filter(|(id, _)| expected.contains(id)).count();
    }
    found as f64 / (queries.len() * K) as f64
}

/// Vectors near stored ones, none of them stored.
fn queries(vectors: &Vectors, count: usize) -> Queries {
    let all: Vec<_> = vectors.values().collect();
    let step = all.len() / count;
    let mixed = |at: usize| {
        let (a, b) = (all[at * step], all[(at * step + 977) % all.len()]);
        let query: Vec<f32> = a.iter().zip(b).map(|(a, b)| 0.8 * a + 0.2 * b).collect();
        let expected = nearest(vectors, &query);
        (query, expected)
    };
    (0..count).map(mixed).collect()
}

/// The names of the slice's concepts.
fn names() -> Vec<String> {
    let file = std::fs::File::open(wordnet().join("concepts.jsonl")).unwrap();
    let name = |line: String| {
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["id"].as_str().unwrap().to_owned()
    };
    std::io::BufReader::new(file).lines().map(|line| name(line.unwrap())).collect()
}

fn id(name: &str) -> [u8; 16] {
    ConceptId::from_name(name).unwrap().0
}

fn stored(client: &Client, names: &[String]) -> Vectors {
    let vector = |name: &String, answer: Result<Option<View<ConceptRecord>>, ClientError>| {
        let record = answer.unwrap().unwrap();
        (id(name), record.embedding.iter().map(|number| number.to_native()).collect())
    };
    names
        .iter()
        .zip(client.query_many(names.iter()))
        .map(|(name, answer)| vector(name, answer))
        .collect()
}

fn counter(client: &Client, name: &str) -> u64 {
    let stats = client.stats().unwrap();
    stats
        .counters
        .iter()
        .find(|counter| counter.name == name)
        .expect("it is counted")
        .value
        .to_native()
}

/// Waits until every vector is in an index.
fn wait_until_indexed(client: &Client) {
    let until = Instant::now() + Duration::from_secs(120);
    while counter(client, "vectors_tail") > 0 || counter(client, "vectors_indexed") == 0 {
        assert!(Instant::now() < until, "the index was not built");
        // The worker that builds it has a low priority, so it is left alone for a moment.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A vector like no other's.
fn scattered(number: u32, dimension: u32) -> Vec<f32> {
    let number = number.wrapping_mul(7919) << 10;
    (0..dimension)
        .map(|at| (((number ^ at).wrapping_mul(2_654_435_769) >> 8) % 2001) as f32 - 1000.0)
        .collect()
}

fn start(cores: usize) -> Server {
    let server = Server::start(&["--cores", &cores.to_string()]);
    assert!(server.run(&["import", wordnet().to_str().unwrap()]).status.success());
    server
}

#[test]
fn a_search_finds_what_a_scan_of_every_vector_finds_on_one_two_and_four_cores() {
    let names = names();
    for cores in [1, 2, 4] {
        let server = start(cores);
        let client = server.client();
        let vectors = stored(&client, &names);
        let queries = queries(&vectors, 60);
        assert_eq!(recall(&client, &vectors, &queries, SearchQuery::exact), 1.0);
        // Found at once, whether an index has them yet or not.
        assert!(recall(&client, &vectors, &queries, |query| query) >= 0.99);
        // Where there are fewer than 1,024 vectors a core, there is no index.
        if cores <= 2 {
            wait_until_indexed(&client);
        }
        assert!(recall(&client, &vectors, &queries, |query| query) >= 0.99, "{cores} cores");
        // Of 600 true neighbours one or two may be missed: which, is the luck of the index's
        // levels.
        assert!(
            recall(&client, &vectors, &queries, |query| query.ef_search(400)) >= 0.995,
            "{cores} cores"
        );
    }
}

#[test]
fn updates_and_deletes_take_effect_at_once_and_survive_a_kill() {
    let names = names();
    let server = start(1);
    let client = server.client();
    let mut vectors = stored(&client, &names);
    wait_until_indexed(&client);
    let all: Vec<_> = vectors.values().cloned().collect();
    for (number, name) in names.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        if number % 3 == 1 {
            assert!(client.delete(name.as_str()).unwrap().concept);
            let gone = vectors.remove(&id(name)).unwrap();
            if number % 30 == 1 {
                assert!(
                    hits(&client, SearchQuery::like(gone)).iter().all(|(hit, _)| *hit != id(name))
                );
            }
        } else {
            // So that every old place in an index is a wrong one now.
            let vector: Vec<f32> = all[number].iter().rev().copied().collect();
            client.learn(Concept::new(name).embedding(vector.as_slice())).unwrap();
            if number % 30 == 2 {
                assert!(
                    hits(&client, SearchQuery::like(vector.as_slice()))
                        .iter()
                        .any(|(hit, _)| *hit == id(name))
                );
            }
            vectors.insert(id(name), vector);
        }
    }
    let queries = queries(&vectors, 100);
    assert!(recall(&client, &vectors, &queries, |query| query) >= 0.98);
    drop(client);
    let server = server.kill().start();
    let client = server.client();
    assert!(recall(&client, &vectors, &queries, |query| query) >= 0.98);
    wait_until_indexed(&client);
    assert!(recall(&client, &vectors, &queries, |query| query) >= 0.98);
    assert_eq!(recall(&client, &vectors, &queries, SearchQuery::exact), 1.0);
}

/// The checkpoints of a store of one core.
fn checkpoints(data: &Path) -> Vec<PathBuf> {
    let files =
        std::fs::read_dir(data.join("shard-000")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "index")).collect()
}

#[test]
fn an_index_is_read_back_after_a_stop_and_built_again_where_it_is_damaged_or_gone() {
    // Twice the slice: a checkpoint is worth its writing from 4,096 vectors on.
    let names = names();
    let server = start(1);
    let client = server.client();
    let mut vectors = stored(&client, &names);
    let turned: Vec<Vec<f32>> =
        vectors.values().map(|vector| vector.iter().rev().copied().collect()).collect();
    let concept = |(number, vector): (usize, &Vec<f32>)| {
        Concept::new(format!("t{number}")).embedding(vector.as_slice())
    };
    assert!(client.learn_many(turned.iter().enumerate().map(concept)).all(|answer| answer.is_ok()));
    vectors.extend(
        turned.into_iter().enumerate().map(|(number, vector)| (id(&format!("t{number}")), vector)),
    );
    wait_until_indexed(&client);
    let queries = queries(&vectors, 50);
    drop(client);
    let (status, mut stopped) = server.stop();
    assert!(status.success());

    let spoil: [fn(&Path); 4] = [
        |_| {},
        |file| std::fs::File::options().write(true).open(file).unwrap().set_len(1000).unwrap(),
        |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            std::fs::write(file, bytes).unwrap();
        },
        |file| std::fs::remove_file(file).unwrap(),
    ];
    for (round, spoil) in spoil.into_iter().enumerate() {
        let files = checkpoints(&stopped.folder.path());
        assert_eq!(files.len(), 1, "a stop leaves a checkpoint, round {round}");
        spoil(&files[0]);
        let server = stopped.start();
        let client = server.client();
        if round == 0 {
            assert!(
                counter(&client, "vectors_indexed") >= 4096,
                "what the checkpoint holds is not indexed a second time"
            );
        }
        assert!(recall(&client, &vectors, &queries, |query| query) >= 0.99, "round {round}");
        wait_until_indexed(&client);
        assert!(recall(&client, &vectors, &queries, |query| query) >= 0.99, "round {round}");
        drop(client);
        stopped = server.stop().1;
    }
}

#[test]
fn filters_keep_what_they_should_and_all_of_it() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    let vector = |number: u32| vec![1.0, number as f32 / 5000.0, 0.5];
    let concept = |number: u32| {
        let concept = Concept::new(number.to_string()).embedding(vector(number));
        concept.strength((number % 100) as f32).confidence((number % 1000) as f32 / 1000.0)
    };
    assert!(client.learn_many((0..5000).map(concept)).all(|answer| answer.is_ok()));
    let elsewhere = client.namespace("elsewhere");
    elsewhere.learn(Concept::new("7").embedding(vec![1.0, 2.0])).unwrap();
    // A chain, and a hub beside it.
    let chain = (0..20)
        .map(|number: u32| Association::between(number.to_string(), (number + 1).to_string()));
    let hub = (100..1100).map(|number: u32| Association::between("hub", number.to_string()));
    assert!(client.associate_many(chain.chain(hub)).all(|answer| answer.is_ok()));

    let by_id: HashMap<_, _> =
        (0..5000_u32).map(|number| (id(&number.to_string()), number)).collect();
    let found = |query: SearchQuery| -> HashSet<u32> {
        hits(&client, query).iter().map(|(id, _)| by_id[id]).collect()
    };
    let like = || SearchQuery::like(vector(0)).k(1000);
    let of = |keep: fn(u32) -> bool| -> HashSet<u32> {
        (0..5000).filter(|number| keep(*number)).collect()
    };
    assert_eq!(found(like().minimum_strength(99.0)), of(|number| number % 100 == 99));
    assert_eq!(found(like().minimum_confidence(0.9895)), of(|number| number % 1000 >= 990));
    assert_eq!(
        found(like().minimum_strength(99.0).minimum_confidence(0.9985)),
        of(|number| number % 1000 == 999)
    );
    assert_eq!(
        found(like().minimum_strength(1e9)),
        HashSet::new(),
        "a filter that matches nothing"
    );
    assert_eq!(found(like().near("10", 0)), of(|number| number == 10));
    assert_eq!(found(like().near("10", 3)), of(|number| (7..=13).contains(&number)));
    assert_eq!(
        found(like().near("hub", 1)),
        of(|number| (100..1100).contains(&number)),
        "the hub has no vector"
    );
    assert_eq!(
        found(like().near("hub", 1).minimum_strength(99.0)),
        of(|n| (100..1100).contains(&n) && n % 100 == 99)
    );
    assert_eq!(found(like().near("unheard of", 3)), HashSet::new());
    let few = found(SearchQuery::like(vector(0)).minimum_strength(50.0).k(10));
    assert_eq!(few, of(|number| (50..60).contains(&number)), "recall is kept under a filter");
    assert_eq!(hits(&elsewhere, SearchQuery::like([1.0, 2.0])).len(), 1);
    assert_eq!(hits(&client.namespace("nowhere"), SearchQuery::like([1.0])), []);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason_and_the_connection_goes_on() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    client.learn(Concept::new("a").embedding(vec![1.0, 0.0, 0.0])).unwrap();
    client.learn(Concept::new("zero").embedding(vec![0.0, 0.0, 0.0])).unwrap();
    client.learn(Concept::new("no vector")).unwrap();
    let mut raw = Raw::open(server.address);
    let good = || SearchRequest { vector: vec![1.0, 0.0, 0.0], k: 3, ..SearchRequest::default() };
    for (wrong, says) in [
        (SearchRequest { k: 1002, ..good() }, "k: is 1002, the limit is 1001"),
        (
            SearchRequest { vector: vec![1.0, 0.0], ..good() },
            "has 2 numbers, the embeddings of its namespace have 3",
        ),
        (SearchRequest { vector: vec![], ..good() }, "vector is empty"),
        (SearchRequest { vector: vec![1.0, f32::NAN, 0.0], ..good() }, "number 1 of 3 is NaN"),
        (SearchRequest { vector: vec![1.0, f32::INFINITY, 0.0], ..good() }, "number 1 of 3 is inf"),
        (SearchRequest { ef_search: 10_001, ..good() }, "ef_search: is 10001, the limit is 10000"),
        (SearchRequest { minimum_strength: f32::NAN, ..good() }, "minimum_strength"),
        (SearchRequest { minimum_confidence: 1.5, ..good() }, "minimum_confidence"),
        (SearchRequest { near: Some(Near::default()), ..good() }, "near"),
    ] {
        let header = Header { opcode: Opcode::Search as u8, request: 1, ..Header::default() };
        let reply = raw.ask(header, &rkyv::to_bytes::<Error>(&wrong).unwrap());
        assert_eq!(reply.status(), Status::InvalidArgument, "{wrong:?}");
        assert!(reply.message().contains(says), "{} does not say {says}", reply.message());
    }
    assert!(raw.is_alive());

    let refused =
        client.learn(Concept::new("b").embedding(vec![1.0, 0.0])).unwrap_err().to_string();
    assert!(refused.contains("has 2 numbers") && refused.contains('3'), "{refused}");
    assert!(client.query("b").unwrap().is_none());
    client.namespace("other").learn(Concept::new("b").embedding(vec![1.0, 0.0])).unwrap();
    let refused = client
        .learn(Concept::new("c").embedding(vec![1.0, 0.0, f32::NAN]))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("finite"), "{refused}");

    // A zero vector is like nothing, and nothing is like it.
    let by_id = |query| hits(&client, query).into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(
        by_id(SearchQuery::like([2.0, 0.0, 0.0])),
        BTreeMap::from([(id("a"), 1.0), (id("zero"), 0.0)])
    );
    assert_eq!(
        by_id(SearchQuery::like([0.0, 0.0, 0.0])),
        BTreeMap::from([(id("a"), 0.0), (id("zero"), 0.0)])
    );
    assert_eq!(
        by_id(SearchQuery::like([-3.0, 0.0, 0.0]).k(1)),
        BTreeMap::from([(id("zero"), 0.0)])
    );
}

#[test]
fn a_query_overtakes_searches_of_everything_and_a_deadline_ends_them() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    let vector = |number: u32| {
        (0..256).map(|at| ((number * 31 + at * 17) % 101) as f32 - 50.0).collect::<Vec<_>>()
    };
    let concepts =
        (0..4000).map(|number| Concept::new(number.to_string()).embedding(vector(number)));
    assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
    let mut raw = Raw::open(server.address);
    let request =
        SearchRequest { vector: vector(1), k: 10, exact: true, ..SearchRequest::default() };
    let request = rkyv::to_bytes::<Error>(&request).unwrap();
    // As many scans of everything as a core works on at a time, and a query behind them on the same
    // connection.
    for number in 0..60 {
        let header = Header { opcode: Opcode::Search as u8, request: number, ..Header::default() };
        raw.send(&sutra_testing::raw::frame(header, &request));
    }
    let query =
        rkyv::to_bytes::<Error>(&ConceptKey { id: id("7"), ..ConceptKey::default() }).unwrap();
    let header = Header { opcode: Opcode::Query as u8, request: 1000, ..Header::default() };
    raw.send(&sutra_testing::raw::frame(header, &query));
    let replies: Vec<_> = (0..61).map(|_| raw.reply()).collect();
    assert!(replies.iter().all(|reply| reply.status() == Status::Ok));
    let place = replies.iter().position(|reply| reply.header.request == 1000).unwrap();
    assert!(place < 30, "the query came as number {place}");
    // One microsecond is not enough for a scan, and it does not go on afterwards.
    let header = Header { opcode: Opcode::Search as u8, request: 1, extra: 1, ..Header::default() };
    assert_eq!(raw.ask(header, &request).status(), Status::DeadlineExceeded);
    assert!(raw.is_alive());
    drop(client);
    assert!(server.stop().0.success());
}

#[test]
fn a_search_has_its_turn_with_the_index_however_much_is_still_to_be_indexed() {
    let server = Server::start(&["--cores", "1", "--durability", "os"]);
    let client = server.client();
    let vector = |number: u32| scattered(number, 64);
    let concepts =
        (0..30_000).map(|number| Concept::new(number.to_string()).embedding(vector(number)));
    assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
    let mut searches = 0;
    while counter(&client, "vectors_tail") > 0 {
        assert!(hits(&client, SearchQuery::like(vector(searches * 97 % 30_000)))[0].1 > 0.9999);
        searches += 1;
    }
    // Each that waits takes the index from the worker for itself: were it lent away before,
    // searches would wait for its end.
    assert!(searches > 600, "{searches} searches while the index was built");
}

#[test]
fn thousands_of_equal_vectors_hide_no_other_nor_once_they_are_deleted_and_the_server_is_killed() {
    let server = Server::start(&["--cores", "1", "--durability", "os"]);
    let client = server.client();
    let equal = || (0..4000).map(|number| format!("equal {number}"));
    let others = || (0..600).map(|number| (format!("other {number}"), scattered(number, 64)));
    let like_all = scattered(9999, 64);
    let concepts = equal().map(|name| Concept::new(name).embedding(like_all.clone()));
    assert!(client.learn_many(concepts).all(|answer| answer.is_ok()));
    assert!(
        client
            .learn_many(others().map(|(name, vector)| Concept::new(name).embedding(vector)))
            .all(|answer| answer.is_ok())
    );
    wait_until_indexed(&client);
    let assert_found = |client: &Client| {
        for (name, vector) in others() {
            assert_eq!(hits(client, SearchQuery::like(vector).k(1))[0].0, id(&name));
        }
    };
    assert_found(&client);
    for k in [100, 1000] {
        assert_eq!(hits(&client, SearchQuery::like(like_all.as_slice()).k(k)).len(), k as usize);
        assert_eq!(hits(&client, SearchQuery::like(scattered(3, 64)).k(k)).len(), k as usize);
    }
    for name in equal() {
        assert!(client.delete(&name).unwrap().concept);
    }
    assert_found(&client);
    drop(client);
    let server = server.kill().start();
    assert_found(&server.client());
}
