//! `sutra export`, read by those that it is for: `sutra import`, networkx, and a parser of
//! Graphviz's language.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::support;
use crate::support::{Folder, PATIENCE, Server, sutra, wordnet};
use serde_json::{Value, json};
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept, ConceptId, Direction, Neighborhood};

/// Texts that mean something to XML, to Graphviz, to a terminal, or to none of them.
const HOSTILE: &str = "<&>\"' &amp; &#65; \\G \\L ]]> \\N \\ \r\n\
                       \t\u{1b}[2J\u{0}\u{fffe} {record|<port>} naïve → 犬 \\";

fn run(server: &Server, arguments: &[&str]) -> Output {
    let output = server.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a namespace has, without the times of writing: its concepts, and their associations from
/// source to target.
fn contents(client: &Client) -> (BTreeMap<ConceptId, Value>, BTreeSet<String>) {
    let (mut concepts, mut associations) = (BTreeMap::new(), BTreeSet::new());
    for page in client.concept_pages() {
        for id in page.unwrap().ids.iter().map(|id| ConceptId(*id)) {
            let record = client.query(id).unwrap().unwrap();
            let embedding: Vec<u32> =
                record.embedding.iter().map(|number| number.to_native().to_bits()).collect();
            let numbers =
                [record.strength, record.confidence].map(|number| number.to_native().to_bits());
            concepts.insert(id, json!([*record.name, *record.content, embedding, numbers]));
            for page in client.neighbor_pages(Neighborhood::of(id)) {
                for edge in page.unwrap().neighbors.iter() {
                    let (here, there) = (id, ConceptId(edge.id));
                    let (from, to) = if edge.direction == Direction::Out as u8 {
                        (here, there)
                    } else {
                        (there, here)
                    };
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
    let said: Value = serde_json::from_slice(
        &run(&server, &["export", "--format", "jsonl", "--output", file, "--json"]).stdout,
    )
    .unwrap();
    assert_eq!(said, json!({"concepts": 3903, "associations": 4609, "cut": false}));
    let to_stdout = run(&server, &["export", "--format", "jsonl"]).stdout;
    assert_eq!(to_stdout.len() as u64, std::fs::metadata(file).unwrap().len());

    let other = Server::start(&["--cores", "3"]);
    let imported = text(&run(&other, &["import", file, "--json"]).stdout);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    assert_eq!(
        (&imported["concepts_written"], &imported["associations_written"]),
        (&json!(3903), &json!(4609))
    );
    let (concepts, associations) = contents(&client);
    assert_eq!((concepts.len(), associations.len()), (3903, 4609));
    let there = contents(&other.client());
    assert!(
        there.0 == concepts && there.1 == associations,
        "what was imported is what was exported"
    );

    // A namespace goes with its lines, and an import of them into the store that they are from
    // finds nothing new.
    run(&server, &["export", "--namespace", "other", "--format", "jsonl", "--output", file]);
    let again: Value =
        serde_json::from_slice(&run(&server, &["import", file, "--json"]).stdout).unwrap();
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
    let header = sutra_wire::Header {
        opcode: sutra_wire::Opcode::Learn as u8,
        request: 1,
        ..sutra_wire::Header::default()
    };
    raw.ask(header, &rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap());
    let line: Value =
        serde_json::from_slice(&run(&server, &["export", "--format", "jsonl"]).stdout).unwrap();
    assert_eq!(line["id"], ConceptId(record.id).to_string());
}

/// A graph around "middle": hostile texts, a dangling end, associations of several kinds, and what
/// lies farther away.
fn around_the_middle(client: &Client) {
    client.learn(Concept::new("middle").content("the middle")).unwrap();
    client.learn(Concept::new(HOSTILE).content(HOSTILE)).unwrap();
    client.learn(Concept::with_id(ConceptId([9; 16])).content("first line\nsecond")).unwrap();
    client.learn(Concept::new("far").content("away")).unwrap();
    for association in [
        Association::between("middle", HOSTILE)
            .kind(AssociationKind::HIERARCHICAL)
            .confidence(0.75),
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

/// What Graphviz makes of a quoted text as a parser gives it: it takes each backslash from so many,
/// decodes what HTML does, and begins a line at its own escape for that. Seen with `dot -Tsvg`, of
/// Graphviz 2.43: its text elements, and its titles for tooltips.
fn as_drawn(quoted: &str, backslashes: usize) -> String {
    let text = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
    let backslash = "\\".repeat(backslashes);
    let mut drawn = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (found, taken) = if rest.starts_with(&backslash) {
            ('\\', backslash.len())
        } else if let Some(escaped) = rest.strip_prefix('\\') {
            match escaped.chars().next().unwrap() {
                'n' => ('\n', 2),
                '"' => ('"', 2),
                other => panic!("{other} is an escape of Graphviz's own: {text}"),
            }
        } else if first == '&' {
            let (entity, _) = rest.split_once(';').expect("every & begins an entity");
            let decoded = match entity {
                "&amp" => '&',
                "&#13" => '\r',
                other => panic!("{other}"),
            };
            (decoded, entity.len() + 1)
        } else {
            (first, first.len_utf8())
        };
        drawn.push(found);
        rest = &rest[taken..];
    }
    drawn
}

fn read(python: &Path, file: &str, format: &str) -> Value {
    let mut reader = Command::new(python);
    serde_json::from_str(&support::python::run(
        reader.args(["-c", READER, file, format]),
        "read the export",
    ))
    .unwrap()
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
        run(
            &server,
            &["export", "middle", "--format", format, "--within", within, "--output", file],
        );
        read(&python, file, format)
    };
    let id = |name: &str| ConceptId::from_name(name).unwrap().to_string();
    let nameless = ConceptId([9; 16]).to_string();
    // A character that neither format can hold is shown by its picture, or by a replacement sign.
    let shown = HOSTILE
        .replace('\u{0}', "\u{2400}")
        .replace('\u{1b}', "\u{241b}")
        .replace('\u{fffe}', "\u{fffd}");

    let graph = export("graphml", "1");
    let nodes = graph["nodes"].as_object().unwrap();
    assert_eq!(nodes.len(), 4, "{graph}");
    assert_eq!(nodes[&id(HOSTILE)]["label"], shown);
    assert_eq!(
        (&nodes[&id(HOSTILE)]["content"], &nodes[&id(HOSTILE)]["learned"]),
        (&json!(shown), &json!(true))
    );
    let labels = ["label", "content"].map(|key| nodes[&nameless][key].as_str().unwrap());
    assert_eq!(labels, ["first line", "first line\nsecond"]);
    let dangling = &nodes[&id("dangling")];
    assert_eq!(
        dangling,
        &json!({"label": id("dangling"), "learned": false}),
        "the store knows no more of it"
    );
    let edge = |from: &str, to: &str, kind: &str, confidence: f64| {
        json!([
            from, to, {"type": kind, "confidence": confidence}
        ])
    };
    let edges: BTreeSet<String> =
        graph["edges"].as_array().unwrap().iter().map(Value::to_string).collect();
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
    for (attribute, backslashes) in [("label", 2), ("tooltip", 4)] {
        let drawn = nodes[&id(HOSTILE)][attribute].as_str().unwrap();
        assert_eq!(as_drawn(drawn, backslashes), shown, "{attribute}");
    }
    let edges = graph["edges"].as_array().unwrap();
    let found =
        edges.iter().find(|edge| edge[0] == id("middle") && edge[1] == id(HOSTILE)).unwrap();
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
        (
            text(&alone.stdout).as_str(),
            text(&alone.stderr).contains("1 concept and 0 associations")
        ),
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
        (&["export", "--format", "dot", "--output", path], 2, "npy or legacy only"),
        (
            &["export", "dog", "--format", "dot", "--output", path, "--server", "127.0.0.1:1"],
            3,
            "127.0.0.1:1",
        ),
        (
            &["export", "dog", "--format", "dot", "--output", "/nowhere/dog.dot"],
            2,
            "/nowhere/dog.dot",
        ),
        (
            &["export", "dog", "--format", "dot", "--output", "/dev/full"],
            3,
            "/dev/full: No space left",
        ),
    ] {
        let refused = server.run(arguments);
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(
            refused.status.code() == Some(code) && said.contains(says),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
    run(&server, &["export", "dog", "--format", "dot", "--output", path]);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("digraph"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

/// Concepts of an export that takes some time.
const MANY: usize = 1_500;

/// A server whose export takes some time, and a folder to export to.
fn with_much(concepts: usize) -> (Server, Folder) {
    let server = Server::start(&[]);
    let text = "x".repeat(20_000);
    let concepts =
        (0..concepts).map(|number| Concept::new(format!("c{number}")).content(text.as_str()));
    server.client().learn_many(concepts).finish().unwrap();
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    (server, folder)
}

/// An export of everything that is under way.
fn exporting(server: &Server, file: &Path) -> Child {
    exporting_as("jsonl", server, file)
}

fn exporting_as(format: &str, server: &Server, to: &Path) -> Child {
    let mut command = sutra();
    command.args(["export", "--format", format, "--output"]).arg(to);
    command.env("SUTRA_SERVER", server.address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether it has begun to write: it holds a file of this folder open that is not empty.
fn has_begun(child: &Child, folder: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let is_written = |path: PathBuf| {
        std::fs::read_link(&path).is_ok_and(|to| to.starts_with(folder))
            && std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() > 0)
    };
    open.filter_map(Result::ok).any(|entry| is_written(entry.path()))
}

fn wait_until_begun(child: &mut Child, folder: &Path) {
    let until = Instant::now() + PATIENCE;
    while !has_begun(child, folder) {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "it writes");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn lines(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.len()
}

#[test]
fn of_two_exports_to_one_file_each_is_whole_and_one_that_ends_early_leaves_nothing() {
    let (server, folder) = with_much(MANY);
    let file = folder.path().join("x.jsonl");
    // Whatever ends it: nothing can be done about a kill, a signal is heeded.
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        std::fs::write(&file, "as it was").unwrap();
        let (ended, other) = loop {
            let mut ended = exporting(&server, &file);
            let other = exporting(&server, &file);
            wait_until_begun(&mut ended, &folder.path());
            // It may be done by now: then it is tried again.
            kill_process(Pid::from_child(&ended), signal).unwrap();
            let (ended, other) =
                (ended.wait_with_output().unwrap(), other.wait_with_output().unwrap());
            if !ended.status.success() {
                break (ended, other);
            }
        };
        if signal != Signal::KILL {
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(128 + signal.as_raw()), "{said}");
            assert!(said.contains("interrupted: nothing was written to"), "{said}");
        }
        assert!(other.status.success(), "{}", text(&other.stderr));
        assert_eq!((lines(&file), names(&folder.path())), (MANY, vec!["x.jsonl".to_owned()]));
    }
    let both = [exporting(&server, &file), exporting(&server, &file)];
    for child in both {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!((lines(&file), names(&folder.path())), (MANY, vec!["x.jsonl".to_owned()]));
}

#[test]
fn an_export_of_several_files_that_is_interrupted_leaves_nothing() {
    let (server, folder) = with_much(MANY);
    for format in ["npy", "legacy"] {
        let to = folder.path().join("new");
        let ended = loop {
            let mut child = exporting_as(format, &server, &to);
            wait_until_begun(&mut child, &folder.path());
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            let ended = child.wait_with_output().unwrap();
            if !ended.status.success() {
                break ended;
            }
            // It was done by then: it is tried again.
            std::fs::remove_dir_all(&to).unwrap();
        };
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted: nothing was written to"), "{said}");
        assert_eq!(names(&folder.path()), Vec::<String>::new());
    }
}

#[test]
fn a_file_keeps_its_mode_and_a_link_stays_a_link() {
    let (server, folder) = with_much(3);
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (link, target) = (folder.path().join("x.jsonl"), elsewhere.join("target.jsonl"));
    std::fs::write(&target, "old").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink("elsewhere/target.jsonl", &link).unwrap();
    let all = |file: &Path| {
        run(&server, &["export", "--format", "jsonl", "--output", file.to_str().unwrap()])
    };
    all(&link);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(lines(&target), 3);
    assert_eq!(std::fs::metadata(&target).unwrap().mode() & 0o7777, 0o600);
    // One that leads to nothing yet, by way of another.
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    symlink("second", &first).unwrap();
    symlink(elsewhere.join("new.jsonl"), &second).unwrap();
    all(&first);
    assert_eq!((lines(&elsewhere.join("new.jsonl")), lines(&first)), (3, 3));
    assert_eq!(names(&elsewhere), ["new.jsonl", "target.jsonl"]);
    assert_eq!(names(&folder.path()), ["elsewhere", "first", "second", "x.jsonl"]);
    // A circle, and a folder.
    symlink("round", folder.path().join("round")).unwrap();
    for (file, says) in [("round", "symbolic links"), ("elsewhere", "directory")] {
        let file = folder.path().join(file);
        let refused =
            server.run(&["export", "--format", "jsonl", "--output", file.to_str().unwrap()]);
        assert!(
            refused.status.code() == Some(2) && text(&refused.stderr).contains(says),
            "{}",
            text(&refused.stderr)
        );
    }
}

#[test]
fn pipes_and_what_is_open_already_are_written_to_as_they_are() {
    let (server, folder) = with_much(3);
    let path = |name: &str| folder.path().join(name);
    let fifo = path("fifo.jsonl");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let child = exporting(&server, &fifo);
    let mut read = String::new();
    std::fs::File::open(&fifo).unwrap().read_to_string(&mut read).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!((read.lines().count(), names(&folder.path())), (3, vec!["fifo.jsonl".to_owned()]));

    // A file that the shell has opened is not replaced behind its back, and what it holds stays.
    std::fs::write(path("log"), "before\n").unwrap();
    let mut shell = Command::new("sh");
    let script = "\"$0\" export --format jsonl --output /dev/stdout >>\"$1\" && \"$0\" export \
                  --format jsonl --output /dev/fd/3 3>>\"$1\"";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_sutra")]).arg(path("log"));
    let output = shell.env("SUTRA_SERVER", server.address.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = std::fs::read_to_string(path("log")).unwrap();
    assert_eq!((log.lines().count(), log.starts_with("before\n")), (7, true));
}
