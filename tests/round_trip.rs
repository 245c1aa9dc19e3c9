//! What is exported and imported elsewhere is the same there, to the last bit and µs.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, ConceptId};

use crate::support::whole::{Whole, whole};
use crate::support::{Folder, Server, sutra, wordnet};

fn run(server: &Server, arguments: &[&str]) -> Value {
    let output = server.run(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exports everything, to a file or a folder.
fn export(server: &Server, format: &str, to: &Path) -> Value {
    let to = to.to_str().unwrap();
    run(server, &["export", "--all-namespaces", "--format", format, "--output", to])
}

/// A folder to export into.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    folder
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Exports everything both ways, imports each into a server of its own, and exports it there again.
fn goes_round(server: &Server, cores: &str) -> Whole {
    let folder = folder();
    let (file, arrays) = (folder.path().join("all.jsonl"), folder.path().join("all"));
    export(server, "jsonl", &file);
    export(server, "npy", &arrays);
    let before = whole(&server.client());
    for source in [&file, &arrays] {
        let other = Server::start(&["--cores", cores]);
        // What names no namespace would go there: all lines name theirs.
        let source = source.to_str().unwrap();
        let imported = run(&other, &["import", source, "--namespace", "elsewhere"]);
        let written = ["concepts_written", "associations_written"].map(|key| &imported[key]);
        let counts = [before.concepts.len(), before.associations.len()];
        assert_eq!(written, counts, "{imported}");
        assert_eq!(whole(&other.client()), before);
        let again = folder.path().join("again.jsonl");
        export(&other, "jsonl", &again);
        assert_eq!(lines(&again), lines(&file));
        // And nothing is new to it.
        let repeated = run(&other, &["import", source]);
        assert_eq!(repeated["unchanged"], counts[0] + counts[1], "{repeated}");
    }
    before
}

#[test]
fn wordnet_goes_round_with_its_times_and_its_embeddings() {
    let server = Server::start(&["--cores", "2"]);
    run(&server, &["import", wordnet().to_str().unwrap()]);
    let whole = goes_round(&server, "3");
    assert_eq!((whole.concepts.len(), whole.associations.len()), (3_900, 4_604));
}

#[test]
fn stores_that_were_crashed_and_let_down_by_their_disks_go_round() {
    // Of several namespaces, whose concepts go by their names and by their ids.
    let mut all = [0, 0];
    for seed in 1..=3 {
        let folder = Folder::new();
        let (cores, seed) = ("2", seed.to_string());
        let kept = folder.path();
        let keep = ["--cores", cores, "--seed", &seed, "--keep", kept.to_str().unwrap()];
        let simulated = sutra().arg("simulate").args(keep).output().unwrap();
        assert!(simulated.status.success(), "{}", String::from_utf8_lossy(&simulated.stdout));
        let server = Server::start_on(folder, &["--cores", cores]);
        let whole = goes_round(&server, "3");
        all = [all[0] + whole.concepts.len(), all[1] + whole.associations.len()];
    }
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
}

/// Names of all kinds: of letters, of digits that are an id or nearly one, hostile ones.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-e]",
        1 => "[0-9a-f]{31,33}",
        1 => "[0-9A-F]{32}",
        1 => "\\PC{1,12}",
        1 => Just("\u{0}\n\"\\\u{202e}\u{1f600}".to_owned()),
        1 => "x{4096}",
    ]
}

fn end() -> impl Strategy<Value = ConceptId> {
    let of_name = name().prop_map(|name| ConceptId::from_name(&name).unwrap());
    prop_oneof![4 => of_name, 1 => any::<[u8; 16]>().prop_map(ConceptId)]
        .prop_filter("no concept has the id of zeros", |id| !id.is_zero())
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("..".into()), Just("a/b\n".into()), Just("犬".repeat(85))]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        any::<u64>(),
        1_600_000_000_000_000..1_800_000_000_000_000u64
    ]
}

fn unit() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0), Just(1.0), Just(f32::MIN_POSITIVE), 0.0..=1.0f32]
}

fn number() -> impl Strategy<Value = f32> {
    prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO
}

/// A concept: chosen by a name or an id, called something or nothing, in some namespace.
fn concept() -> impl Strategy<Value = Concept> {
    let chosen = prop_oneof![
        2 => name().prop_map(Concept::new),
        1 => (end(), prop::option::of(name()))
            .prop_map(|(id, name)| Concept::with_id(id).name(name.unwrap_or_default())),
    ];
    let content = prop_oneof![Just(String::new()), "\\PC{0,40}", Just("\r\n\u{0}\u{feff}".into())];
    // All embeddings of a namespace are as long: its own length makes that so.
    let embedding = prop::option::of(prop::array::uniform5(number()));
    let numbers = (number().prop_map(f32::abs), unit());
    let parts = (chosen, namespace(), content, embedding, numbers, (time(), time()));
    parts.prop_map(|(concept, namespace, content, embedding, numbers, (created, updated))| {
        let length = 1 + namespace.len() % 5;
        let embedding = embedding.map_or_else(Vec::new, |numbers| numbers[..length].to_vec());
        concept
            .namespace(namespace)
            .content(content)
            .embedding(embedding)
            .strength(numbers.0)
            .confidence(numbers.1)
            .times(created, updated)
    })
}

fn association() -> impl Strategy<Value = Association> {
    let kind = prop_oneof![0..6u32, any::<u32>()];
    (end(), end(), namespace(), kind, unit(), (time(), time())).prop_map(
        |(source, target, namespace, kind, confidence, (created, updated))| {
            Association::between(source, target)
                .namespace(namespace)
                .kind(AssociationKind(kind))
                .confidence(confidence)
                .times(created, updated)
        },
    )
}

fn fill(client: &Client, concepts: Vec<Concept>, associations: Vec<Association>) {
    client.learn_many(concepts).finish().unwrap();
    client.associate_many(associations).finish().unwrap();
}

#[test]
fn stores_of_odd_things_go_round() {
    // Each case starts three servers.
    let config = Config { cases: 6, failure_persistence: None, ..Config::default() };
    let odd =
        (prop::collection::vec(concept(), 0..60), prop::collection::vec(association(), 0..60));
    TestRunner::new(config)
        .run(&odd, |(concepts, associations)| {
            let server = Server::start(&["--cores", "2"]);
            fill(&server.client(), concepts, associations);
            goes_round(&server, "1");
            Ok(())
        })
        .unwrap();
}

#[test]
fn times_that_a_line_gives_are_kept_and_nothing_else_gives_any() {
    let server = Server::start(&[]);
    let folder = folder();
    let file = folder.path().join("x.jsonl");
    let line = |content: &str, updated: u64| {
        format!(
            "{{\"id\":\"dog\",\"content\":\"{content}\",\"created\":5,\"updated\":{updated}}}\n\
             {{\"source\":\"dog\",\"target\":\"cat\",\"created\":6,\"updated\":{updated}}}\n"
        )
    };
    let path = file.to_str().unwrap();
    let times = || {
        let client = server.client();
        let dog = client.query("dog").unwrap().unwrap();
        let edge = client.association("dog", "cat", None).unwrap().unwrap();
        let concept = (dog.created.to_native(), dog.updated.to_native());
        (concept, (edge.created.to_native(), edge.updated.to_native()))
    };
    std::fs::write(&file, line("barks", 7)).unwrap();
    run(&server, &["import", path]);
    assert_eq!(times(), ((5, 7), (6, 7)));
    // Another time is another record; the same is not written again.
    std::fs::write(&file, line("barks", 8)).unwrap();
    let imported = run(&server, &["import", path]);
    assert_eq!(
        (&imported["concepts_written"], &imported["associations_written"]),
        (&1.into(), &1.into())
    );
    assert_eq!(times(), ((5, 8), (6, 8)));
    // A line that gives none changes nothing where the rest is the same.
    std::fs::write(&file, "{\"id\":\"dog\",\"content\":\"barks\"}\n").unwrap();
    assert_eq!(run(&server, &["import", path])["unchanged"], 1);
    // Whoever learns it anew leaves the time to the server, which keeps when it was first learned.
    run(&server, &["learn", "dog", "barks loudly"]);
    run(&server, &["associate", "dog", "cat"]);
    let ((created, updated), (edge_created, edge_updated)) = times();
    assert_eq!((created, edge_created), (5, 6));
    assert!(updated > 1_600_000_000_000_000 && edge_updated > 1_600_000_000_000_000);
}
