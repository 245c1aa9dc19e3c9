//! What is a request, in each encoding, and what each is answered in.

use serde_json::{Value, json};

use super::legacy::{self, golden, json_of, msgpack};
use super::{TEST_ID, id, variant};
use crate::support::Server;
use crate::support::legacy::Legacy;

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
