//! What the operations do, as clients of the old protocol see it.

use serde_json::{Value, json};

use super::id;
use super::legacy::{json_of, msgpack};
use crate::support::Server;
use crate::support::legacy::Legacy;

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
