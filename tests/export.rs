//! `sutra export`, read by those that it is for: `sutra import`, networkx, and a parser of Graphviz's language.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Folder, Server, wordnet};
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, ConceptId, Direction, Neighborhood};

/// Texts that mean something to XML, to Graphviz, to a terminal, or to none of them.
const HOSTILE: &str = "<&>\"' ]]> \\N \\ \r\n\t\u{1b}[2J\u{0}\u{fffe} {record|<port>} naïve → 犬 \\";

fn run(server: &Server, arguments: &[&str]) -> Output {
    let output = server.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a namespace has, without the times of writing: its concepts, and their associations from source to target.
fn contents(client: &Client) -> (BTreeMap<ConceptId, Value>, BTreeSet<String>) {
    let (mut concepts, mut associations) = (BTreeMap::new(), BTreeSet::new());
    for page in client.concept_pages() {
        for id in page.unwrap().ids.iter().map(|id| ConceptId(*id)) {
            let record = client.query(id).unwrap().unwrap();
            let embedding: Vec<u32> = record.embedding.iter().map(|number| number.to_native().to_bits()).collect();
            let numbers = [record.strength, record.confidence].map(|number| number.to_native().to_bits());
            concepts.insert(id, json!([*record.name, *record.content, embedding, numbers]));
            for page in client.neighbor_pages(Neighborhood::of(id)) {
                for edge in page.unwrap().neighbors.iter() {
                    let (here, there) = (id, ConceptId(edge.id));
                    let (from, to) = if edge.direction == Direction::Out as u8 { (here, there) } else { (there, here) };
                    associations.insert(format!("{from} {to} {} {}", edge.kind, edge.confidence));
                }
            }
        }
    }
    (concepts, associations)
}

#[test]
fn a_namespace_that_is_exported_and_imported_elsewhere_is_the_same_to_the_last_bit() {
    let server = Server::start(&["--cores", "2"]);
    run(&server, &["import", wordnet().to_str().unwrap()]);
    let client = server.client();
    let odd = [0.1_f32, -0.0, f32::MIN_POSITIVE, f32::MAX, 1.0 / 3.0, 1e-45];
    for concept in [
        Concept::new(HOSTILE).content(HOSTILE).strength(0.1).confidence(1.0 / 3.0),
        Concept::new("numbers").embedding([odd.as_slice(), &[0.5; 378]].concat()),
        Concept::with_id(ConceptId([7; 16])).content("without a name"),
    ] {
        client.learn(concept).unwrap();
    }
    for association in [
        Association::between(HOSTILE, "numbers").kind(AssociationKind(77)).confidence(0.7),
        Association::between(HOSTILE, "numbers").kind(AssociationKind::CAUSAL),
        Association::between("never learned", HOSTILE),
        Association::between(ConceptId([7; 16]), "never learned either"),
        Association::between("numbers", "numbers"),
    ] {
        client.associate(association).unwrap();
    }
    client.namespace("other").learn(Concept::new("not exported")).unwrap();
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("all.jsonl");
    let file = file.to_str().unwrap();
    let said: Value =
        serde_json::from_slice(&run(&server, &["export", "--format", "jsonl", "--output", file, "--json"]).stdout)
            .unwrap();
    assert_eq!(said, json!({"concepts": 3903, "associations": 4609, "cut": false}));
    let to_stdout = run(&server, &["export", "--format", "jsonl"]).stdout;
    assert_eq!(to_stdout.len() as u64, std::fs::metadata(file).unwrap().len());

    let other = Server::start(&["--cores", "3"]);
    let imported = text(&run(&other, &["import", file, "--json"]).stdout);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    assert_eq!((&imported["concepts_written"], &imported["associations_written"]), (&json!(3903), &json!(4609)));
    let (concepts, associations) = contents(&client);
    assert_eq!((concepts.len(), associations.len()), (3903, 4609));
    let there = contents(&other.client());
    assert!(there.0 == concepts && there.1 == associations, "what was imported is what was exported");

    // A namespace goes with its lines, and an import of them into the store that they are from finds nothing new.
    run(&server, &["export", "--namespace", "other", "--format", "jsonl", "--output", file]);
    let again: Value = serde_json::from_slice(&run(&server, &["import", file, "--json"]).stdout).unwrap();
    assert_eq!((&again["unchanged"], &again["concepts_written"]), (&json!(1), &json!(0)));
}

#[test]
fn a_name_that_is_not_its_concepts_own_under_the_old_id_rule_is_exported_by_id() {
    let server = Server::start(&["--id-rule", "legacy"]);
    let record = sutra_wire::ConceptRecord {
        id: ConceptId::from_name_by(sutra_wire::IdRule::Legacy, "1").unwrap().0,
        name: "1".into(),
        strength: 1.0,
        confidence: 1.0,
        ..sutra_wire::ConceptRecord::default()
    };
    let mut raw = sutra_testing::raw::Raw::open(server.address);
    let header =
        sutra_wire::Header { opcode: sutra_wire::Opcode::Learn as u8, request: 1, ..sutra_wire::Header::default() };
    raw.ask(header, &rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap());
    let line: Value = serde_json::from_slice(&run(&server, &["export", "--format", "jsonl"]).stdout).unwrap();
    assert_eq!(line["id"], ConceptId(record.id).to_string());
}

/// A graph around "middle": hostile texts, a dangling end, associations of several kinds, and what lies farther away.
fn around_the_middle(client: &Client) {
    client.learn(Concept::new("middle").content("the middle")).unwrap();
    client.learn(Concept::new(HOSTILE).content(HOSTILE)).unwrap();
    client.learn(Concept::with_id(ConceptId([9; 16])).content("first line\nsecond")).unwrap();
    client.learn(Concept::new("far").content("away")).unwrap();
    for association in [
        Association::between("middle", HOSTILE).kind(AssociationKind::HIERARCHICAL).confidence(0.75),
        Association::between(HOSTILE, "middle").kind(AssociationKind(77)),
        Association::between(ConceptId([9; 16]), "middle"),
        Association::between("middle", "dangling").kind(AssociationKind::CAUSAL),
        Association::between("dangling", HOSTILE),
        Association::between(HOSTILE, "far"),
    ] {
        client.associate(association).unwrap();
    }
}

/// Reads an export as its users' programs do; prints nodes and edges as JSON.
const READER: &str = r#"
import json, sys
import networkx, pydot
path, form = sys.argv[1:]
if form == "graphml":
    graph = networkx.read_graphml(path, force_multigraph=True)
else:
    parsed = pydot.graph_from_dot_file(path, encoding="utf-8")
    assert parsed is not None and len(parsed) == 1
    graph = networkx.nx_pydot.from_pydot(parsed[0])
assert graph.is_directed()
nodes = {node.strip('"'): dict(data) for node, data in graph.nodes(data=True)}
edges = [[a.strip('"'), b.strip('"'), dict(data)] for a, b, data in graph.edges(data=True)]
print(json.dumps({"nodes": nodes, "edges": edges}))
"#;

fn read(python: &Path, file: &str, format: &str) -> Value {
    let mut reader = Command::new(python);
    serde_json::from_str(&support::python::run(reader.args(["-c", READER, file, format]), "read the export")).unwrap()
}

#[test]
fn programs_that_draw_graphs_read_a_neighbourhood_with_its_names_kinds_and_confidences() {
    let python = support::python::python();
    let server = Server::start(&["--cores", "2"]);
    around_the_middle(&server.client());
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let export = |format: &str, within: &str| {
        let file = folder.path().join(format!("{within}.{format}"));
        let file = file.to_str().unwrap();
        run(&server, &["export", "middle", "--format", format, "--within", within, "--output", file]);
        read(&python, file, format)
    };
    let id = |name: &str| ConceptId::from_name(name).unwrap().to_string();
    let nameless = ConceptId([9; 16]).to_string();
    // What neither can hold is shown as a sign that says so.
    let shown = HOSTILE.replace(['\u{0}', '\u{1b}', '\u{fffe}'], "\u{fffd}");

    let graph = export("graphml", "1");
    let nodes = graph["nodes"].as_object().unwrap();
    assert_eq!(nodes.len(), 4, "{graph}");
    assert_eq!(nodes[&id(HOSTILE)]["label"], shown);
    assert_eq!((&nodes[&id(HOSTILE)]["content"], &nodes[&id(HOSTILE)]["learned"]), (&json!(shown), &json!(true)));
    let labels = ["label", "content"].map(|key| nodes[&nameless][key].as_str().unwrap());
    assert_eq!(labels, ["first line", "first line\nsecond"]);
    let dangling = &nodes[&id("dangling")];
    assert_eq!(dangling, &json!({"label": id("dangling"), "learned": false}), "the store knows no more of it");
    let edge =
        |from: &str, to: &str, kind: &str, confidence: f64| json!([from, to, {"type": kind, "confidence": confidence}]);
    let edges: BTreeSet<String> = graph["edges"].as_array().unwrap().iter().map(Value::to_string).collect();
    let expected = [
        edge(&id("middle"), &id(HOSTILE), "hierarchical", 0.75),
        edge(&id(HOSTILE), &id("middle"), "77", 1.0),
        edge(&nameless, &id("middle"), "semantic", 1.0),
        edge(&id("middle"), &id("dangling"), "causal", 1.0),
        edge(&id("dangling"), &id(HOSTILE), "semantic", 1.0),
    ];
    assert_eq!(edges, expected.iter().map(Value::to_string).collect());

    let graph = export("dot", "2");
    let nodes = graph["nodes"].as_object().unwrap();
    let drawn: Vec<&String> = nodes.keys().filter(|key| key.len() == 32).collect();
    assert_eq!(drawn.len(), 5, "{graph}");
    assert_eq!(nodes[&id("far")]["label"], "\"far\"");
    let label = nodes[&id(HOSTILE)]["label"].as_str().unwrap();
    assert!(
        label.contains("\\\\N \\\\ ") && label.ends_with("\\\\\""),
        "escapes of Graphviz's own are none here: {label}"
    );
    let edges = graph["edges"].as_array().unwrap();
    let found = edges.iter().find(|edge| edge[0] == id("middle") && edge[1] == id(HOSTILE)).unwrap();
    assert_eq!(found[2], json!({"label": "\"hierarchical\"", "confidence": "\"0.75\""}));
    assert_eq!(edges.len(), 6);
}

#[test]
fn a_neighbourhood_is_cut_at_its_nearest_concepts_and_says_so() {
    let server = Server::start(&["--cores", "2"]);
    let client = server.client();
    let spokes = (0..9_000).map(|number| Association::between("hub", format!("spoke-{number}")));
    assert_eq!(client.associate_many(spokes).finish().unwrap(), 9_000);
    client.associate(Association::between("spoke-0", "far")).unwrap();
    let whole = run(&server, &["export", "hub", "--format", "dot"]);
    assert!(
        text(&whole.stderr).contains("exported 9,002 concepts and 9,001 associations\n"),
        "{}",
        text(&whole.stderr)
    );
    let cut = run(&server, &["export", "hub", "--format", "dot", "--max-concepts", "100"]);
    assert!(
        text(&cut.stderr).contains("100 concepts and 99 associations; the neighbourhood has more"),
        "{}",
        text(&cut.stderr)
    );
    assert_eq!(text(&cut.stdout).matches("->").count(), 99);
    let alone = run(&server, &["export", "hub", "--format", "jsonl", "--within", "0"]);
    assert_eq!(
        (text(&alone.stdout).as_str(), text(&alone.stderr).contains("1 concept and 0 associations")),
        ("", true)
    );
}

#[test]
fn an_export_that_can_not_be_written_or_finished_leaves_the_file_that_was_there() {
    let server = Server::start(&[]);
    server.client().learn(Concept::new("dog")).unwrap();
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("dog.dot");
    std::fs::write(&file, "as it was").unwrap();
    let path = file.to_str().unwrap();
    for (arguments, code, says) in [
        (&["export", "nobody", "--format", "dot", "--output", path][..], 1, "nobody is not known"),
        (&["export", "--format", "dot", "--output", path], 2, "jsonl only"),
        (&["export", "dog", "--format", "dot", "--output", path, "--server", "127.0.0.1:1"], 3, "127.0.0.1:1"),
        (&["export", "dog", "--format", "dot", "--output", "/nowhere/dog.dot"], 2, "/nowhere/dog.dot"),
        (&["export", "dog", "--format", "dot", "--output", "/dev/full"], 3, "/dev/full: No space left"),
    ] {
        let refused = server.run(arguments);
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(refused.status.code() == Some(code) && said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
    run(&server, &["export", "dog", "--format", "dot", "--output", path]);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("digraph"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}
