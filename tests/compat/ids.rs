//! Names and ids, by the rule of the old server and by that of today.

use serde_json::{Value, json};

use super::TEST_ID;
use crate::support::legacy::Legacy;
use crate::support::{Server, sutra};

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
