//! Old servers' folders: imported, exported, and refused where they are damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, ConceptId};

use crate::support::legacy::Legacy;
use crate::support::old_folder::OldSnapshot;
use crate::support::whole::whole;
use crate::support::{Folder, Server, sutra};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/old-server")
}

/// What was written to the old server that left the samples, and what it had after a restart.
fn contents() -> Value {
    serde_json::from_slice(&fs::read(samples().join("contents.json")).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn import(server: &Server, folder: &Path) -> Value {
    answer(&server.run(&["import", folder.to_str().unwrap(), "--json"]))
}

fn export(server: &Server, folder: &Path) -> Value {
    let folder = folder.to_str().unwrap();
    answer(&server.run(&["export", "--format", "legacy", "--output", folder, "--json"]))
}

fn old_rule() -> Server {
    Server::start(&["--id-rule", "legacy"])
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    folder
}

fn id(digits: &Value) -> ConceptId {
    ConceptId::from_digits(digits.as_str().unwrap()).unwrap()
}

/// The ids of an old client's answer about a name's neighbours.
fn neighbors_of(server: &Server, name: &str) -> Vec<String> {
    let request = json!({"GetNeighbors": {"concept_id": name}});
    let reply = Legacy::open(server.compat()).ask(&rmp_serde::to_vec_named(&request).unwrap());
    let reply: Value = rmp_serde::from_slice(&reply).unwrap();
    let ids = reply["GetNeighborsOk"]["neighbor_ids"].as_array().unwrap();
    let mut ids: Vec<String> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Everything is there as the old server had it after its restart.
fn has_the_contents(server: &Server) {
    let (contents, client) = (contents(), server.client());
    let after = &contents["after-kill9"];
    for written in contents["concepts"].as_array().unwrap() {
        let name = written["caller_id"].as_str().unwrap();
        let restarted = &after["concepts_after_restart"][name];
        let record = client.query(id(&written["hex_id"])).unwrap().unwrap();
        assert_eq!(*record.content, *restarted["content"].as_str().unwrap(), "{name}");
        let numbers = [record.strength.to_native(), record.confidence.to_native()];
        let known = ["strength", "confidence"].map(|key| restarted[key].as_f64().unwrap() as f32);
        assert_eq!(numbers, known, "{name}");
        // The old server never read the one of another length.
        let embedding = written["embedding"].as_array().unwrap().iter();
        let embedding: Vec<f32> = embedding.map(|number| number.as_f64().unwrap() as f32).collect();
        let expected = if name == "baddim" { vec![] } else { embedding };
        let found: Vec<f32> = record.embedding.iter().map(|number| number.to_native()).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(json!(neighbors_of(server, name)), after["neighbors_after_restart"][name]);
    }
    let stats = client.stats().unwrap();
    assert_eq!((stats.concepts.to_native(), stats.associations.to_native()), (8, 3));
    assert_eq!(stats.vectors.to_native(), 2);
}

#[test]
fn both_samples_go_in_as_they_were_and_out_and_in_again_the_same() {
    let folder = folder();
    for sample in ["after-flush", "after-kill9"] {
        let from = samples().join(sample);
        let server = old_rule();
        let imported = import(&server, &from);
        assert_eq!((&imported["concepts_written"], &imported["bad"]), (&json!(8), &json!(0)));
        has_the_contents(&server);
        let report = &imported["old_stores"][0];
        assert_eq!(report["vectors_of_other_lengths"], 1);
        let lost = if sample == "after-flush" { 0 } else { 1 };
        assert_eq!(
            (&report["lost_concepts"], &report["lost_associations"]),
            (&json!(lost), &json!(lost))
        );

        let to = folder.path().join(sample);
        let exported = export(&server, &to);
        assert_eq!((&exported["concepts"], &exported["associations"]), (&json!(8), &json!(3)));
        assert_eq!(fs::read(to.join("wal.log")).unwrap(), b"");
        let (before, after) = (
            OldSnapshot::read(&from.join("storage.dat")),
            OldSnapshot::read(&to.join("storage.dat")),
        );
        assert_eq!((&after.concepts, &after.edges), (&before.concepts, &before.edges));
        let mut vectors = before.vectors.clone();
        vectors.retain(|_, numbers| numbers.len() == 4);
        assert_eq!(after.vectors, vectors);
        assert!(after.flushed > 1_600_000_000_000_000);

        let again = old_rule();
        assert_eq!(import(&again, &to)["concepts_written"], 8);
        has_the_contents(&again);
        let (one, other) = (whole(&server.client()), whole(&again.client()));
        let bare = |records: &BTreeMap<_, sutra_wire::ConceptRecord>| {
            let of = |record: &sutra_wire::ConceptRecord| sutra_wire::ConceptRecord {
                created: record.created & 0xffff_ffff,
                updated: record.updated & 0xffff_ffff,
                ..record.clone()
            };
            records.values().map(of).collect::<Vec<_>>()
        };
        assert_eq!(bare(&one.concepts), bare(&other.concepts));
        let keys = |whole: &crate::support::whole::Whole| {
            let records = whole.associations.iter();
            records.map(|(key, record)| (key.clone(), record.confidence)).collect::<Vec<_>>()
        };
        assert_eq!(keys(&one), keys(&other));
        // Nothing is new in a folder that was imported.
        assert_eq!(import(&again, &to)["unchanged"], 11);
    }
}

#[test]
fn ids_of_padded_digits_need_a_store_with_the_old_rule_and_a_new_one_gets_it() {
    let usual = Server::start(&[]);
    let from = samples().join("after-kill9");
    let refused = usual.run(&["import", from.to_str().unwrap()]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("deadbeef000000000000000000000000") && said.contains("--id-rule legacy"),
        "{said}"
    );
    assert_eq!(usual.client().stats().unwrap().concepts.to_native(), 0);

    let filled = Server::start(&["--import", from.to_str().unwrap()]);
    let client = filled.client();
    let until = std::time::Instant::now() + crate::support::PATIENCE;
    while client.stats().unwrap().associations.to_native() < 3 {
        assert!(std::time::Instant::now() < until, "it is imported");
        std::thread::yield_now();
    }
    assert_eq!(*client.store_info().unwrap().id_rule, *"legacy");
    has_the_contents(&filled);
    // And keeps it, whatever it is started with then.
    let again = filled.kill().start();
    assert_eq!(*again.client().store_info().unwrap().id_rule, *"legacy");
}

#[test]
fn what_the_old_server_lost_and_what_is_left_out_is_told_in_words() {
    let server = old_rule();
    let output = server.run(&["import", samples().join("after-kill9").to_str().unwrap()]);
    let said = text(&output.stdout);
    for words in [
        "imported 8 concepts and 3 associations",
        "had acknowledged and lost 1 concept and 1 association",
        "658cacac20411b0899089ed6521e17c8",
        "1 embedding left out: not of 4 numbers as most have",
        "no types and directions",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn damage_is_refused_with_file_and_place_and_a_whole_backup_is_offered() {
    let folder = folder();
    let data = fs::read(samples().join("after-flush/storage.dat")).unwrap();
    let (snapshot, backup) =
        (folder.path().join("storage.dat"), folder.path().join("storage.dat.backup"));
    let server = old_rule();
    let import = |path: &Path| {
        let output = server.run(&["import", path.to_str().unwrap()]);
        (output.status.code(), text(&output.stderr))
    };
    let damaged = |at: usize, byte: u8| {
        let mut bytes = data.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, says) in [
        (data[..400].to_vec(), "it ends at byte 400, inside of concept 7 of 8"),
        ([&data[..], b"x"].concat(), "at byte 776: 1 more bytes follow"),
        (damaged(8, 1), "at byte 8: its version is 1"),
        (damaged(0x66, 0xff), "at byte 102: the content of concept 1 is not UTF-8"),
        (damaged(0, b'Z'), "at byte 0"),
        (Vec::new(), "at byte 0"),
    ] {
        fs::write(&snapshot, &bytes).unwrap();
        for path in [&folder.path(), &snapshot] {
            let (code, said) = import(path);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(says) && said.contains("storage.dat: "), "{said}");
            assert!(!said.contains("backup"), "{said}");
        }
    }
    fs::write(&snapshot, &data[..400]).unwrap();
    fs::write(&backup, &data).unwrap();
    for path in [&folder.path(), &snapshot] {
        let (code, said) = import(path);
        let offer = format!("sutra import {}", backup.display());
        assert!(code == Some(2) && said.contains(&offer) && said.contains("8 concepts"), "{said}");
    }
    // A backup that is damaged as well is no offer.
    fs::write(&backup, &data[..500]).unwrap();
    assert!(!import(&folder.path()).1.contains("backup"));
    // Where the flush has left nothing at all, the backup is offered, too.
    fs::write(&backup, &data).unwrap();
    fs::remove_file(&snapshot).unwrap();
    let (code, said) = import(&folder.path());
    assert!(code == Some(2) && said.contains("there is no storage.dat"), "{said}");
    assert_eq!(server.client().stats().unwrap().concepts.to_native(), 0, "nothing was written");
    let (code, said) = import(&backup);
    assert_eq!(code, Some(0), "{said}");
    has_the_contents(&server);
    // A server that could not read its file begins anew: then the backup has more.
    fs::write(&snapshot, [&data[..12], &[0; 12], &data[24..64]].concat()).unwrap();
    let output = server.run(&["import", folder.path().to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(said.contains("storage.dat.backup, has more: 8 concepts"), "{said}");
}

/// Records that an old server's folder can hold in part.
fn fill(client: &Client) {
    for concept in [
        Concept::new("dog").content("barks").embedding(vec![0.5, 0.25]).strength(2.5),
        Concept::new("cat").confidence(0.1).times(u64::from(u32::MAX) + 6, 0),
        Concept::new("cafe").content("hexadecimal digits"),
        Concept::with_id(ConceptId([7; 16])).content("without a name"),
    ] {
        client.learn(concept).unwrap();
    }
    for association in [
        Association::between("dog", "cat").kind(AssociationKind::CAUSAL).confidence(0.5),
        Association::between("dog", "cat").kind(AssociationKind(77)).confidence(0.75),
        Association::between("cat", "dog").confidence(0.25),
        Association::between("dog", "unlearned"),
        Association::between("also unlearned", "cafe").confidence(0.5),
        Association::between("unlearned", "also unlearned"),
        Association::between("cat", "cat"),
    ] {
        client.associate(association).unwrap();
    }
    client.namespace("other").learn(Concept::new("elsewhere")).unwrap();
}

#[test]
fn what_an_old_servers_folder_can_not_hold_is_listed_and_the_rest_is_in_it() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    let zeros = [0; 16];
    fill(&client);
    // The concept that old clients know as 32 zeros.
    let learn = json!({"LearnConcept": {"concept_id": "0".repeat(32), "content": "zeros"}});
    Legacy::open(server.compat()).ask(&rmp_serde::to_vec_named(&learn).unwrap());

    let folder = folder();
    let to = folder.path().join("old");
    let exported = export(&server, &to);
    let not_held: BTreeMap<&str, u64> = exported["not_held"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["what"].as_str().unwrap(), part["count"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("between_unlearned", 1),
        ("directions", 7),
        ("names", 3),
        ("namespaces", 1),
        ("other_ids", 1),
        ("several", 1),
        ("times", 5),
        ("types", 2),
    ];
    assert_eq!(not_held, BTreeMap::from(expected));
    let snapshot = OldSnapshot::read(&to.join("storage.dat"));
    let [dog, cat, cafe, unlearned, also] = ["dog", "cat", "cafe", "unlearned", "also unlearned"]
        .map(|name| ConceptId::from_name(name).unwrap().0);
    let known: Vec<[u8; 16]> = snapshot.concepts.keys().copied().collect();
    let mut all = vec![dog, cat, cafe, [7; 16], zeros];
    all.sort_unstable();
    assert_eq!(known, all);
    assert_eq!(snapshot.concepts[&cat], (String::new(), 1.0, 0.1, 0, 5));
    assert_eq!(snapshot.concepts[&zeros].0, "zeros");
    let edges = [
        ((dog, cat), 0.75),
        ((cat, dog), 0.25),
        ((dog, unlearned), 1.0),
        ((cafe, also), 0.5),
        ((cat, cat), 1.0),
    ];
    assert_eq!(snapshot.edges, BTreeMap::from(edges));
    assert_eq!(snapshot.vectors, BTreeMap::from([(dog, vec![0.5, 0.25])]));
    // In words, and with what to start the old server with.
    let again = folder.path().join("again");
    let words = server.run(&["export", "--format", "legacy", "--output", again.to_str().unwrap()]);
    let said = text(&words.stdout);
    assert!(said.contains("can't hold:\n  the names of 3 concepts\n"), "{said}");
    assert!(said.contains("VECTOR_DIMENSION=2"), "{said}");
    // The zeros come back under the id by which they are kept.
    let back = Server::start(&[]);
    import(&back, &to);
    let asked = json!({"QueryConcept": {"concept_id": "0".repeat(32)}});
    let reply = Legacy::open(back.compat()).ask(&rmp_serde::to_vec_named(&asked).unwrap());
    let reply: Value = rmp_serde::from_slice(&reply).unwrap();
    assert_eq!(reply["QueryConceptOk"]["content"], "zeros");
}

#[test]
fn a_folder_is_made_whole_or_not_at_all_and_replaces_nothing() {
    let server = Server::start(&[]);
    server.client().learn(Concept::new("dog")).unwrap();
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(path("full")).unwrap();
    fs::write(path("full/keep"), "as it was").unwrap();
    fs::write(path("file"), "as it was").unwrap();
    for format in ["npy", "legacy"] {
        let export = |to: &str, more: &[&str]| {
            let arguments = ["export", "--format", format, "--output", to];
            let output = server.run(&[&arguments, more].concat());
            (output.status.code(), text(&output.stderr))
        };
        for (to, says) in [
            (path("full").to_str().unwrap(), "has files in it"),
            (path("file").to_str().unwrap(), "is a file"),
            (path("nowhere/new").to_str().unwrap(), "cannot make a folder"),
            ("-", "names the folder"),
        ] {
            let (code, said) = export(to, &[]);
            assert!(code == Some(2) && said.contains(says), "{to}: {said}");
        }
        let new = path(&format!("new-{format}"));
        let (code, said) = export(new.to_str().unwrap(), &["--server", "127.0.0.1:1"]);
        assert!(code == Some(3) && !new.exists(), "{said}");
        let (code, said) = export(new.to_str().unwrap(), &[]);
        assert!(code == Some(0) && new.is_dir(), "{said}");
        // An empty one gives way.
        let (code, said) = export(path("empty").to_str().unwrap(), &[]);
        assert_eq!(code, Some(0), "{said}");
        fs::remove_dir_all(path("empty")).unwrap();
        fs::create_dir(path("empty")).unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["empty", "file", "full", "new-legacy", "new-npy"]);
    assert_eq!(fs::read_to_string(path("full/keep")).unwrap(), "as it was");
    let all = sutra()
        .args(["export", "--all-namespaces", "--format", "legacy", "--output", "x"])
        .env("SUTRA_SERVER", server.address.to_string())
        .output()
        .unwrap();
    assert!(all.status.code() == Some(2) && text(&all.stderr).contains("no namespaces"));
}
