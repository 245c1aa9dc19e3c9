//! `sutra repair`: what is whole of a damaged store becomes a new one, and what is lost is listed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::damage::{CONCEPTS, damage, files, filled, segments, stopped, there};
use crate::support::{Folder, Server, run, sutra};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn repair(data: &Path, to: &Path) -> Output {
    run(&["repair", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()])
}

/// A new store's folder, which does not exist yet.
fn target() -> Folder {
    Folder::new()
}

fn all_but(lost: &[usize]) -> Vec<usize> {
    (0..CONCEPTS).filter(|number| !lost.contains(number)).collect()
}

#[test]
fn what_is_whole_of_a_damaged_store_is_served_from_the_new_one() {
    let folder = stopped("2");
    let data = folder.path();
    damage(&data, 40);
    damage(&data, 41);
    let before = files(&data);
    let new = target();
    let repaired = repair(&data, &new.path());
    let text = words(&repaired);
    assert_eq!(repaired.status.code(), Some(1), "{text}");
    for part in ["\"n40\"", "\"n41\"", "of which nothing stands", "2 places", "repair-report"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(files(&data) == before, "the damaged store is as it was");
    let list = fs::read_to_string(new.path().join("repair-report.jsonl")).unwrap();
    let lines: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["entries"].as_u64().unwrap(), 2 * CONCEPTS as u64 - 3);
    let lost = lines.iter().filter(|line| line["lost"][0]["at_most"] == 1);
    assert_eq!(lost.count(), 2);
    let checked = run(&["verify", "--data", new.path().to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    let server = Server::start_on(new, &[]);
    assert_eq!(there(&server), all_but(&[40, 41]));
    let client = server.client();
    let neighbors = client.query("n42").unwrap();
    assert!(neighbors.is_some());
}

#[test]
fn a_store_without_manifest_is_found_again_with_all_that_is_in_it() {
    let folder = stopped("2");
    let data = folder.path();
    fs::remove_file(data.join("manifest.json")).unwrap();
    let new = target();
    let repaired = repair(&data, &new.path());
    assert_eq!(repaired.status.code(), Some(0), "{}", words(&repaired));
    let text = words(&repaired);
    assert!(text.contains("2 cores") && text.contains("md5-or-hex"), "{text}");
    let server = Server::start_on(new, &[]);
    assert_eq!(there(&server), all_but(&[]));
}

#[test]
fn a_missing_shard_takes_its_concepts_and_leaves_the_others() {
    let folder = stopped("2");
    let data = folder.path();
    fs::remove_dir_all(data.join("shard-001")).unwrap();
    let new = target();
    let repaired = repair(&data, &new.path());
    let text = words(&repaired);
    assert_eq!(repaired.status.code(), Some(1), "{text}");
    assert!(text.contains("shard-001") && text.contains("deleted may be back"), "{text}");
    let server = Server::start_on(new, &[]);
    let there = there(&server).len();
    assert!((CONCEPTS / 4..CONCEPTS).contains(&there), "{there}");
    // It takes writes for both shards.
    server.client().learn(sutra_client::Concept::new("new").content("x")).unwrap();
}

#[test]
fn a_lost_segment_header_takes_nothing() {
    let folder = stopped("1");
    let data = folder.path();
    let path = &segments(&data)[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[..4096].fill(0);
    fs::write(path, bytes).unwrap();
    let new = target();
    let repaired = repair(&data, &new.path());
    assert_eq!(repaired.status.code(), Some(0), "{}", words(&repaired));
    assert_eq!(there(&Server::start_on(new, &["--cores", "1"])), all_but(&[]));
}

#[test]
fn a_folder_that_holds_something_or_is_in_use_is_refused() {
    let folder = stopped("1");
    let data = folder.path();
    let refused = repair(&data, &data);
    assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
    let other = stopped("1");
    let refused = repair(&data, &other.path());
    assert!(words(&refused).contains("is not empty"), "{}", words(&refused));
    let server = Server::start_on(folder, &["--cores", "1"]);
    let refused = repair(&server.data(), &target().path());
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    assert!(words(&refused).contains("in use by"), "{}", words(&refused));
}

#[test]
fn a_copy_of_a_running_servers_folder_is_neither_repaired_nor_served_to_be_read() {
    let server = filled("2");
    let copied = target();
    let copy = Command::new("cp").arg("-r").arg(server.data()).arg(copied.path()).status();
    assert!(copy.unwrap().success());
    let data = copied.path();
    let repaired = repair(&data, &target().path());
    let data = data.to_str().unwrap();
    let served = run(&["serve", "--read-only", "--cores", "2", "--data", data, "--admin", "off"]);
    for refused in [repaired, served] {
        assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
        let text = words(&refused);
        assert!(text.contains("is a copy") && text.contains("remove the file lock"), "{text}");
    }
}

/// Kills repairs and verifications at moments that come later and later.
fn kills(count: u32) {
    let folder = stopped("2");
    let data = folder.path();
    damage(&data, 9);
    let before = files(&data);
    let new = target();
    for kill in 0..count {
        let mut verify = sutra()
            .args(["verify", "--data"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut repair = sutra()
            .args(["repair", "--data"])
            .arg(&data)
            .arg("--to")
            .arg(new.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pause = std::time::Duration::from_micros(u64::from(kill) * 30_000 / u64::from(count));
        std::thread::sleep(pause);
        verify.kill().unwrap();
        repair.kill().unwrap();
        verify.wait().unwrap();
        repair.wait().unwrap();
        assert!(files(&data) == before, "kill {kill}");
        if new.path().join("store-unfinished").exists() {
            let started = run(&["serve", "--data", new.path().to_str().unwrap(), "--admin", "off"]);
            assert_eq!(started.status.code(), Some(3), "{}", words(&started));
            assert!(words(&started).contains("half of a store"), "{}", words(&started));
        } else if new.path().join("manifest.json").exists() {
            // It was done before it was killed.
            fs::remove_dir_all(new.path()).unwrap();
        }
    }
    let repaired = repair(&data, &new.path());
    assert_eq!(repaired.status.code(), Some(1), "{}", words(&repaired));
    assert_eq!(there(&Server::start_on(new, &[])), all_but(&[9]));
}

#[test]
fn a_killed_repair_is_no_store_and_is_done_again_by_the_next() {
    kills(8);
}

#[test]
#[ignore = "kills a hundred repairs"]
fn a_hundred_killed_repairs_are_done_again() {
    kills(100);
}
