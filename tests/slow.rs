//! The slow log: what took long is kept with its stages, shown by the command and by the admin
//! port, and counted.

use std::net::SocketAddr;
use std::process::Output;

use serde_json::{Value, json};
use sutra_client::{Association, Concept, ConceptId, PathQuery};

use crate::support::http::get;
use crate::support::legacy::Legacy;
use crate::support::{Server, sutra};

/// From here on everything is slow.
const ALL: &str = "0.001ms";

fn start(slow: &str) -> (Server, SocketAddr) {
    let server = Server::start(&["--admin", "127.0.0.1:0", "--slow", slow]);
    let admin = server.admin();
    (server, admin)
}

fn slow(admin: SocketAddr, arguments: &[&str]) -> Output {
    sutra().arg("slow").args(["--admin", &admin.to_string()]).args(arguments).output().unwrap()
}

/// What the command tells, once it tells of so many.
fn kept(admin: SocketAddr, least: usize) -> Vec<Value> {
    loop {
        let output = slow(admin, &["--limit", "1000", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let requests = all["requests"].as_array().unwrap();
        if requests.len() >= least {
            return requests.clone();
        }
        std::thread::yield_now();
    }
}

fn of<'a>(kept: &'a [Value], operation: &str) -> Vec<&'a Value> {
    kept.iter().filter(|slow| slow["operation"] == operation).collect()
}

fn stage(slow: &Value, stage: &str) -> Option<u64> {
    slow["stages"][format!("{stage}_us")].as_u64()
}

/// The stages are all of the time, less what is lost where µs are rounded.
fn are_whole(kept: &[Value]) {
    for slow in kept {
        let took = slow["took_us"].as_u64().unwrap();
        let stages: u64 =
            slow["stages"].as_object().unwrap().values().map(|took| took.as_u64().unwrap()).sum();
        assert!((stages..=stages + 5).contains(&took), "{slow}");
    }
}

fn id(name: &str) -> String {
    ConceptId::from_name(name).unwrap().to_string()
}

#[test]
fn each_request_is_kept_with_its_subject_its_peer_and_its_stages() {
    let (server, admin) = start(ALL);
    let client = server.client();
    for name in ["dog", "animal"] {
        client.learn(Concept::new(name).content("one")).unwrap();
    }
    client.associate(Association::between("dog", "animal")).unwrap();
    client.query("dog").unwrap().unwrap();
    client.path(PathQuery::between("dog", "animal")).unwrap();
    assert!(client.query("nobody").unwrap().is_none());
    assert!(client.delete("animal").unwrap().concept);
    let kept = kept(admin, 7);
    are_whole(&kept);
    for (operation, subject, status, is_write) in [
        ("learn", "dog", "ok", true),
        ("learn", "animal", "ok", true),
        ("associate", "dog", "ok", true),
        ("query", "dog", "ok", false),
        ("path", "dog", "ok", false),
        ("query", "nobody", "not_found", false),
    ] {
        let found = of(&kept, operation);
        let found = found.iter().find(|slow| slow["subject"] == json!(id(subject)));
        let slow = found.unwrap_or_else(|| panic!("{operation} of {subject} in {kept:?}"));
        assert_eq!(slow["status"], status, "{slow}");
        assert_eq!(stage(slow, "commit").is_some(), is_write, "{slow}");
        assert!(stage(slow, "execute").is_some() && stage(slow, "send").is_some(), "{slow}");
        assert!(slow["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{slow}");
        assert!(slow["bytes_in"].as_u64() > Some(0) && slow["bytes_out"].as_u64() > Some(0));
    }
    let times: Vec<u64> = kept.iter().map(|slow| slow["at_us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "the newest first: {times:?}");
    let counted = get(admin, "/metrics").1;
    let counted = counted.lines().find_map(|line| line.strip_prefix("sutra_slow_requests_total "));
    assert!(counted.unwrap().parse::<f64>().unwrap() >= 7.0, "{counted:?}");
    let cores: Vec<_> = kept.iter().map(|slow| slow["core"].as_u64().unwrap()).collect();
    assert!(cores.iter().all(|core| *core < 2), "{cores:?}");
}

/// One connection is on one core, and half of what it writes is another's.
#[test]
fn writes_of_old_clients_tell_of_their_commit_whichever_core_it_is_on() {
    let (server, admin) = start(ALL);
    let mut client = Legacy::open(server.compat());
    let names: Vec<String> = (0..16).map(|number| format!("concept {number}")).collect();
    for name in &names {
        let learn = json!({ "LearnConcept": [name, "content", [], 1.0, 1.0] });
        client.ask(&rmp_serde::to_vec(&learn).unwrap());
    }
    let kept = kept(admin, names.len());
    are_whole(&kept);
    let learned = of(&kept, "learn");
    assert_eq!(learned.len(), names.len(), "{kept:?}");
    let peer = client.stream.local_addr().unwrap().to_string();
    for name in &names {
        let slow = learned.iter().find(|slow| slow["subject"] == json!(id(name))).unwrap();
        assert!(stage(slow, "commit").is_some(), "{slow}");
        assert_eq!(slow["peer"], json!(peer));
    }
}

#[test]
fn people_see_a_table_and_the_path_takes_a_limit() {
    let (server, admin) = start(ALL);
    let client = server.client();
    client.learn(Concept::new("dog").content("an animal")).unwrap();
    for _ in 0..5 {
        client.query("dog").unwrap().unwrap();
    }
    kept(admin, 6);
    let output = slow(admin, &["--limit", "3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("when ") && lines[0].ends_with("subject"), "{text}");
    assert!(lines[1].contains("query") && lines[1].ends_with(&id("dog")), "{text}");
    assert_eq!((lines.len(), lines[4]), (6, ""), "{text}");
    assert!(lines[5].starts_with("3 of ") && lines[5].contains("1.00 µs or longer"), "{text}");
    let (status, refused) = get(admin, "/api/v1/slow?limit=0");
    assert!(status == 400 && refused.contains("it goes from 1 to 1000"), "{status} {refused}");
}

#[test]
fn nothing_is_slow_where_nothing_is_looked_for_or_takes_so_long() {
    let (server, admin) = start("off");
    server.client().learn(Concept::new("dog")).unwrap();
    let said = slow(admin, &[]);
    assert!(said.status.success());
    assert!(String::from_utf8(said.stdout).unwrap().contains("--slow off"));
    let (server, admin) = start("2h");
    server.client().learn(Concept::new("dog")).unwrap();
    let said = String::from_utf8(slow(admin, &[]).stdout).unwrap();
    assert!(said.starts_with("no request has taken 7"), "{said}");
    let counted = get(admin, "/metrics").1;
    assert!(counted.contains("\nsutra_slow_requests_total 0"), "{counted}");
}

#[test]
fn a_port_where_nobody_answers_or_somebody_else_is_told_with_what_to_do() {
    let (server, admin) = start(ALL);
    let away = server.address.to_string();
    drop(server);
    for (address, code, words) in [
        (admin.to_string(), 3, "nobody listens there; does a server run there"),
        ("off".into(), 2, "--admin ADDRESS names the port"),
        ("127.0.0.1".into(), 2, "expected a host and a port"),
        (away, 3, "no answer from the admin port"),
    ] {
        let output = sutra().args(["slow", "--admin", &address]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{address}: {said}");
        assert!(said.contains(words), "{address}: {said}");
    }
    let (server, _) = start(ALL);
    let native = server.address.to_string();
    let output = sutra().args(["slow", "--admin", &native]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&native) && said.contains("--admin names another"), "{said}");
}
