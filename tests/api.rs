//! The read API of the admin port: what it tells of a server's data, and what it refuses.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Association, AssociationKind, Concept};

use crate::support::Server;
use crate::support::files::read;
use crate::support::http::get;

fn start() -> (Server, SocketAddr) {
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let admin = server.admin();
    (server, admin)
}

fn ask(admin: SocketAddr, path: &str) -> Value {
    let (status, body) = get(admin, &format!("/api/v1{path}"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn refused(admin: SocketAddr, path: &str) -> (u16, String, String) {
    let (status, body) = get(admin, &format!("/api/v1{path}"));
    let error: Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| error["error"][name].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

/// A hub with so many spokes, and a chain from the first spoke on.
fn learn_hub(client: &Client, spokes: usize) {
    let concept =
        |name: &str, vector: Vec<f32>| Concept::new(name).content("of a hub").embedding(vector);
    client.learn(concept("hub", vec![1.0, 0.0])).unwrap();
    for spoke in 0..spokes {
        let name = format!("spoke {spoke}");
        client.learn(concept(&name, vec![1.0, spoke as f32])).unwrap();
        let to = Association::between("hub", &name).kind(AssociationKind::CAUSAL).confidence(0.7);
        client.associate(to).unwrap();
    }
    client.associate(Association::between("spoke 0", "end/of it")).unwrap();
}

#[test]
fn a_concept_is_told_by_name_and_by_id_and_in_its_namespace() {
    let (server, admin) = start();
    let client = server.client();
    let content = "ä".repeat(40_000);
    client.learn(Concept::new("a/b c").content(&content).strength(2.5).confidence(0.3)).unwrap();
    client.namespace("other").learn(Concept::new("a/b c").content("another")).unwrap();
    let one = ask(admin, "/concepts/a%2Fb%20c");
    assert_eq!((&one["name"], &one["content_bytes"]), (&"a/b c".into(), &80_000.into()));
    assert_eq!(one["content"].as_str().unwrap().len(), 64 << 10);
    assert_eq!((&one["strength"], &one["confidence"]), (&2.5.into(), &0.3.into()));
    let id = one["id"].as_str().unwrap();
    assert_eq!(ask(admin, &format!("/concepts/{id}")), one);
    assert_eq!(ask(admin, "/concepts/a%2Fb%20c?namespace=other")["content"], "another");
    let (status, code, message) = refused(admin, "/concepts/nobody");
    assert_eq!((status, code.as_str()), (404, "not_found"));
    assert!(message.contains("nobody"), "{message}");
}

#[test]
fn neighbours_come_page_by_page_with_their_associations() {
    let (server, admin) = start();
    learn_hub(&server.client(), 12);
    let (mut names, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = ask(admin, &format!("/concepts/hub/neighbors?limit=5&cursor={cursor}"));
        for edge in page["neighbors"].as_array().unwrap() {
            assert_eq!((&edge["type"], &edge["direction"]), (&"causal".into(), &"out".into()));
            assert_eq!((&edge["confidence"], &edge["content"]), (&0.7.into(), &"of a hub".into()));
            assert!(names.insert(edge["name"].as_str().unwrap().to_owned()), "{edge} twice");
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names.len(), 12);
    let count = |parameters: &str| {
        let page = ask(admin, &format!("/concepts/spoke%200/neighbors?{parameters}"));
        page["neighbors"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 2);
    assert_eq!((count("direction=in"), count("direction=out")), (1, 1));
    assert_eq!((count("type=causal,hierarchical"), count("type=temporal")), (1, 0));
    assert_eq!(count("min_confidence=0.8"), 1);
    let unlearned = ask(admin, "/concepts/end%2Fof%20it");
    assert_eq!((&unlearned["learned"], &unlearned["name"]), (&false.into(), &"".into()));
}

#[test]
fn paths_and_likeness_are_told_with_the_concepts_names() {
    let (server, admin) = start();
    learn_hub(&server.client(), 4);
    let found = ask(admin, "/path?from=hub&to=end%2Fof%20it");
    let path = &found["paths"][0];
    assert_eq!((&path["length"], &path["concepts"][1]["name"]), (&2.into(), &"spoke 0".into()));
    assert_eq!(path["associations"][0]["type"], "causal");
    assert_eq!(ask(admin, "/path?from=hub&to=end%2Fof%20it&max_depth=1")["found"], false);
    let alike = ask(admin, "/search?like=hub&k=2");
    let names: Vec<_> =
        alike["results"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["spoke 0", "spoke 1"]);
    let alike = ask(admin, "/search?vector=1,0&k=1&exact=1");
    assert_eq!(alike["results"][0]["similarity"], 1.0);
}

#[test]
fn all_concepts_are_listed_once_and_found_by_a_text_in_them() {
    let (server, admin) = start();
    learn_hub(&server.client(), 200);
    for (path, list, expected) in [
        ("/concepts?limit=30&cursor=", "concepts", 201),
        ("/find?text=SPOKE%201&limit=3&cursor=", "concepts", 111),
        ("/find?text=of%20A%20hub&limit=50&cursor=", "concepts", 201),
        ("/find?text=nowhere&cursor=", "concepts", 0),
    ] {
        let (mut names, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let page = ask(admin, &format!("{path}{cursor}"));
            for concept in page[list].as_array().unwrap() {
                assert!(names.insert(concept["name"].as_str().unwrap().to_owned()), "{concept}");
            }
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(names.len(), expected, "{path}");
    }
}

#[test]
fn a_page_of_concepts_is_full_though_its_concepts_are_of_several_cores() {
    let (server, admin) = start();
    learn_hub(&server.client(), 200);
    let (mut sizes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ask(admin, &format!("/concepts?limit=67&cursor={cursor}"));
        sizes.push(page["concepts"].as_array().unwrap().len());
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    // Whether anything follows is not known where a page ends just there.
    sizes.retain(|size| *size > 0);
    assert_eq!(sizes, [67, 67, 67]);
}

#[test]
fn what_is_asked_wrongly_is_refused_with_what_would_be_right() {
    let (server, admin) = start();
    learn_hub(&server.client(), 1);
    for (path, status, words) in [
        ("/concepts?limit=1001", 400, "from 1 to 1000"),
        ("/concepts/hub/neighbors?direction=up", 400, "out, in, or both"),
        ("/concepts/hub/neighbors?type=odd", 400, "hierarchical"),
        ("/concepts/hub/neighbors?min_confidence=NaN", 400, "from 0 to 1"),
        ("/path?from=hub", 400, "to is missing"),
        ("/search", 400, "like"),
        ("/search?like=hub&within=2", 400, "near"),
        ("/search?like=nobody", 404, "nobody"),
        ("/concepts/nobody/neighbors", 404, "nobody"),
        ("/path?from=hub&to=nobody", 404, "nobody"),
        ("/search?vector=1,2,3", 400, "3 numbers"),
        ("/find", 400, "text is missing"),
        ("/concepts?namspace=x", 400, "namespace"),
    ] {
        let (is, _, message) = refused(admin, path);
        assert_eq!(is, status, "{path}: {message}");
        assert!(message.contains(words), "{path}: {message}");
    }
}

#[test]
fn counts_and_latencies_are_told_by_core_and_bucket() {
    let (server, admin) = start();
    let client = server.client();
    let before = ask(admin, "/stats");
    learn_hub(&client, 5);
    for _ in 0..10 {
        client.query("hub").unwrap();
    }
    let after = ask(admin, "/stats");
    let sum = |stats: &Value, operation: &str| -> u64 {
        let buckets = stats["latency"][operation]["buckets"].as_array();
        buckets.into_iter().flatten().map(|bucket| bucket[1].as_u64().unwrap()).sum()
    };
    assert_eq!((sum(&before, "query"), sum(&after, "query")), (0, 10));
    assert_eq!(after["latency"]["learn"]["count"], 6);
    assert_eq!(
        (&after["stored"]["concepts"], &after["requests"]["query"]),
        (&6.into(), &10.into())
    );
    let by_core = after["by_core"].as_array().unwrap();
    let concepts: u64 = by_core.iter().map(|core| core["concepts"].as_u64().unwrap()).sum();
    assert_eq!((by_core.len(), concepts), (2, 6));
    assert!(after["uptime_us"].as_u64() > before["uptime_us"].as_u64());
}

#[test]
fn every_path_is_in_the_page_and_the_page_names_no_other() {
    let (_server, admin) = start();
    let index = ask(admin, "");
    assert_eq!(index["kind"], "server");
    let paths = index["paths"].as_array().unwrap().iter();
    let mut shown: Vec<_> = paths.map(|path| path["path"].as_str().unwrap().to_owned()).collect();
    shown.push("/api/v1".into());
    let page = read(Path::new("src/api/README.md"));
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut told: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    shown.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, shown);
}
