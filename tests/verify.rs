//! `sutra verify`: a whole store, a damaged one, one that a server has; and a server that looks at
//! its own files.

use serde_json::Value;

use crate::support::damage::{CONCEPTS, damage, files, filled, find, flip, stopped, there};
use crate::support::http::get;
use crate::support::run;
use sutra_testing::wait_until;

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn a_whole_store_is_said_to_be_as_it_was_written_and_nothing_in_it_is_changed() {
    let folder = stopped("2");
    let data = folder.path();
    let before = files(&data);
    let found = run(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(0), "{}", words(&found));
    assert!(words(&found).contains("everything is as it was written"), "{}", words(&found));
    let found = json(&run(&["verify", "--json", "--data", data.to_str().unwrap()]));
    assert_eq!((&found["damaged"], &found["cores"]), (&0.into(), &2.into()));
    assert_eq!(found["entries"].as_u64().unwrap(), 2 * CONCEPTS as u64 - 1);
    assert!(files(&data) == before);
}

#[test]
fn a_changed_byte_is_named_with_its_file_its_place_and_its_concept() {
    let folder = stopped("2");
    let data = folder.path();
    let (path, at) = find(&data, &crate::support::damage::content(77));
    flip(&path, at);
    let found = run(&["verify", "--data", data.to_str().unwrap()]);
    let text = words(&found);
    assert_eq!(found.status.code(), Some(1), "{text}");
    let name = path.strip_prefix(&data).unwrap().to_str().unwrap();
    for part in [name, "\"n77\"", "probably", "1 place is damaged", "sutra repair"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let found = json(&run(&["verify", "--json", "--data", data.to_str().unwrap()]));
    assert_eq!(found["damaged"], 1);
    let finding = &found["findings"][0];
    assert_eq!((&finding["file"], &finding["severity"]), (&name.into(), &"damage".into()));
    assert!(finding["offset"].as_u64().unwrap() <= at as u64);
    assert_eq!(finding["lost"][0]["probably"]["name"], "n77");
    assert_eq!(finding["lost"][0]["at_most"], 1);
    // The start names the way out.
    let started = run(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(started.status.code(), Some(3));
    for part in [name, "sutra verify", "sutra repair", "sutra restore"] {
        assert!(words(&started).contains(part), "{}", words(&started));
    }
}

#[test]
fn a_folder_that_a_server_has_is_refused_with_the_way_to_ask_that_server() {
    let server = filled("1");
    let found = run(&["verify", "--data", server.data().to_str().unwrap()]);
    let text = words(&found);
    assert_eq!(found.status.code(), Some(3), "{text}");
    assert!(text.contains("in use by") && text.contains("verify --server"), "{text}");
    assert!(text.contains(&server.address.to_string()), "{text}");
}

#[test]
fn a_folder_without_a_store_is_no_store() {
    let folder = crate::support::Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let found = run(&["verify", "--data", folder.path().to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(3));
    assert!(words(&found).contains("no store"), "{}", words(&found));
}

#[test]
fn a_whole_store_is_never_called_damaged_where_descriptors_are_what_lacks() {
    let folder = stopped("2");
    let mut refused = 0;
    for files in 3..30 {
        let limit = format!("--nofile={files}");
        let mut verify = std::process::Command::new("prlimit");
        verify.arg(limit).arg(crate::support::sutra().get_program());
        let found = verify.args(["verify", "--data"]).arg(folder.path()).output().unwrap();
        let text = words(&found);
        match found.status.code() {
            Some(0) => assert!(text.contains("everything is as it was written"), "{text}"),
            // Where there are too few for the program itself, its loader says so.
            Some(code) => {
                assert!(code != 1 && !text.contains("damage"), "{files}, {code}: {text}");
                refused += u32::from(text.contains("out of descriptors"));
            }
            None => panic!("{files}: {text}"),
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_checkpoint_that_is_not_as_it_was_written_is_told_and_no_concept_is_called_damaged() {
    let folder = stopped("1");
    let checkpoint = folder.path().join("shard-000/vectors-0.index");
    std::fs::write(&checkpoint, [7; 1000]).unwrap();
    let found = run(&["verify", "--data", folder.path().to_str().unwrap()]);
    let text = words(&found);
    assert_eq!(found.status.code(), Some(1), "{text}");
    assert!(text.contains("replaceable: shard-000/vectors-0.index"), "{text}");
    assert!(text.contains("all that was stored is as it was written; 1 file"), "{text}");
    let server =
        crate::support::Server::start_on(folder, &["--cores", "1", "--admin", "127.0.0.1:0"]);
    let found = server.run(&["verify", "--bandwidth", "1G"]);
    let text = words(&found);
    assert_eq!(found.status.code(), Some(1), "{text}");
    assert!(text.contains("replaceable: shard-000/vectors-0.index"), "{text}");
    let health = server.run(&["health"]);
    assert_eq!(health.status.code(), Some(0), "{}", words(&health));
    assert_eq!(metric(&server, "sutra_damaged_places"), 0.0);
}

/// Metrics of a server, by the beginning of their lines.
fn metric(server: &crate::support::Server, name: &str) -> f64 {
    let metrics = get(server.admin(), "/metrics").1;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap()
}

#[test]
fn a_server_scrubs_its_files_and_says_what_it_finds_while_it_serves_on() {
    let server = filled("2");
    // What was marked as durable is read, so a flush and some looks come first.
    let marked = || {
        let manifest = std::fs::read(server.data().join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["marks"].as_array().unwrap().iter().all(|mark| {
            mark["offset"].as_u64().unwrap() > 100 * 4096 || mark["segment"].as_u64().unwrap() > 0
        })
    };
    wait_until("the marks are raised", marked);
    let found = server.run(&["verify", "--json", "--bandwidth", "1G"]);
    assert_eq!(found.status.code(), Some(0), "{}", words(&found));
    assert_eq!(json(&found)["damaged"], 0);
    assert!(json(&found)["bytes"].as_u64().unwrap() > 0);
    assert_eq!(metric(&server, "sutra_damaged_places"), 0.0);
    assert_eq!(metric(&server, "sutra_scrubs_total"), 1.0);

    let path = damage(&server.data(), 5);
    let found = server.run(&["verify", "--bandwidth", "1G"]);
    let text = words(&found);
    assert_eq!(found.status.code(), Some(1), "{text}");
    let name = path.strip_prefix(server.data()).unwrap().to_str().unwrap();
    assert!(text.contains(name) && text.contains("sutra backup"), "{text}");
    let health = server.run(&["health"]);
    assert_eq!(health.status.code(), Some(1));
    assert!(words(&health).contains("scrub found 1 place"), "{}", words(&health));
    let (_, healthz) = get(server.admin(), "/healthz");
    assert!(healthz.contains("\"healthy\": false") && healthz.contains("scrub"), "{healthz}");
    assert_eq!(metric(&server, "sutra_damaged_places"), 1.0);
    assert!(metric(&server, "sutra_scrub_last_timestamp_seconds") > 1.6e9);
    // Its memory has all of it.
    assert_eq!(there(&server).len(), CONCEPTS);
}
