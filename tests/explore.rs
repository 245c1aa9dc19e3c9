//! How two concepts are connected and what is like one, as it is asked on the command line and from
//! Rust.

use std::process::Output;

use crate::support::Server;
use serde_json::{Value, json};
use sutra_client::blocking::Client;
use sutra_client::{
    Association, AssociationKind, Concept, ConceptId, Direction, PathQuery, SearchQuery,
};

/// Dogs, wolves and cats are mammals; each has a vector; what a cat brings about is not learned.
fn zoo(client: &Client) {
    for (name, content, embedding, strength) in [
        ("dog", "barks\nand more", vec![1.0, 0.0, 0.0], 1.0),
        ("wolf", "howls", vec![0.8, 0.6, 0.0], 2.0),
        ("cat", "meows", vec![0.0, 1.0, 0.0], 1.0),
        ("mammal", "is warm", Vec::new(), 1.0),
        ("pet", "is kept", vec![0.0, 0.0, -1.0], 1.0),
    ] {
        client
            .learn(Concept::new(name).content(content).embedding(embedding).strength(strength))
            .unwrap();
    }
    for (from, to, kind, confidence) in [
        ("dog", "mammal", AssociationKind::HIERARCHICAL, 1.0),
        ("wolf", "mammal", AssociationKind::HIERARCHICAL, 1.0),
        ("cat", "mammal", AssociationKind::HIERARCHICAL, 0.5),
        ("dog", "pet", AssociationKind::COMPOSITIONAL, 1.0),
        ("wolf", "pet", AssociationKind::COMPOSITIONAL, 0.25),
        ("cat", "pet", AssociationKind::COMPOSITIONAL, 1.0),
        ("dog", "cat", AssociationKind::SEMANTIC, 0.25),
        ("cat", "purring", AssociationKind::CAUSAL, 1.0),
    ] {
        client.associate(Association::between(from, to).kind(kind).confidence(confidence)).unwrap();
    }
}

fn zoo_server() -> Server {
    let server = Server::start(&["--cores", "3"]);
    zoo(&server.client());
    server
}

fn id(name: &str) -> String {
    ConceptId::from_name(name).unwrap().to_string()
}

/// What a command prints and how it exits.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout) + &text(&output.stderr), output.status.code())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?}", said(output)))
}

#[test]
fn a_path_is_told_by_names_with_the_kind_and_direction_of_each_association() {
    let server = zoo_server();
    let path = |arguments: &[&str]| said(&server.run(&[&["path"], arguments].concat()));
    let lines = |lines: &[&str]| (lines.join("\n") + "\n", Some(0));
    assert_eq!(
        path(&["mammal", "purring"]),
        lines(&[
            "mammal <--hierarchical 0.5-- cat  meows",
            "cat --causal--> purring  not learned yet",
            "2 associations from mammal to purring"
        ])
    );
    assert_eq!(
        path(&["dog", "cat"]),
        lines(&["dog --semantic 0.25--> cat  meows", "1 association from dog to cat"])
    );
    assert_eq!(
        path(&["dog", "cat", "--most-confident"]),
        lines(&[
            "dog --compositional--> pet  is kept",
            "pet <--compositional-- cat  meows",
            "2 associations from dog to cat"
        ])
    );
    assert_eq!(
        path(&["dog", "cat", "--type", "hierarchical,causal"]),
        lines(&[
            "dog --hierarchical--> mammal  is warm",
            "mammal <--hierarchical 0.5-- cat  meows",
            "2 associations from dog to cat"
        ])
    );
    let (both, code) = path(&["wolf", "cat", "--alternatives", "5"]);
    let numbered: Vec<&str> = both.lines().filter(|line| line.starts_with("path ")).collect();
    let expected = ["path 1 of 2: 2 associations", "path 2 of 2: 2 associations"];
    assert_eq!(
        (numbered.as_slice(), both.lines().count(), code),
        (&expected[..], 6, Some(0)),
        "{both}"
    );
    assert_eq!(path(&["dog", "dog", "--max-depth", "0"]), lines(&["dog  barks"]));
}

#[test]
fn a_path_that_there_is_not_is_a_no_that_says_what_was_looked_for() {
    let server = zoo_server();
    for (arguments, says) in [
        (
            &["wolf", "purring", "--max-depth", "2"][..],
            "no path of at most 2 associations from wolf to purring",
        ),
        (
            &["cat", "dog", "--direction", "out"],
            "from cat to dog, each followed from source to target",
        ),
        (
            &["dog", "cat", "--direction", "in"],
            "from dog to cat, each followed from target to source",
        ),
        (
            &["dog", "purring", "--type", "temporal"],
            "no path of at most 6 temporal associations from dog to purring",
        ),
        (&["dog", "nobody"], "nobody is not known"),
        (&["nobody", "dog"], "nobody is not known"),
        (&["nobody", "nobody"], "nobody is not known"),
        (&["nobody", "nothing"], "nobody and nothing are not known"),
        (
            &["dog", "dog", "--namespace", "elsewhere"],
            "dog is not known in the namespace elsewhere",
        ),
        (
            &["dog", "cat", "--namespace", "elsewhere"],
            "dog and cat are not known in the namespace elsewhere",
        ),
    ] {
        let (text, code) = said(&server.run(&[&["path"], arguments].concat()));
        assert!(
            code == Some(1) && text.contains(says) && text.lines().count() == 1,
            "{arguments:?}: {text}"
        );
    }
    let none = json(&server.run(&["path", "dog", "nobody", "--json"]));
    assert_eq!(
        none,
        json!({"found": false, "start": "dog", "end": "nobody", "unknown": ["nobody"], "paths": []})
    );
    let itself = json(&server.run(&["path", "nobody", "nobody", "--json"]));
    assert_eq!((&itself["found"], &itself["unknown"]), (&json!(false), &json!(["nobody"])));
    let (text, code) = said(&server.run(&["path", "purring", "purring"]));
    assert!(code == Some(0) && text.contains("not learned yet"), "an association names it: {text}");
    let found = json(&server.run(&["path", "pet", "cat", "--json"]));
    let concept = |name: &str, content: &str| {
        json!({
            "id": id(name), "name": name, "learned": true, "content": content
        })
    };
    let expected = json!([{
        "length": 1,
        "concepts": [concept("pet", "is kept"), concept("cat", "meows")],
        "associations": [{"type": "compositional", "direction": "in", "confidence": 1.0}],
    }]);
    assert_eq!((&found["found"], &found["paths"]), (&json!(true), &expected));
}

#[test]
fn what_is_like_a_concept_or_a_vector_is_told_with_its_similarity() {
    let server = zoo_server();
    let search = |arguments: &[&str]| said(&server.run(&[&["search"], arguments].concat()));
    let lines = |lines: &[&str]| (lines.join("\n") + "\n", Some(0));
    let like_dog = [" 0.8000  wolf  howls", " 0.0000  cat   meows", " 0.0000  pet   is kept"];
    let (text, code) = search(&["--like", "dog"]);
    let mut found: Vec<&str> = text.lines().collect();
    // Two are equally unlike a dog.
    found[1..].sort_unstable();
    assert_eq!((found.as_slice(), code), (&like_dog[..], Some(0)), "the dog itself is left out");
    assert_eq!(search(&["--like", "dog", "-k", "1"]), lines(&like_dog[..1]));
    assert_eq!(
        search(&["--vector", "[1, 0, 0]", "-k", "1", "--exact"]),
        lines(&[" 1.0000  dog  barks"])
    );
    assert_eq!(
        search(&["--vector", "[-3, -4, 0]", "-k", "4"]).0.lines().last(),
        Some("-0.9600  wolf  howls")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[0, 7, 0]").unwrap();
    let file = file.path().to_str().unwrap();
    assert_eq!(
        search(&["--vector", file, "-k", "1", "--ef-search", "400"]),
        lines(&[" 1.0000  cat  meows"])
    );
    assert_eq!(
        search(&["--vector", file, "--min-strength", "1.5"]),
        lines(&[" 0.6000  wolf  howls"])
    );
    assert_eq!(
        search(&["--like", "wolf", "--near", "pet", "--within", "0"]),
        lines(&[" 0.0000  pet  is kept"])
    );
    let found = json(&server.run(&["search", "--like", "dog", "-k", "1", "--json"]));
    assert_eq!((&found["found"], &found["results"][0]["name"]), (&json!(true), &json!("wolf")));
    assert_eq!(found["results"][0]["id"], id("wolf"));
}

#[test]
fn a_search_that_finds_nothing_or_can_not_be_meant_says_why() {
    let server = zoo_server();
    for (arguments, exit, says) in [
        (&["--like", "nobody"][..], 1, "nobody is not known"),
        (&["--like", "mammal"], 1, "mammal has no embedding"),
        (&["--like", "dog", "--min-strength", "100"], 1, "nothing found"),
        (&["--like", "dog", "--near", "nobody", "--within", "1"], 1, "nobody is not known"),
        (&["--vector", "[1, 0, 0]", "--near", "nobody", "--within", "0"], 1, "nobody is not known"),
        (&["--like", "dog", "--near", "mammal", "--within", "0"], 1, "nothing found"),
        (&["--like", "purring"], 1, "purring is not learned yet"),
        (&["--vector", "[1, 0, 0]", "--namespace", "elsewhere"], 1, "nothing found"),
        (&["--vector", "no-such-file"], 2, "no-such-file"),
        (&["--vector", "[1, 0]"], 3, "have 3"),
        (&["--vector", "[]"], 2, "vector"),
        (&["--like", "dog", "--min-confidence", "2"], 2, "confidence"),
    ] {
        let (text, code) = said(&server.run(&[&["search"], arguments].concat()));
        assert!(code == Some(exit) && text.contains(says), "{arguments:?}: {text}");
    }
}

/// What is asked of a concept that is not known is answered alike by all commands.
#[test]
fn every_command_says_of_a_concept_that_it_is_not_known() {
    let server = zoo_server();
    for arguments in [
        &["query", "nobody"][..],
        &["neighbors", "nobody"],
        &["neighbors", "nobody", "--type", "causal", "--limit", "0"],
        &["path", "nobody", "nobody"],
        &["path", "dog", "nobody"],
        &["search", "--like", "nobody"],
        &["search", "--like", "dog", "--near", "nobody", "--within", "3"],
        &["export", "nobody", "--format", "dot"],
        &["delete", "nobody"],
    ] {
        let (text, code) = said(&server.run(arguments));
        assert_eq!((text.as_str(), code), ("nobody is not known\n", Some(1)), "{arguments:?}");
        let (text, code) = said(&server.run(&[arguments, &["--json"]].concat()));
        assert!(
            code == Some(1) && text.contains("false") && text.contains("nobody"),
            "{arguments:?}: {text}"
        );
        let there = &[arguments, &["--namespace", "elsewhere"]].concat();
        let (text, code) = said(&server.run(there));
        assert!(
            code == Some(1) && text.ends_with(" not known in the namespace elsewhere\n"),
            "{there:?}: {text}"
        );
    }
    // What associations name is known, whether or not they are of the kind that is asked for.
    let (text, code) = said(&server.run(&["neighbors", "purring", "--type", "temporal"]));
    assert_eq!((text.as_str(), code), ("purring: no neighbours found\n", Some(0)));
    let (text, code) = said(&server.run(&["query", "purring"]));
    assert_eq!(
        (text.as_str(), code),
        ("purring is not learned yet; associations name it\n", Some(1))
    );
}

#[test]
fn a_search_by_a_concept_gives_as_many_others_as_asked_for_up_to_a_thousand() {
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    let angle = |number: u32| (f64::from(number) / 1_200.0).sin_cos();
    let concepts = (0..1_100).map(|number| {
        let (y, x) = angle(number);
        Concept::new(format!("c{number}")).embedding(vec![x as f32, y as f32])
    });
    assert_eq!(client.learn_many(concepts).finish().unwrap(), 1_100);
    for (k, further) in [("1000", &[][..]), ("1000", &["--exact"]), ("999", &[]), ("1", &[])] {
        let asked = [&["search", "--like", "c0", "-k", k, "--json"][..], further].concat();
        let found = json(&server.run(&asked));
        let results = found["results"].as_array().unwrap();
        assert_eq!(results.len().to_string(), k, "{further:?}");
        assert!(results.iter().all(|hit| hit["name"] != "c0"));
    }
    let all = client.search(SearchQuery::like([1.0, 0.0]).k(1_001)).unwrap();
    assert_eq!((all.hits.len(), ConceptId(all.hits[0].id).to_string()), (1_001, id("c0")));
    let more = client.search(SearchQuery::like([1.0, 0.0]).k(1_002)).unwrap_err().to_string();
    assert!(more.contains('k') && more.contains("1001"), "{more}");
    assert_eq!(said(&server.run(&["search", "--like", "c0", "-k", "1001"])).1, Some(2));
}

#[test]
fn neighbours_are_counted_apart_from_the_associations_that_lead_to_them() {
    let server = Server::start(&["--cores", "3"]);
    let client = server.client();
    let neighbors = |of: &str, further: &[&str]| {
        let (text, _) = said(&server.run(&[&["neighbors", of], further].concat()));
        (text.lines().count() - 1, text.lines().last().unwrap().to_owned())
    };
    client.associate(Association::between("narcissus", "narcissus")).unwrap();
    for direction in ["both", "out", "in"] {
        assert_eq!(
            neighbors("narcissus", &["--direction", direction]),
            (1, "1 neighbour of narcissus".into())
        );
    }
    for kind in [0, 1, 7] {
        client.associate(Association::between("a", "b").kind(AssociationKind(kind))).unwrap();
    }
    client.associate(Association::between("b", "a")).unwrap();
    assert_eq!(neighbors("a", &[]), (4, "1 neighbour of a, by 4 associations".into()));
    assert_eq!(neighbors("a", &["--type", "causal"]), (1, "1 neighbour of a".into()));
    client.associate(Association::between("a", "c")).unwrap();
    assert_eq!(neighbors("a", &[]), (5, "2 neighbours of a, by 5 associations".into()));
    assert_eq!(
        neighbors("a", &["--limit", "5"]),
        (5, "2 neighbours of a, by 5 associations".into())
    );
    let (lines, last) = neighbors("a", &["--limit", "4"]);
    assert!(lines == 4 && last.ends_with("; there are more: ask with --limit 0 for all"), "{last}");
    // The fifth one is of another kind: the server returns a cursor, and the next page is empty.
    assert_eq!(neighbors("a", &["--limit", "1", "--type", "7"]), (1, "1 neighbour of a".into()));
    let json = json(&server.run(&["neighbors", "a", "--limit", "1", "--type", "7", "--json"]));
    assert_eq!(
        (&json["more"], json["neighbors"].as_array().map(Vec::len)),
        (&json!(false), Some(1))
    );
    let stats = client.stats().unwrap();
    assert_eq!(stats.associations.to_native(), 6, "the one with itself is one");
}

#[test]
fn the_rust_client_reads_paths_and_results_in_place_in_both_of_its_flavours() {
    let server = zoo_server();
    let path = || PathQuery::between("mammal", "purring").max_depth(2).direction(Direction::Both);
    let search = || SearchQuery::like([0.6, 0.8, 0.0]).k(2).ef_search(50);
    let client = server.client();
    let (paths, hits) = (client.path(path()).unwrap(), client.search(search()).unwrap());
    let found = paths.paths.first().unwrap();
    assert_eq!(
        found.concepts.iter().map(|id| ConceptId(*id).to_string()).collect::<Vec<_>>(),
        ["mammal", "cat", "purring"].map(id)
    );
    let edges: Vec<_> = found
        .edges
        .iter()
        .map(|edge| (edge.kind.to_native(), edge.confidence.to_native(), edge.forward))
        .collect();
    assert_eq!(edges, [(3, 0.5, false), (1, 1.0, true)]);
    let similar: Vec<_> = hits.hits.iter().map(|hit| ConceptId(hit.id).to_string()).collect();
    assert_eq!(similar, ["wolf", "cat"].map(id));
    assert!(
        (hits.hits[0].similarity.to_native() - 0.96).abs() < 1e-6 && hits.hits[1].similarity == 0.8
    );

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (same_paths, same_hits) = runtime.block_on(async {
        let client = sutra_client::Client::connect(server.address.to_string()).await.unwrap();
        (client.path(path()).await.unwrap(), client.search(search()).await.unwrap())
    });
    assert_eq!((same_paths.bytes(), same_hits.bytes()), (paths.bytes(), hits.bytes()));

    let most_confident = PathQuery::between("dog", "cat").most_confident();
    assert_eq!(client.path(most_confident).unwrap().paths[0].concepts.len(), 3);
    let kinds =
        PathQuery::between("dog", "cat").kinds([AssociationKind::HIERARCHICAL]).alternatives(10);
    assert_eq!(client.path(kinds).unwrap().paths.len(), 1);
    assert!(
        client
            .namespace("elsewhere")
            .path(PathQuery::between("dog", "cat"))
            .unwrap()
            .paths
            .is_empty()
    );
    let there = PathQuery::between("dog", "cat").namespace("");
    assert_eq!(client.namespace("elsewhere").path(there).unwrap().paths.len(), 1);
    let near = SearchQuery::like([1.0, 0.0, 0.0])
        .near("purring", 1)
        .minimum_strength(0.5)
        .minimum_confidence(1.0);
    let near = client.search(near).unwrap();
    assert_eq!(
        near.hits.iter().map(|hit| ConceptId(hit.id).to_string()).collect::<Vec<_>>(),
        [id("cat")]
    );
}
