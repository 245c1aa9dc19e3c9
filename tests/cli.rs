//! The commands, as they are typed: what they print and how they exit.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use crate::support;
use crate::support::{Server, run, wordnet};

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

#[test]
fn a_first_conversation_goes_as_the_readme_tells_it() {
    let server = Server::start(&[]);
    let learned = server.run(&[
        "learn",
        "dog",
        "a domesticated carnivore",
        "--embedding",
        "[0.5, -1.25]",
        "--strength",
        "0.5",
    ]);
    assert_eq!(code(&learned), 0, "{}", stderr(&learned));
    assert_eq!(code(&server.run(&["learn", "animal", "a living organism"])), 0);
    assert_eq!(
        code(&server.run(&[
            "associate",
            "dog",
            "animal",
            "--type",
            "hierarchical",
            "--confidence",
            "0.75"
        ])),
        0
    );
    assert_eq!(code(&server.run(&["associate", "dog", "unheard of"])), 0);

    let dog = json(&server.run(&["query", "dog", "--json"]));
    assert_eq!(
        (dog["content"].as_str(), dog["strength"].as_f64()),
        (Some("a domesticated carnivore"), Some(0.5))
    );
    assert_eq!(dog["embedding"], serde_json::json!([0.5, -1.25]));

    let neighbors = stdout(&server.run(&["neighbors", "dog"]));
    let first = neighbors.lines().next().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(first, ["→", "hierarchical", "0.75", "animal", "a", "living", "organism"]);
    assert!(neighbors.contains("not learned yet"), "{neighbors}");
    assert!(stdout(&server.run(&["neighbors", "animal"])).contains("← hierarchical"));

    assert_eq!(code(&server.run(&["query", "nobody"])), 1);
    assert_eq!(code(&server.run(&["flush"])), 0);
    let health = server.run(&["health"]);
    assert!(code(&health) == 0 && stdout(&health).contains("ok"), "{}", stdout(&health));
    let stats = json(&server.run(&["stats", "--json"]));
    assert_eq!((stats["concepts"].as_u64(), stats["associations"].as_u64()), (Some(2), Some(2)));

    let deleted = server.run(&["delete", "dog"]);
    assert_eq!(
        (code(&deleted), stdout(&deleted).as_str()),
        (0, "deleted dog and 2 associations\n")
    );
    assert_eq!(code(&server.run(&["query", "dog"])), 1);
    let neighbors = server.run(&["neighbors", "animal"]);
    assert!(!stdout(&neighbors).contains("dog"), "{}", stdout(&neighbors));
    let again = server.run(&["delete", "dog", "--json"]);
    let nothing =
        serde_json::json!({"deleted": false, "name": "dog", "concept": false, "associations": 0});
    assert_eq!((code(&again), json(&again)), (1, nothing));
}

#[test]
fn a_dissociate_says_whether_there_was_one_and_leaves_the_others() {
    let server = Server::start(&[]);
    for kind in ["semantic", "causal"] {
        assert_eq!(code(&server.run(&["associate", "dog", "cat", "--type", kind])), 0);
    }
    let dissociate = |further: &[&str]| {
        let output = server.run(&[&["dissociate", "dog", "cat"], further].concat());
        (code(&output), stdout(&output))
    };
    assert_eq!(dissociate(&[]), (0, "removed dog → cat (semantic)\n".into()));
    assert_eq!(dissociate(&[]), (1, "there is no dog → cat (semantic)\n".into()));
    let (code, said) = dissociate(&["--type", "causal", "--json"]);
    let value = serde_json::json!({
        "removed": true, "source": "dog", "target": "cat", "type": "causal"
    });
    assert_eq!((code, serde_json::from_str(&said).ok()), (0, Some(value)));
}

#[test]
fn a_concept_is_deleted_only_without_associations_where_that_was_asked_for() {
    let server = Server::start(&["--cores", "2"]);
    assert_eq!(code(&server.run(&["learn", "dog", "barks"])), 0);
    assert_eq!(code(&server.run(&["associate", "cat", "dog"])), 0);
    let refused = server.run(&["delete", "dog", "--unassociated"]);
    let words = "the concept has 1 association: remove them first, or delete it with them";
    assert_eq!(code(&refused), 3);
    assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    let stats = json(&server.run(&["stats", "--json"]));
    assert_eq!((stats["concepts"].as_u64(), stats["associations"].as_u64()), (Some(1), Some(1)));
    assert_eq!(code(&server.run(&["dissociate", "cat", "dog"])), 0);
    let deleted = server.run(&["delete", "dog", "--unassociated"]);
    let expected = (0, "deleted dog; it had no associations\n");
    assert_eq!((code(&deleted), stdout(&deleted).as_str()), expected);
    assert_eq!(code(&server.run(&["delete", "dog", "--unassociated"])), 1);
}

#[test]
fn a_delete_says_what_it_removed_also_of_a_concept_that_only_associations_name() {
    let server = Server::start(&[]);
    let deleted = |name: &str| {
        let output = server.run(&["delete", name]);
        (code(&output), stdout(&output))
    };
    assert_eq!(code(&server.run(&["associate", "g1", "g2"])), 0);
    assert_eq!(deleted("g1"), (0, "removed 1 association of g1, which was not learned\n".into()));
    assert_eq!(deleted("g1"), (1, "g1 is not known\n".into()));
    assert_eq!(deleted("g2"), (1, "g2 is not known\n".into()));
    assert_eq!(code(&server.run(&["associate", "g1", "g1"])), 0);
    let value = json(&server.run(&["delete", "g1", "--json"]));
    assert_eq!(
        value,
        serde_json::json!({"deleted": true, "name": "g1", "concept": false, "associations": 1})
    );
    assert_eq!(code(&server.run(&["learn", "alone", ""])), 0);
    assert_eq!(deleted("alone"), (0, "deleted alone; it had no associations\n".into()));
}

#[test]
fn a_learn_says_what_it_replaced_and_drops_no_embedding_unasked() {
    let server = Server::start(&[]);
    let learn = |arguments: &[&str]| server.run(&[&["learn"], arguments].concat());
    let first = learn(&["dog", "barks", "--embedding", "[0.5, 1]", "--strength", "0.5", "--json"]);
    assert_eq!((code(&first), &json(&first)["replaced"]), (0, &serde_json::Value::Null));
    for arguments in [&["dog", "meows"][..], &["dog", "meows", "--embedding", "[]"]] {
        let refused = learn(arguments);
        assert_eq!(code(&refused), 3, "{}", stdout(&refused));
        assert!(
            stderr(&refused).contains("2 numbers")
                && stderr(&refused).contains("--without-embedding")
        );
    }
    let stored = json(&server.run(&["query", "dog", "--json"]));
    assert_eq!(
        (&stored["content"], &stored["embedding"]),
        (&"barks".into(), &serde_json::json!([0.5, 1.0]))
    );

    let anew = learn(&["dog", "howls", "--embedding", "[1, 1]", "--json"]);
    let was = serde_json::json!({"content": "barks", "embedding": [0.5, 1.0], "strength": 0.5});
    assert_eq!((code(&anew), &json(&anew)["replaced"]), (0, &was));
    let same = learn(&["dog", "howls", "--embedding", "[1, 1]", "--json"]);
    assert_eq!(json(&same)["replaced"], serde_json::json!({}));
    let dropped = learn(&["dog", "meows", "--without-embedding"]);
    let words = stdout(&dropped);
    assert!(code(&dropped) == 0 && words.starts_with("learned dog anew"), "{words}");
    assert!(
        words.contains("was: howls") && words.contains("was: 2 numbers; it has none now"),
        "{words}"
    );
    assert_eq!(json(&server.run(&["query", "dog", "--json"]))["embedding"], serde_json::json!([]));
    assert_eq!(code(&learn(&["dog", "meows again"])), 0, "there is none to drop any more");
    assert_eq!(code(&learn(&["dog", "x", "--embedding", "[1, 1]", "--without-embedding"])), 2);
    // The same name elsewhere is another concept.
    assert_eq!(code(&learn(&["dog", "x", "--embedding", "[1, 2, 3]", "--namespace", "pets"])), 0);
}

#[test]
fn an_association_that_is_stored_again_says_what_it_replaced() {
    let server = Server::start(&[]);
    let associate = |further: &[&str]| server.run(&[&["associate", "a", "b"], further].concat());
    let first = json(&associate(&["--confidence", "0.75", "--json"]));
    assert_eq!(
        (&first["replaced"], &first["type"]),
        (&serde_json::Value::Null, &"semantic".into())
    );
    let words = stdout(&associate(&[]));
    assert!(
        words.starts_with("a → b anew") && words.ends_with("; its confidence was 0.75\n"),
        "{words}"
    );
    assert_eq!(json(&associate(&["--json"]))["replaced"], serde_json::json!({}));
    assert_eq!(
        json(&associate(&["--type", "causal", "--json"]))["replaced"],
        serde_json::Value::Null
    );
    assert_eq!(
        json(&associate(&["--namespace", "n", "--json"]))["replaced"],
        serde_json::Value::Null
    );
}

#[test]
fn a_concept_that_is_written_by_its_id_keeps_its_name() {
    let server = Server::start(&[]);
    let stored = || json(&server.run(&["query", "dog", "--json"]));
    assert_eq!(code(&server.run(&["learn", "dog", "barks"])), 0);
    let id = stored()["id"].as_str().unwrap().to_owned();
    assert_eq!(code(&server.run(&["learn", &id.to_uppercase(), "howls"])), 0);
    assert_eq!((&stored()["name"], &stored()["content"]), (&"dog".into(), &"howls".into()));
    assert_eq!(code(&server.run(&["associate", &id, &id])), 0);
    assert_eq!(stored()["name"], "dog");
    let by_id = jsonl(&[&format!(r#"{{"id": "{id}", "content": "meows"}}"#)]);
    for _ in 0..2 {
        assert_eq!(code(&server.run(&["import", by_id.path().to_str().unwrap()])), 0);
        assert_eq!((&stored()["name"], &stored()["content"]), (&"dog".into(), &"meows".into()));
    }
    // A concept that never had a name has none now.
    assert_eq!(code(&server.run(&["learn", &"ab".repeat(16), "nameless"])), 0);
    assert_eq!(json(&server.run(&["query", &"ab".repeat(16), "--json"]))["name"], "");
    let client = server.client();
    client.learn(sutra_client::Concept::new(&*id)).unwrap();
    assert_eq!(stored()["name"], "", "natively a learn is the whole record, and an id is no name");
}

#[test]
fn wrong_usage_exits_with_2_and_a_missing_server_with_3() {
    assert_eq!(code(&run(&["learn", "only a name"])), 2);
    assert_eq!(code(&run(&["serve", "--durability", "sometimes"])), 2);
    assert_eq!(code(&run(&["query", "dog", "--server", "no address"])), 2);
    let missing = run(&["query", "dog", "--server", "127.0.0.1:1"]);
    assert_eq!(code(&missing), 3);
    assert!(stderr(&missing).contains("127.0.0.1:1"), "{}", stderr(&missing));
}

/// The last line of standard error, as the one that says what is wrong.
fn error(output: &Output) -> String {
    stderr(output).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn wrong_values_are_told_by_what_is_wrong_with_them() {
    let server = Server::start(&[]);
    for (arguments, says) in [
        (&["learn", "dog", "barks", "--strength", "-1"][..], "strength"),
        (&["learn", "dog", "barks", "--embedding", "-1"], "--embedding"),
        (&["associate", "dog", "cat", "--confidence", "-0.5"], "confidence"),
        (&["health", "--server", "http://127.0.0.1:50050"], "it is a URL; write HOST:PORT"),
    ] {
        let refused = server.run(arguments);
        assert_eq!(code(&refused), 2, "{arguments:?}");
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
    }
    assert_eq!(code(&server.run(&["learn", "dog", "barks", "--embedding", "[-1]"])), 0);
}

#[test]
fn errors_are_json_where_answers_are() {
    let missing = run(&["query", "dog", "--server", "127.0.0.1:1", "--json"]);
    let usage = run(&["query", "--json", "--sever", "a"]);
    for (output, expected, says) in [(missing, 3, "127.0.0.1:1"), (usage, 2, "--sever")] {
        let value: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((code(&output), value["code"].as_i64()), (expected, Some(i64::from(expected))));
        assert!(
            value["error"].as_str().unwrap().contains(says) && stdout(&output).is_empty(),
            "{value}"
        );
    }
}

#[test]
fn a_name_that_would_steer_the_terminal_is_shown_escaped() {
    let server = Server::start(&[]);
    let name = "a\u{1b}[31m\nb";
    for arguments in [
        &["query", name][..],
        &["learn", name, "text"],
        &["associate", name, name],
        &["query", name],
    ] {
        let output = server.run(arguments);
        let said = stdout(&output) + &stderr(&output);
        assert!(
            !said.contains('\u{1b}') && said.contains("a\\u{1b}[31m\\nb"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_broken_settings_file_is_told_on_one_line_and_help_is_given_all_the_same() {
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    std::fs::write(folder.path().join("sutra.toml"), "cores = 1\nlisten = [\n").unwrap();
    let there = |arguments: &[&str]| {
        support::sutra().args(arguments).current_dir(folder.path()).output().unwrap()
    };
    for asked in ["--help", "--version"] {
        let output = there(&[asked]);
        assert!(code(&output) == 0 && stdout(&output).contains("sutra"), "{}", stderr(&output));
    }
    let refused = there(&["serve"]);
    assert_eq!((code(&refused), stderr(&refused).lines().count()), (2, 1), "{}", stderr(&refused));
    assert!(stderr(&refused).starts_with("error: sutra.toml: line "), "{}", stderr(&refused));
}

#[test]
fn a_command_waits_as_long_as_it_is_told() {
    let server = Server::start(&[]);
    server.freeze();
    let flag = server.run(&["health", "--timeout", "100ms"]);
    assert!(code(&flag) == 3 && stderr(&flag).contains("within 100ms"), "{}", stderr(&flag));
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("some.toml");
    std::fs::write(&file, "timeout = 0.2\n").unwrap();
    let from_file = server.run(&["stats", "--config", file.to_str().unwrap()]);
    assert!(
        code(&from_file) == 3 && stderr(&from_file).contains("within 200ms"),
        "{}",
        stderr(&from_file)
    );
    let bench = server.run(&["bench", "--timeout", "0.1"]);
    assert!(code(&bench) == 3 && stderr(&bench).contains("within 100ms"), "{}", stderr(&bench));
}

#[test]
fn a_bench_that_can_not_be_run_writes_nothing() {
    let server = Server::start(&[]);
    for (arguments, expected, says) in [
        (&["--duration", "0"][..], 2, "it is zero; write a time above it"),
        (&["--depth", "100000"], 3, "--depth 100000: the server takes 1,024"),
        (&["--connections", "0"], 2, "a whole number from 1"),
        (
            &["--content-bytes", "8388608", "--dimension", "65536", "--connections", "999999999"],
            2,
            "a whole number from 1",
        ),
    ] {
        let refused = server.run(&[&["bench", "learn"], arguments].concat());
        assert!(
            code(&refused) == expected && stderr(&refused).contains(says),
            "{}",
            stderr(&refused)
        );
    }
    let mut few_files = Command::new("sh");
    few_files.args([
        "-c",
        "ulimit -n 100 && exec \"$0\" bench learn --connections 100",
        env!("CARGO_BIN_EXE_sutra"),
    ]);
    let refused = few_files.env("SUTRA_SERVER", server.address.to_string()).output().unwrap();
    assert!(
        code(&refused) == 3 && stderr(&refused).contains("--connections 100"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(server.client().stats().unwrap().concepts, 0);
}

#[test]
fn importing_twice_writes_once_and_equals_the_source() {
    let server = Server::start(&["--cores", "2"]);
    let folder = wordnet();
    let folder = folder.to_str().unwrap();
    let first = json(&server.run(&["import", folder, "--json"]));
    let concepts = std::fs::read_to_string(wordnet().join("concepts.jsonl")).unwrap();
    let associations = std::fs::read_to_string(wordnet().join("associations.jsonl")).unwrap();
    let (concepts, associations): (Vec<&str>, usize) =
        (concepts.lines().collect(), associations.lines().count());
    assert_eq!(first["concepts_written"].as_u64(), Some(concepts.len() as u64));
    assert_eq!(first["associations_written"].as_u64(), Some(associations as u64));

    let server = server.kill().start();
    let second = json(&server.run(&["import", folder, "--json"]));
    assert_eq!(second["unchanged"].as_u64(), Some((concepts.len() + associations) as u64));
    assert_eq!(second["concepts_written"].as_u64(), Some(0));

    let client = server.client();
    for line in concepts {
        let concept: serde_json::Value = serde_json::from_str(line).unwrap();
        let stored = client.query(concept["id"].as_str().unwrap()).unwrap().unwrap();
        assert_eq!(stored.content.as_str(), concept["content"].as_str().unwrap());
        assert_eq!(stored.embedding.len(), 384);
    }
}

#[test]
fn bad_lines_are_named_by_number_and_the_others_are_imported() {
    let server = Server::start(&[]);
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("mixed.jsonl");
    let lines = [
        r#"{"id": "one", "content": "first"}"#,
        "no JSON",
        r#"{"id": "", "content": "nameless"}"#,
        r#"{"id": "two", "content": "second", "confidence": 7}"#,
        r#"{"source": "one", "target": "three", "type": "causal"}"#,
        r#"{"id": "three", "content": "third", "embedding": [1, 2]}"#,
        r#"{"source": "one", "target": "two", "confidence": -1}"#,
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let imported = server.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code(&imported), 1);
    let said = stdout(&imported) + &stderr(&imported);
    let told: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_once("mixed.jsonl:")?.1.split(':').next())
        .collect();
    assert_eq!(told, ["2", "3", "4", "7"], "in the order of the lines: {said}");
    let stats = json(&server.run(&["stats", "--json"]));
    assert_eq!((stats["concepts"].as_u64(), stats["associations"].as_u64()), (Some(2), Some(1)));
}

/// A folder with one file of these lines.
fn jsonl(lines: &[&str]) -> support::Folder {
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    std::fs::write(folder.path().join("lines.jsonl"), lines.join("\n")).unwrap();
    folder
}

#[test]
fn the_last_of_several_lines_about_the_same_thing_wins_in_every_import() {
    let server = Server::start(&["--cores", "1"]);
    let folder = jsonl(&[
        r#"{"id": "dog", "content": "first"}"#,
        r#"{"source": "dog", "target": "cat", "confidence": 0.25}"#,
        r#"{"id": "dog", "content": "second"}"#,
        r#"{"source": "dog", "target": "cat", "confidence": 0.5}"#,
        r#"{"id": "cat", "content": "meows"}"#,
        r#"{"id": "dog", "content": "last"}"#,
        r#"{"source": "dog", "target": "cat", "confidence": 0.75}"#,
    ]);
    let path = folder.path();
    for round in 0..3 {
        let imported = json(&server.run(&["import", path.to_str().unwrap(), "--json"]));
        let counts = ["concepts_written", "associations_written", "unchanged", "repeated"]
            .map(|key| imported[key].as_u64());
        let expected = if round == 0 { [2, 1, 0, 4] } else { [0, 0, 3, 4] };
        assert_eq!(counts, expected.map(Some), "round {round}: {imported}");
        assert_eq!(json(&server.run(&["query", "dog", "--json"]))["content"], "last");
        let neighbors = json(&server.run(&["neighbors", "dog", "--json"]));
        assert_eq!(neighbors["neighbors"][0]["confidence"], 0.75);
    }
}

#[test]
fn a_hub_is_imported_again_without_writing_and_changes_of_it_are_found() {
    let server = Server::start(&[]);
    let mut lines: Vec<String> = (0..20_000)
        .map(|n| format!(r#"{{"source": "hub", "target": "t{n}", "confidence": 0.5}}"#))
        .collect();
    let import = |lines: &[String]| {
        let folder = jsonl(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let summary = json(&server.run(&["import", folder.path().to_str().unwrap(), "--json"]));
        (summary["associations_written"].as_u64().unwrap(), summary["unchanged"].as_u64().unwrap())
    };
    assert_eq!(import(&lines), (20_000, 0));
    lines[7] = r#"{"source": "hub", "target": "t7", "confidence": 0.25}"#.into();
    lines.push(r#"{"source": "hub", "target": "t7", "type": "causal"}"#.into());
    assert_eq!(import(&lines), (2, 19_999));
    assert_eq!(import(&lines), (0, 20_001));
}

#[test]
fn the_neighbours_of_a_hub_are_listed_over_several_replies_as_one_answer() {
    let server = Server::start(&[]);
    let client = server.client();
    let spokes = (0..5_000_u16).map(|number| {
        let confidence = if number % 100 == 0 { 1.0 } else { 0.5 };
        sutra_client::Association::between("hub", format!("spoke-{number}")).confidence(confidence)
    });
    assert_eq!(client.associate_many(spokes).finish().unwrap(), 5_000);
    let all = json(&server.run(&["neighbors", "hub", "--limit", "0", "--json"]));
    let ids: std::collections::HashSet<&str> = all["neighbors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|neighbor| neighbor["id"].as_str().unwrap())
        .collect();
    assert_eq!((ids.len(), &all["more"]), (5_000, &false.into()));
    let words = stdout(&server.run(&["neighbors", "hub", "--limit", "4500"]));
    assert_eq!(words.lines().count(), 4_501);
    assert!(
        words.ends_with("4,500 neighbours of hub; there are more: ask with --limit 0 for all\n"),
        "{words}"
    );
    let sure = json(&server.run(&[
        "neighbors",
        "hub",
        "--limit",
        "0",
        "--min-confidence",
        "0.75",
        "--json",
    ]));
    assert_eq!(sure["neighbors"].as_array().map(Vec::len), Some(50));
    let wrong = server.run(&["neighbors", "hub", "--min-confidence", "-1"]);
    assert!(code(&wrong) == 2 && stderr(&wrong).contains("confidence"), "{}", stderr(&wrong));
    assert_eq!(code(&server.run(&["neighbors", "nobody"])), 1);
}

/// Starts an import of far more concepts than can be written before the test goes on, and waits
/// until it knows of some that they are stored: it has 2,048 requests under way at most, so of
/// 5,000 it has the answers to most.
fn long_import(server: &Server, arguments: &[&str]) -> (Child, support::Folder) {
    let lines: Vec<String> =
        (0..300_000).map(|n| format!(r#"{{"id": "c{n}", "content": "some"}}"#)).collect();
    let folder = jsonl(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut import = support::sutra()
        .args(["import", folder.path().to_str().unwrap(), "--json"])
        .args(arguments)
        .env("SUTRA_SERVER", server.address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (client, until) = (server.client(), std::time::Instant::now() + support::PATIENCE);
    while client.stats().unwrap().concepts < 5_000 {
        assert!(std::time::Instant::now() < until, "the import begins to write");
        assert!(import.try_wait().unwrap().is_none(), "the import goes on");
    }
    (import, folder)
}

/// That an import which did not get to its end says so, and how far it got.
fn assert_stopped(summary: &serde_json::Value) {
    assert_eq!(summary["stopped"], true, "{summary}");
    let written = summary["concepts_written"].as_u64().unwrap();
    assert!((1..300_000).contains(&written), "{summary}");
}

#[test]
fn an_interrupted_import_says_what_it_did() {
    let server = Server::start(&[]);
    let (import, _folder) = long_import(&server, &[]);
    let pid = rustix::process::Pid::from_child(&import);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = import.wait_with_output().unwrap();
    assert_eq!(code(&ended), 130, "{}", stderr(&ended));
    let summary = json(&ended);
    assert_stopped(&summary);
    let stored = server.client().stats().unwrap().concepts.to_native();
    assert_eq!(
        summary["concepts_written"].as_u64(),
        Some(stored),
        "all that was under way was waited for"
    );
}

#[test]
fn an_import_that_loses_its_server_says_what_it_did() {
    let server = Server::start(&[]);
    // Less than the usual time, and more than an answer takes on a host that has much else to do.
    let (import, _folder) = long_import(&server, &["--timeout", "5s"]);
    let _ = server.kill();
    let ended = import.wait_with_output().unwrap();
    assert_eq!(code(&ended), 3, "{}", stderr(&ended));
    assert_stopped(&json(&ended));
    let error: serde_json::Value = serde_json::from_str(&error(&ended)).unwrap();
    assert_eq!(error["code"], 3);
}

#[test]
fn serving_with_import_fills_an_empty_folder_and_answers_meanwhile() {
    let server = Server::start(&["--import", wordnet().to_str().unwrap()]);
    let until = std::time::Instant::now() + support::PATIENCE;
    while json(&server.run(&["stats", "--json"]))["associations"].as_u64() < Some(4604) {
        assert!(std::time::Instant::now() < until, "the import ends");
    }
    let dog = server.run(&["query", "n02084071"]);
    assert!(code(&dog) == 0 && stdout(&dog).contains("dog, domestic dog"), "{}", stdout(&dog));
    let (status, _) = server.stop();
    assert!(status.success());
}

#[test]
fn serving_with_import_again_adds_what_is_missing_and_keeps_what_was_changed() {
    let folder = jsonl(&[
        r#"{"id": "dog", "content": "as imported"}"#,
        r#"{"id": "cat", "content": "as imported"}"#,
        r#"{"source": "dog", "target": "cat", "confidence": 0.5}"#,
    ]);
    let path = folder.path();
    let server = Server::start(&["--import", path.to_str().unwrap()]);
    let until = std::time::Instant::now() + support::PATIENCE;
    let wait = |server: &Server, associations: u64| {
        while server.client().stats().unwrap().associations != associations {
            assert!(std::time::Instant::now() < until, "the import ends");
        }
    };
    wait(&server, 1);
    assert_eq!(code(&server.run(&["learn", "dog", "as the user wants it"])), 0);
    assert_eq!(code(&server.run(&["associate", "dog", "cat", "--confidence", "0.75"])), 0);
    let more = "\n{\"source\": \"cat\", \"target\": \"dog\"}\n";
    std::fs::OpenOptions::new()
        .append(true)
        .open(path.join("lines.jsonl"))
        .unwrap()
        .write_all(more.as_bytes())
        .unwrap();

    let server = server.kill().start();
    wait(&server, 2);
    assert_eq!(json(&server.run(&["query", "dog", "--json"]))["content"], "as the user wants it");
    let dog = json(&server.run(&["neighbors", "dog", "--direction", "out", "--json"]));
    assert_eq!(dog["neighbors"][0]["confidence"], 0.75);
    let asked_for = json(&server.run(&["import", path.to_str().unwrap(), "--json"]));
    assert_eq!(
        asked_for["concepts_written"], 1,
        "an import that is asked for replaces: {asked_for}"
    );
    assert_eq!(json(&server.run(&["query", "dog", "--json"]))["content"], "as imported");
}

#[test]
fn settings_come_from_flags_then_variables_then_the_file() {
    let server = Server::start(&[]);
    let other = Server::start(&[]);
    other.client().learn(sutra_client::Concept::new("dog").content("of the other server")).unwrap();
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("sutra.toml");
    std::fs::write(&file, format!("server = \"{}\"\n", other.address)).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        code(&run(&["query", "dog", "--config", file])),
        0,
        "the file names the other server"
    );
    assert_eq!(
        code(&server.run(&["query", "dog", "--config", file])),
        1,
        "the variable goes before the file"
    );
    let flag = other.address.to_string();
    assert_eq!(
        code(&server.run(&["query", "dog", "--config", file, "--server", &flag])),
        0,
        "the flag goes before both"
    );
    std::fs::write(file, "sever = \"typo\"\n").unwrap();
    let typo = run(&["query", "dog", "--config", file]);
    assert!(code(&typo) == 2 && stderr(&typo).contains("sever"), "{}", stderr(&typo));
}

#[test]
fn bench_measures_a_running_server_and_says_what_it_cost() {
    let server = Server::start(&[]);
    for operation in ["query", "learn"] {
        let measured = server.run(&[
            "bench",
            operation,
            "--connections",
            "2",
            "--duration",
            "0.2",
            "--warmup",
            "0",
            "--records",
            "100",
            "--json",
        ]);
        assert_eq!(code(&measured), 0, "{}", stderr(&measured));
        let report = json(&measured);
        assert!(
            report["requests"].as_u64() > Some(0) && report["latency"]["p99_ns"].as_u64() > Some(0),
            "{report}"
        );
    }
}

#[test]
fn a_bench_with_a_profile_tells_where_the_servers_time_went() {
    let server = Server::start(&[]);
    let load = [
        "bench",
        "query",
        "--connections",
        "8",
        "--duration",
        "1",
        "--warmup",
        "0",
        "--records",
        "100",
        "--profile",
    ];
    let measured = server.run(&load);
    assert_eq!(code(&measured), 0, "{}", stderr(&measured));
    let words = String::from_utf8_lossy(&measured.stdout).into_owned();
    for stage in ["requests in", "look up", "kernel", "together"] {
        assert!(words.contains(stage), "{words}");
    }
    let report = json(&server.run(&[&load[..], &["--json"]].concat()));
    let profile = &report["profile"];
    assert!(
        profile["requests"].as_u64() > Some(0) && profile["turns"].as_u64() > Some(0),
        "{report}"
    );
    let stages = profile["stages"].as_array().unwrap();
    let ns = |stage: &str| {
        stages.iter().find(|known| known["stage"] == stage).and_then(|known| known["ns"].as_f64())
    };
    assert!(
        ns("kernel") > Some(0.0) && ns("look up") > Some(0.0) && ns("parse") > Some(0.0),
        "{report}"
    );
}
