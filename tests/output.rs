//! What the commands print: exact to programs, harmless to people's terminals.

use crate::support;
use crate::support::{Server, run};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Association, Concept};

/// What turns the direction of writing, what is not seen, what steers a terminal.
const UNSEEN: [char; 14] = [
    '\u{202e}',
    '\u{2066}',
    '\u{200f}',
    '\u{61c}',
    '\u{200b}',
    '\u{200d}',
    '\u{2060}',
    '\u{feff}',
    '\u{ad}',
    '\u{2028}',
    '\u{e0041}',
    '\u{1b}',
    '\u{9b}',
    '\u{7f}',
];

fn unseen() -> String {
    UNSEEN.iter().collect()
}

/// All that a command says, to both streams.
fn said(output: &std::process::Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

fn assert_harmless(arguments: &[&str], said: &str) {
    assert!(!said.contains(UNSEEN), "{arguments:?}: {said:?}");
}

/// Learns what steers a terminal: as content, and by this name in a namespace of this name.
fn learn_unseen(client: &Client, name: &str) {
    client.namespace(name).learn(Concept::new(name).content("in a namespace")).unwrap();
    let content = format!("a{}b\nsecond{}", unseen(), unseen());
    client.learn(Concept::new(name).content(content).embedding([1.0])).unwrap();
    client.learn(Concept::new("like").content(unseen()).embedding([1.0])).unwrap();
    client.associate(Association::between(name, "like")).unwrap();
}

#[test]
fn nothing_that_is_stored_or_given_steers_or_deceives_a_terminal() {
    let server = Server::start(&[]);
    let (client, name) = (server.client(), format!("dog{}god", unseen()));
    learn_unseen(&client, &name);
    let folder = support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join(format!("{}.jsonl", unseen()));
    std::fs::write(&file, format!("{{\"id\":\"{name}\"}}\n{name}\n")).unwrap();
    let (file, flag, unknown) =
        (file.to_str().unwrap(), format!("--{}", unseen()), format!("un{name}"));
    for arguments in [
        &["query", &name][..],
        &["query", "like"],
        &["query", &name, "--namespace", &name],
        &["query", &unknown, "--namespace", &unknown],
        &["learn", &name, &name],
        &["associate", &name, &name],
        &["neighbors", "like"],
        &["neighbors", &name],
        &["neighbors", &unknown],
        &["path", &name, "like"],
        &["path", &name, &unknown],
        &["search", "--like", "like"],
        &["search", "--like", &unknown],
        &["search", "--vector", &name],
        &["delete", &unknown],
        &["import", file],
        &["import", &unknown],
        &["export", &unknown, "--format", "dot"],
        &["export", "--format", "jsonl", "--output", &format!("/nowhere/{name}")],
        &["query", "dog", &flag],
        &["query", "dog", "--timeout", &name],
        &["query", "dog", "--config", &unknown],
        &["query", "dog", "--server", &name],
        &["query", "dog", "--log", &name],
        &["serve", "--import", &unknown],
        &[&name],
    ] {
        let said = said(&server.run(arguments));
        assert!(!said.is_empty(), "{arguments:?}");
        assert_harmless(arguments, &said);
    }
    let shown = said(&server.run(&["query", &name]));
    for c in UNSEEN {
        assert!(
            shown.contains(&c.escape_unicode().to_string()),
            "{c:?} is shown as what it is: {shown}"
        );
    }
    let unreachable = run(&[
        "grid",
        "spawn",
        &name,
        "--name",
        &name,
        "--master",
        "127.0.0.1:1",
        "--timeout",
        "100ms",
    ]);
    assert_harmless(&["grid spawn"], &said(&unreachable));

    // What people write is shown as they wrote it.
    let plain = "naïve e\u{301} 犬 🐕\u{fe0f} עברית";
    client.learn(Concept::new(plain).content(plain)).unwrap();
    assert!(said(&server.run(&["query", plain])).matches(plain).count() == 2);
}

#[test]
fn programs_get_contents_whole_and_numbers_by_their_shortest_digits() {
    let server = Server::start(&[]);
    let client = server.client();
    let content = format!("first line\r\nsecond\tline {}\n", unseen());
    for name in ["a", "b"] {
        client
            .learn(
                Concept::new(name)
                    .content(&content)
                    .strength(0.7)
                    .confidence(0.9)
                    .embedding([0.1, 0.2]),
            )
            .unwrap();
    }
    client.associate(Association::between("a", "b").confidence(0.9)).unwrap();
    let json = |arguments: &[&str]| {
        let output = server.run(&[arguments, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        (serde_json::from_str::<Value>(&text).unwrap(), text)
    };
    let (neighbors, neighbors_text) = json(&["neighbors", "a"]);
    let (path, path_text) = json(&["path", "a", "b"]);
    let (search, _) = json(&["search", "--vector", "[0.1,0.2]"]);
    let (query, query_text) = json(&["query", "a"]);
    for (found, place) in [
        (&neighbors["neighbors"][0], "neighbors"),
        (&path["paths"][0]["concepts"][1], "path"),
        (&search["results"][0], "search"),
        (&query, "query"),
    ] {
        assert_eq!(found["content"], content, "{place}");
    }
    for text in [&neighbors_text, &path_text, &query_text] {
        assert!(text.contains("\"confidence\":0.9") && !text.contains("0.89999"), "{text}");
    }
    assert_eq!(
        (query["strength"].as_f64(), query["embedding"][0].as_f64()),
        (Some(0.7), Some(0.1))
    );
    let similarity = search["results"][0]["similarity"].to_string();
    assert!(similarity.len() <= "0.99999994".len(), "{similarity}");
    let exported =
        String::from_utf8(server.run(&["export", "a", "--format", "dot"]).stdout).unwrap();
    assert!(exported.contains("confidence=\"0.9\""), "{exported}");
    // People get the first line in lists.
    let shown = said(&server.run(&["neighbors", "a"]));
    assert!(shown.contains("first line") && !shown.contains("second"), "{shown}");
}
