//! Clients of the old protocol, byte by byte, against the real server.

#[path = "../compat/tests/support.rs"]
mod legacy;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use crate::support;
use crate::support::legacy::Legacy;
use crate::support::{Server, sutra};
use legacy::{golden, json_of, msgpack};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};

/// The 32 digits of the id of "test".
const TEST_ID: &str = "098f6bcd4621d373cade4e832627b4f6";

/// The digits of a name's id.
fn id(name: &str) -> String {
    sutra_client::ConceptId::from_name(name).unwrap().to_string()
}

impl Legacy {
    /// Asks in MessagePack.
    fn json(&mut self, message: &Value) -> Value {
        json_of(&self.ask(&msgpack(message)))
    }

    /// The text of an error that the message gets.
    fn error(&mut self, message: &[u8]) -> String {
        let reply = json_of(&self.ask(message));
        reply["Error"]["message"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    fn is_healthy(&mut self) {
        let reply = self.json(&json!("HealthCheck"));
        assert_eq!(reply["HealthCheckOk"]["status"], "ok", "{reply}");
    }
}

/// A reply in bincode: its variant, and what follows.
fn variant(reply: &[u8]) -> (u32, &[u8]) {
    let (number, rest) = reply.split_first_chunk().unwrap();
    (u32::from_le_bytes(*number), rest)
}

fn published_reply(title: &str) -> legacy::Golden {
    golden().into_iter().find(|golden| golden.title == title).unwrap()
}

/// What a published request is answered in MessagePack.
fn assert_answered(title: &str, reply: &[u8]) {
    let value = json_of(reply);
    match title {
        "LearnConcept(no embedding)" | "LearnConcept(embedding [0.1,0.2])" => {
            assert!(value["LearnConceptOk"][0].is_u64(), "{value}");
        }
        "LearnAssociation" => assert!(value["LearnAssociationOk"][0].is_u64(), "{value}"),
        "QueryConcept" => assert_eq!(reply, published_reply("reply QueryConceptOk(found)").named),
        "GetNeighbors" => assert_eq!(value, json!({"GetNeighborsOk": {"neighbor_ids": []}})),
        "FindPath" => {
            let path = [id("a"), id("b")];
            assert_eq!(value, json!({"FindPathOk": {"found": true, "path": path}}));
        }
        "VectorSearch" => {
            assert_eq!(value["VectorSearchOk"]["results"][0][0], TEST_ID, "{value}");
            let similarity = value["VectorSearchOk"]["results"][0][1].as_f64().unwrap();
            assert!((similarity - 1.0).abs() < 1e-6, "{value}");
        }
        "GetStats" => {
            let stats = &value["StatsOk"];
            for (name, count) in [
                ("concepts", 1),
                ("total_concepts", 1),
                ("edges", 1),
                ("total_edges", 1),
                ("total_associations", 1),
                ("vectors", 1),
                ("dropped", 0),
                ("drops", 0),
                ("pending", 0),
            ] {
                assert_eq!(stats[name], count, "{name} of {value}");
            }
            assert_eq!(stats["written"], stats["writes"]);
            assert!(
                stats["uptime_seconds"].is_u64() && stats["reconciliations"].is_u64(),
                "{value}"
            );
        }
        "Flush" => assert_eq!(reply, published_reply("reply FlushOk").named),
        "HealthCheck" => {
            let health = &value["HealthCheckOk"];
            assert_eq!((&health["healthy"], &health["status"]), (&json!(true), &json!("ok")));
            assert!(health["uptime_seconds"].is_u64());
        }
        other => panic!("{other} is new"),
    }
}

/// What it is answered in bincode.
fn assert_answered_in_bincode(title: &str, reply: &[u8]) {
    let (number, rest) = variant(reply);
    match title {
        "LearnConcept(no embedding)" | "LearnConcept(embedding [0.1,0.2])" => {
            assert_eq!((number, rest.len()), (0, 8));
        }
        "LearnAssociation" => assert_eq!((number, rest.len()), (1, 8)),
        "QueryConcept" => {
            assert_eq!(reply, published_reply("reply QueryConceptOk(found)").bincode);
        }
        "GetNeighbors" => assert_eq!((number, rest), (3, &[0; 8][..])),
        "FindPath" => assert_eq!((number, rest[0], rest.len()), (4, 1, 1 + 8 + 2 * (8 + 32))),
        "VectorSearch" => assert_eq!((number, &rest[..8]), (5, &1u64.to_le_bytes()[..])),
        "GetStats" => {
            assert_eq!((number, rest.len(), &rest[..8]), (6, 56, &1u64.to_le_bytes()[..]));
        }
        "Flush" => assert_eq!(reply, published_reply("reply FlushOk").bincode),
        "HealthCheck" => assert_eq!((number, &rest[..3]), (8, &[1, 2, 0][..])),
        other => panic!("{other} is new"),
    }
}

#[test]
fn a_write_to_a_server_that_only_reads_is_refused_with_words() {
    let (status, stopped) = Server::start(&[]).stop();
    assert!(status.success());
    let server = Server::start_on(stopped.folder, &["--read-only"]);
    let request = golden().into_iter().find(|one| one.title.contains("LearnConcept(no")).unwrap();
    let error = Legacy::open(server.compat()).error(&request.named);
    assert!(error.contains("read-only"), "{error}");
}

#[test]
fn every_published_request_is_answered_in_its_own_encoding() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    for golden in golden().into_iter().filter(|golden| golden.title.starts_with("request ")) {
        let title = golden.title.strip_prefix("request ").unwrap();
        for request in [&golden.array, &golden.named] {
            assert_answered(title, &client.ask(request));
        }
        assert_answered_in_bincode(title, &client.ask(&golden.bincode));
    }
}

#[test]
fn every_shape_that_clients_were_seen_to_send_is_understood() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    assert!(
        client.json(&json!({"LearnConcept": ["a", "b", [], 1.0, 1.0]}))["LearnConceptOk"][0]
            .is_u64()
    );
    for unit in [
        json!("GetStats"),
        json!({"GetStats": {}}),
        json!({"GetStats": null}),
        json!({"GetStats": []}),
        json!({"type": "GetStats"}),
    ] {
        assert_eq!(client.json(&unit)["StatsOk"]["concepts"], 1, "{unit}");
    }
    for query in [
        json!({"QueryConcept": {"concept_id": "a"}}),
        json!({"QueryConcept": ["a"]}),
        json!({"QueryConcept": {"extra": 1, "concept_id": "a"}}),
        json!({"QueryConcept": {"namespace": null, "concept_id": "a"}}),
        json!({"type": "QueryConcept", "concept_id": "a"}),
        json!({"concept_id": "a", "type": "QueryConcept"}),
    ] {
        let reply = client.json(&query);
        assert_eq!(reply["QueryConceptOk"]["content"], "b", "{query}: {reply}");
    }
    let trailing = [msgpack(&json!({"QueryConcept": {"concept_id": "a"}})), vec![0]].concat();
    assert_eq!(json_of(&client.ask(&trailing))["QueryConceptOk"]["found"], true);
    let binary_id = b"\x81\xacQueryConcept\x81\xaaconcept_id\xc4\x01a";
    assert_eq!(json_of(&client.ask(binary_id))["QueryConceptOk"]["found"], true);
    for (number, embedding) in
        [json!([0.5]), json!([1]), json!(null), json!([])].into_iter().enumerate()
    {
        let id = format!("e{number}");
        let learn = json!({"LearnConcept": {
            "concept_id": id, "content": "b", "embedding": embedding, "strength": 1
        }});
        assert!(client.json(&learn)["LearnConceptOk"][0].is_u64(), "{learn}");
    }
    // Tagged requests are answered with maps alone.
    let learn = json!({"type": "LearnConcept", "concept_id": "t", "content": "tagged"});
    assert!(client.json(&learn)["LearnConceptOk"]["sequence"].is_u64());
    let associate = json!({
        "type": "LearnAssociation", "source_id": "t", "target_id": "a", "assoc_type": 1,
        "confidence": 0.5
    });
    assert!(client.json(&associate)["LearnAssociationOk"]["sequence"].is_u64());
    let neighbors = client.json(&json!({"type": "GetNeighbors", "concept_id": "t"}));
    assert_eq!(
        neighbors,
        json!({"GetNeighborsOk": {"neighbor_ids": ["0cc175b9c0f1b6a831c399e269772661"]}})
    );
}

#[test]
fn what_is_no_request_gets_an_error_and_the_connection_goes_on() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    let mut deep = vec![0x91; 10_000];
    deep.push(0xc0);
    let mut keys = b"\x81\xacQueryConcept\xdf\x00\x0f\x42\x40".to_vec();
    keys.extend(
        (0..1_000_000u32)
            .flat_map(|number| [&b"\xa4"[..], &number.to_le_bytes(), b"\x01"].concat()),
    );
    for (message, words) in [
        (Vec::new(), "empty"),
        (b"{\"type\": \"GetStats\"}".to_vec(), "JSON"),
        (msgpack(&json!({"Unknown": {}})), "Unknown"),
        (msgpack(&json!({"QueryConcept": {}})), "concept_id"),
        (msgpack(&json!({"QueryConcept": ["a", 1]})), "QueryConcept"),
        (msgpack(&json!({"QueryConcept": {"concept_id": 7}})), "concept_id"),
        (msgpack(&json!({"LearnConcept": ["a", "b", ["x"], 1.0, 1.0]})), "embedding"),
        (msgpack(&json!({"LearnConcept": ["a", "b", [], 1e39, 1.0]})), "strength: is inf"),
        (
            b"\x81\xb0LearnAssociation\x94\xa1a\xa1b\x00\xca\x7f\xc0\0\0".to_vec(),
            "confidence: is NaN",
        ),
        (msgpack(&json!({"QueryConcept": ["x".repeat(4097)]})), "limit is 4096"),
        (msgpack(&json!({"VectorSearch": [vec![0; 65_537], 1, 1]})), "limit is 65536"),
        (msgpack(&json!({"LearnConceptV2": ["text", {}]})), "embedder"),
        (msgpack(&json!({"LearnBatch": [["text"], {}]})), "embedder"),
        (msgpack(&json!({"FindCausalChain": {}})), "classify"),
        (b"\x81\xacQueryConcept\x82\xaaconcept_id\xa1a\xaaconcept_id\xa1b".to_vec(), "twice"),
        (deep, ""),
        (keys, ""),
        (b"\xdd\xff\xff\xff\xff".to_vec(), ""),
    ] {
        let error = client.error(&message);
        assert!(error.contains(words), "{error:?} of {:02x?}", &message[..message.len().min(40)]);
        client.is_healthy();
    }
    // In the encoding of the request: a text that claims more bytes than there are.
    let reply = client.ask(&[2, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127]);
    assert_eq!(variant(&reply).0, 9);
    client.is_healthy();
}

#[test]
fn a_length_over_the_limit_gets_an_error_and_then_the_end() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    client.stream.write_all(&[0xff; 4]).unwrap();
    let error = json_of(&client.reply());
    assert!(error["Error"]["message"].as_str().unwrap().contains("limit"), "{error}");
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    // In the encoding of what came before it.
    let mut client = Legacy::open(server.compat());
    client.is_healthy();
    assert_eq!(variant(&client.ask(&[8, 0, 0, 0])).0, 8);
    client.stream.write_all(&[0xff; 4]).unwrap();
    let reply = client.reply();
    let (number, text) = variant(&reply);
    assert!(
        number == 9 && text[8..].starts_with(b"message of 4294967295 bytes is over the limit"),
        "{reply:02x?}"
    );
    Legacy::open(server.compat()).is_healthy();
}

#[test]
fn random_bytes_and_claims_of_many_connections_cost_the_server_little() {
    let server = Server::start(&[]);
    let mut witness = Legacy::open(server.compat());
    witness.is_healthy();
    let before = server.memory_kib();
    let mut random = SmallRng::seed_from_u64(7);
    // Each claims the longest message there is and sends a little of it.
    let claims: Vec<_> = (0..500)
        .map(|_| {
            let mut client = Legacy::open(server.compat());
            client.stream.write_all(&(16u32 << 20).to_be_bytes()).unwrap();
            client.stream.write_all(&[0x91; 100]).unwrap();
            client
        })
        .collect();
    for _ in 0..500 {
        let mut client = Legacy::open(server.compat());
        let mut bytes = vec![0; random.random_range(1..2_000)];
        random.fill_bytes(&mut bytes);
        let whole = random.random_bool(0.5);
        let prefix = if whole { bytes.len() } else { bytes.len() * 2 };
        client.stream.write_all(&u32::try_from(prefix).unwrap().to_be_bytes()).unwrap();
        client.stream.write_all(&bytes).unwrap();
        if whole {
            client.reply();
        }
    }
    witness.is_healthy();
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 100 << 10, "{grown} KiB for {} connections", claims.len());
}

#[test]
fn one_connection_may_mix_encodings_and_send_ahead() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    let golden: Vec<_> =
        golden().into_iter().filter(|golden| golden.title.starts_with("request Query")).collect();
    let learn = |number: u32| {
        let content = format!("content {number}");
        msgpack(&json!({"LearnConcept": [format!("c{number}"), content, [], 1.0, 1.0]}))
    };
    let query = |number: u32| msgpack(&json!({"QueryConcept": [format!("c{number}")]}));
    for number in 0..500 {
        client.send(&learn(number));
        client.send(&query(number));
        client.send(&golden[0].bincode);
    }
    for number in 0..500 {
        assert!(json_of(&client.reply())["LearnConceptOk"][0].is_u64());
        // A client of a protocol without numbers counts on it: what it has written before is there.
        assert_eq!(
            json_of(&client.reply())["QueryConceptOk"]["content"],
            format!("content {number}")
        );
        assert_eq!(variant(&client.reply()).0, 2);
    }
}

#[test]
fn sequences_rise_with_every_write_of_a_connection() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    let mut last = 0;
    for number in 0..200 {
        let learn = json!({"LearnConcept": [number.to_string(), "x", [], 1.0, 1.0]});
        let sequence = client.json(&learn)["LearnConceptOk"][0].as_u64().unwrap();
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
    }
}

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
fn numeric_ids_stay_apart_unless_the_store_was_made_with_the_old_rule() {
    let learn = |client: &mut Legacy, id: &str| {
        client.json(&json!({"LearnConcept": [id, format!("of {id}"), [], 1.0, 1.0]}));
    };
    let query = |client: &mut Legacy, id: &str| {
        client.json(&json!({"QueryConcept": [id]}))["QueryConceptOk"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    ["1", "01", "100"].iter().for_each(|id| learn(&mut client, id));
    assert_eq!(["1", "01", "100"].map(|id| query(&mut client, id)), ["of 1", "of 01", "of 100"]);

    let server = Server::start(&["--id-rule", "legacy"]);
    let mut client = Legacy::open(server.compat());
    ["1", "test"].iter().for_each(|id| learn(&mut client, id));
    // The rule is the store's: it holds without the flag too.
    let folder = server.kill().folder;
    let server = Server::start_on(folder, &[]);
    let mut client = Legacy::open(server.compat());
    assert_eq!(["1", "01", "100"].map(|id| query(&mut client, id)), ["of 1"; 3]);
    assert_eq!(query(&mut client, TEST_ID), "of test");
    let folder = server.kill().folder;
    let refused = sutra()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--compat",
            "off",
            "--cores",
            "2",
            "--no-pin",
            "--id-rule",
            "md5-or-hex",
        ])
        .arg("--data")
        .arg(folder.path())
        .output()
        .unwrap();
    let line = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(3) && line.contains("--id-rule"), "{line}");
}

#[test]
fn what_old_clients_write_is_what_native_clients_read_and_survives_a_kill() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    client.json(&json!({"LearnConcept": ["dog", "a canine", [0.5, 0.25], 0.5, 0.25]}));
    client.json(&json!({"LearnAssociation": ["dog", "animal", 3, 0.75]}));
    let server = server.kill().start();
    let answer = server.run(&["query", "dog", "--json"]);
    let record: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        (&record["name"], &record["content"]),
        (&json!("dog"), &json!("a canine")),
        "{record}"
    );
    assert_eq!(
        (&record["strength"], &record["confidence"]),
        (&json!(0.5), &json!(0.25)),
        "{record}"
    );
    let neighbors = Legacy::open(server.compat()).json(&json!({"GetNeighbors": ["animal"]}));
    assert_eq!(neighbors["GetNeighborsOk"]["neighbor_ids"][0], "06d80eb0c50b49a509b49f2424e8c805");
}

#[test]
fn a_path_is_the_ids_along_it_of_at_most_as_many_associations_as_asked_for() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    for (from, to) in [("a", "b"), ("c", "b"), ("c", "d")] {
        client.json(&json!({"LearnAssociation": [from, to, 0, 1.0]}));
    }
    let found = |names: &[&str]| {
        let path: Vec<String> = names.iter().map(|name| id(name)).collect();
        json!({"FindPathOk": {"found": !path.is_empty(), "path": path}})
    };
    for (request, names) in [
        (json!({"FindPath": ["a", "d", 6]}), &["a", "b", "c", "d"][..]),
        (json!({"FindPath": {"start_id": "d", "end_id": "a"}}), &["d", "c", "b", "a"]),
        (json!({"FindPath": [id("a"), id("d"), u32::MAX]}), &["a", "b", "c", "d"]),
        (
            json!({"type": "FindPath", "start_id": "a", "end_id": "d", "max_depth": 3}),
            &["a", "b", "c", "d"],
        ),
        (json!({"FindPath": ["a", "d", 2]}), &[]),
        (json!({"FindPath": ["a", "a", 0]}), &["a"]),
        (json!({"FindPath": ["unheard of", "unheard of", 6]}), &[]),
        (json!({"FindPath": {"start_id": "a", "end_id": "a", "namespace": "elsewhere"}}), &[]),
        (json!({"FindPath": ["a", "unheard of", 6]}), &[]),
        (json!({"FindPath": {"start_id": "a", "end_id": "b", "namespace": "elsewhere"}}), &[]),
    ] {
        assert_eq!(client.json(&request), found(names), "{request}");
    }
    client.is_healthy();
}

#[test]
fn a_search_gives_rows_of_id_and_similarity_and_says_what_it_can_not_take() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    for number in 0..300_u16 {
        let angle = f32::from(number) / 300.0;
        let embedding = [angle.cos(), angle.sin()];
        let learn = json!({"LearnConcept": [format!("c{number}"), "x", embedding, 1.0, 1.0]});
        assert!(client.json(&learn)["LearnConceptOk"][0].is_u64());
    }
    let mut rows = |request: Value| -> Vec<(String, f64)> {
        let reply = client.json(&request);
        serde_json::from_value(reply["VectorSearchOk"]["results"].clone())
            .unwrap_or_else(|_| panic!("{reply}"))
    };
    let best = rows(json!({"VectorSearch": [[1.0, 0.0], 3, 50]}));
    assert_eq!(
        best.iter().map(|(found, _)| found.as_str()).collect::<Vec<_>>(),
        [id("c0"), id("c1"), id("c2")]
    );
    assert!((best[0].1 - 1.0).abs() < 1e-6 && best.is_sorted_by(|a, b| a.1 >= b.1), "{best:?}");
    assert_eq!(
        rows(json!({"VectorSearch": {"query_vector": [1.0, 0.0]}})).len(),
        10,
        "as many as old clients meant"
    );
    assert_eq!(rows(json!({"type": "VectorSearch", "query_vector": [1, 0], "k": 2})).len(), 2);
    assert_eq!(rows(json!({"VectorSearch": [[1.0, 0.0], 0, 50]})), []);
    assert_eq!(
        rows(json!({"VectorSearch": [[-1.0, 0.0], 300, u32::MAX]})).len(),
        300,
        "unlike ones, too"
    );
    // How an old service lists what there is.
    let listed = rows(json!({"VectorSearch": [[0.0, 0.0], 200, 50]}));
    assert!(listed.len() == 200 && listed.iter().all(|(_, similarity)| *similarity == 0.0));
    assert_eq!(
        rows(json!({"VectorSearch": {"query_vector": [1.0, 0.0], "namespace": "elsewhere"}})),
        []
    );
    for (request, words) in [
        (json!({"VectorSearch": [[1.0, 0.0, 0.0], 3, 50]}), ["3", "2"]),
        (json!({"VectorSearch": [[1.0, 0.0], 1002, 50]}), ["k", "1001"]),
        (json!({"VectorSearch": [[1e300, 0.0], 3, 50]}), ["vector", "finite"]),
    ] {
        let error = client.error(&msgpack(&request));
        assert!(words.iter().all(|word| error.contains(word)), "{request}: {error}");
        client.is_healthy();
    }
}

#[test]
fn one_association_and_all_ids_are_read_as_later_clients_read_them() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    let none = client.json(&json!("GetAllConceptIds"));
    assert_eq!(none, json!({"GetAllConceptIdsOk": {"concept_ids": []}}));
    let mut ids: Vec<String> = (0..500)
        .map(|number| {
            let name = format!("c{number}");
            assert!(
                client.json(&json!({"LearnConcept": [name, "x", [], 1.0, 1.0]}))["LearnConceptOk"]
                    [0]
                .is_u64()
            );
            sutra_client::ConceptId::from_name(&name).unwrap().to_string()
        })
        .collect();
    ids.sort();
    let all = client.json(&json!({"GetAllConceptIds": {}}));
    // In no order, and each once.
    let mut listed: Vec<&str> = all["GetAllConceptIdsOk"]["concept_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    listed.sort_unstable();
    assert!(listed == ids, "{} ids of {}", listed.len(), ids.len());
    let elsewhere = client.json(&json!({"type": "GetAllConceptIds", "namespace": "elsewhere"}));
    assert_eq!(elsewhere["GetAllConceptIdsOk"]["concept_ids"], json!([]));

    for (kind, confidence) in [(4, 0.5), (2, 0.75)] {
        client.json(&json!({"LearnAssociation": ["c1", "c2", kind, confidence]}));
    }
    let found = client.json(&json!({"GetAssociation": {"source_id": "c1", "target_id": "c2"}}));
    let (source_id, target_id) = (id("c1"), id("c2"));
    let expected = json!({
        "found": true, "source_id": source_id, "target_id": target_id, "assoc_type": 2,
        "confidence": 0.75,
    });
    assert_eq!(found, json!({"GetAssociationOk": expected}));
    let missing = client.json(&json!({"GetAssociation": ["c2", "c1"]}));
    assert_eq!(missing["GetAssociationOk"]["found"], false, "{missing}");
    client.is_healthy();
}

#[test]
fn a_delete_takes_its_turn_among_what_was_sent_ahead_and_says_whether_there_was_anything() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    for round in 0..20 {
        let name = format!("c{round}");
        let sent = [
            json!({"LearnConcept": [name, "first", [], 1.0, 1.0]}),
            json!({"LearnAssociation": [name, "other", 3, 0.75]}),
            json!({"LearnAssociation": ["other", name, 0, 0.75]}),
            json!({"DeleteConcept": {"namespace": "", "id": name}}),
            json!({"QueryConcept": [name]}),
            json!({"GetNeighbors": ["other"]}),
            json!({"DeleteConcept": {"id": name, "namespace": null}}),
            json!({"LearnConcept": [name, "second", [], 1.0, 1.0]}),
            json!({"QueryConcept": [name]}),
        ];
        sent.iter().for_each(|message| client.send(&msgpack(message)));
        let replies: Vec<Value> = sent.iter().map(|_| json_of(&client.reply())).collect();
        assert_eq!(replies[3], json!({"DeleteConceptOk": {"deleted": true}}));
        assert_eq!(replies[4]["QueryConceptOk"]["found"], false, "{}", replies[4]);
        assert_eq!(replies[5], json!({"GetNeighborsOk": {"neighbor_ids": []}}));
        assert_eq!(replies[6], json!({"DeleteConceptOk": {"deleted": false}}));
        assert_eq!(replies[8]["QueryConceptOk"]["content"], "second");
    }
    let tagged = client.json(&json!({"type": "DeleteConcept", "id": "c1"}));
    assert_eq!(tagged, json!({"DeleteConceptOk": {"deleted": true}}));
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

/// A row of what the old server's own decoder was seen to take or refuse: the request, and whether
/// this server takes it.
fn rows() -> Vec<(&'static str, Vec<u8>, bool)> {
    let named = |embedding: Value| {
        msgpack(&json!({"LearnConcept": {
            "concept_id": "a", "content": "b", "embedding": embedding, "strength": 1.0,
            "confidence": 1.0
        }}))
    };
    let mut raw =
        b"\x81\xacLearnConcept\x85\xaaconcept_id\xa1a\xa7content\xa1b\xa9embedding\xc4\x04"
            .to_vec();
    raw.extend(0.1f32.to_le_bytes());
    raw.extend(b"\xa8strength\x01\xaaconfidence\x01");
    let grid = golden()
        .into_iter()
        .find(|golden| golden.title.contains("(no embedding)"))
        .unwrap()
        .bincode;
    vec![
        ("the name alone", msgpack(&json!("GetStats")), true),
        ("an empty map", msgpack(&json!({"GetStats": {}})), true),
        ("nil", msgpack(&json!({"GetStats": null})), true),
        ("an empty array", msgpack(&json!({"GetStats": []})), true),
        ("the name in an array", msgpack(&json!(["GetStats"])), false),
        ("name and map in an array", msgpack(&json!(["GetStats", {}])), false),
        ("a number", vec![6], true),
        ("a number as key", b"\x81\x06\xc0".to_vec(), true),
        ("tagged", msgpack(&json!({"type": "GetStats"})), true),
        ("fields by name", msgpack(&json!({"QueryConcept": {"concept_id": "a"}})), true),
        ("fields in order", msgpack(&json!({"QueryConcept": ["a"]})), true),
        ("a field more", msgpack(&json!({"QueryConcept": {"concept_id": "a", "extra": 1}})), true),
        (
            "namespace nil",
            msgpack(&json!({"QueryConcept": {"namespace": null, "concept_id": "a"}})),
            true,
        ),
        ("a field missing", msgpack(&json!({"QueryConcept": {}})), false),
        ("a value too many", msgpack(&json!({"QueryConcept": ["a", 1]})), false),
        ("bin for text", b"\x81\xacQueryConcept\x81\xaaconcept_id\xc4\x01a".to_vec(), true),
        (
            "a byte behind",
            [msgpack(&json!({"QueryConcept": {"concept_id": "a"}})), vec![0]].concat(),
            true,
        ),
        ("floats of eight bytes", named(json!([0.1])), true),
        ("whole numbers", named(json!([1])), true),
        ("nil for an embedding", named(json!(null)), true),
        ("raw floats", raw, true),
        (
            "no embedding",
            msgpack(&json!({"LearnConcept": {"concept_id": "a", "content": "b"}})),
            true,
        ),
        ("an unknown operation", msgpack(&json!({"Unknown": {}})), false),
        ("nothing", Vec::new(), false),
        ("bincode", grid, true),
        ("bincode without fields", vec![8, 0, 0, 0], true),
    ]
}

#[test]
fn every_row_that_the_old_decoder_took_is_taken_and_what_it_refused_is_taken_or_told() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    for (row, message, is_taken) in rows() {
        let reply = client.ask(&message);
        let is_error = match message.get(1..4) {
            Some([0, 0, 0]) => variant(&reply).0 == 9,
            _ => json_of(&reply).get("Error").is_some(),
        };
        assert_eq!(is_error, !is_taken, "{row}: {reply:02x?}");
        client.is_healthy();
    }
}

/// Names of the old rule's published table, and two more for zeros, with their ids by that rule,
/// and by ours where it differs.
const IDS: [(&str, &str, Option<&str>); 24] = [
    ("test", TEST_ID, None),
    ("", "00000000000000000000000000000000", Some("d41d8cd98f00b204e9800998ecf8427e")),
    ("1", "01000000000000000000000000000000", Some("c4ca4238a0b923820dcc509a6f75849b")),
    ("01", "01000000000000000000000000000000", Some("96a3be3cf272e017046d1b2674a52bd3")),
    ("100", "01000000000000000000000000000000", Some("f899139df5e1059396431415e770c6dd")),
    ("10000", "01000000000000000000000000000000", Some("b7a782741f667201b54880c925faec4b")),
    ("0100", "01000000000000000000000000000000", Some("db2f40f24260bc41db48d82d5e7abf1d")),
    ("abc", "0abc0000000000000000000000000000", Some("900150983cd24fb0d6963f7d28e17f72")),
    ("ABC", "0abc0000000000000000000000000000", Some("902fbdd2b1df0c4f70b4a5d23525e932")),
    ("0abc", "0abc0000000000000000000000000000", Some("e9113758e0ff881ab2770f05afde5552")),
    ("deadbeef", "deadbeef000000000000000000000000", Some("4f41243847da693a4f356c0486114bc6")),
    ("cafe", "cafe0000000000000000000000000000", Some("d2626f412da748e711ca4f4ae9428664")),
    ("concept-1", "a5517013550b143889f8577035f9364b", None),
    ("550e8400-e29b-41d4-a716-446655440000", "e8456cee7fd2348cfa239342b10a23bd", None),
    ("550e8400e29b41d4a716446655440000", "550e8400e29b41d4a716446655440000", None),
    (
        "550e8400e29b41d4a716446655440000ff",
        "550e8400e29b41d4a716446655440000",
        Some("c10b8760bc94beea03be55417915b7dd"),
    ),
    ("098f6bcd4621d373cade4e832627b4f6", "098f6bcd4621d373cade4e832627b4f6", None),
    ("naïve", "63899c6b555841978b89319d701f9b5a", None),
    ("héé", "c2508ce308ae1c9d9d5d1ec023a342d8", None),
    ("event-agent_registered-1", "e218cf4cf2c6c383edac70c3dd165971", None),
    ("ts-1700000000", "b77166bc8a19312d163d4a5b732b6727", None),
    ("1700000000", "17000000000000000000000000000000", Some("24920decf83f6960b80f737a28eeafc1")),
    ("0", "00000000000000000000000000000000", Some("cfcd208495d565ef66e7dff9f98764da")),
    ("00000000000000000000000000000000", "00000000000000000000000000000000", None),
];

#[test]
fn names_become_the_ids_that_old_replies_handed_out() {
    for (rule, arguments) in [(0, &["--id-rule", "legacy"][..]), (1, &[])] {
        let server = Server::start(arguments);
        let mut client = Legacy::open(server.compat());
        for (name, old, new) in IDS {
            let learned = client.json(&json!({"LearnConcept": [name, name, [], 1.0, 1.0]}));
            assert!(learned["LearnConceptOk"][0].is_u64(), "{name}: {learned}");
            let expected = if rule == 0 { old } else { new.unwrap_or(old) };
            let reply = client.json(&json!({"QueryConcept": [name]}));
            assert_eq!(reply["QueryConceptOk"]["concept_id"], expected, "{name}");
            // An id that a reply handed out resolves.
            let reply = client.json(&json!({"QueryConcept": [expected]}));
            assert_eq!(reply["QueryConceptOk"]["content"], name);
        }
    }
}

#[test]
fn the_concept_of_zeros_is_one_like_any_other_and_native_clients_reach_it_by_digits_of_its_own() {
    for arguments in [&["--id-rule", "legacy"][..], &[]] {
        let server = Server::start(arguments);
        let mut client = Legacy::open(server.compat());
        let zeros = "0".repeat(32);
        client.json(&json!({"LearnConcept": [zeros, "of zeros", [], 1.0, 1.0]}));
        client.json(&json!({"LearnAssociation": [zeros, "test", 1, 1.0]}));
        client.json(&json!({"LearnAssociation": ["test", zeros, 2, 1.0]}));
        let neighbors = |id: &str| json!({"GetNeighbors": [id]});
        assert_eq!(
            client.json(&neighbors("test")),
            json!({"GetNeighborsOk": {"neighbor_ids": [zeros]}})
        );
        assert_eq!(
            client.json(&neighbors(&zeros)),
            json!({"GetNeighborsOk": {"neighbor_ids": [TEST_ID]}})
        );
        let ids = client.json(&json!("GetAllConceptIds"));
        assert_eq!(ids, json!({"GetAllConceptIdsOk": {"concept_ids": [zeros]}}));
        let association = client.json(&json!({"GetAssociation": [zeros, "test"]}));
        assert_eq!(association["GetAssociationOk"]["source_id"], zeros, "{association}");
        let native = server.run(&["query", "cd9e459ea708a948d5c2f5a6ca8838cf", "--json"]);
        let record: Value = serde_json::from_slice(&native.stdout).unwrap();
        assert_eq!(record["content"], "of zeros", "{record}");
        let deleted = client.json(&json!({"DeleteConcept": {"id": zeros}}));
        assert_eq!(deleted, json!({"DeleteConceptOk": {"deleted": true}}));
    }
}
