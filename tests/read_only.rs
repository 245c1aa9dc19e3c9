//! `serve --read-only`: nothing is written, whatever the store is like, and what is whole of it is
//! served.

use std::fs;
use std::process::Output;

use serde_json::Value;
use sutra_client::Concept;

use crate::support::damage::{CONCEPTS, damage, files, flip, segments, stopped, there};
use crate::support::http::get;
use crate::support::{Server, run};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

const READ_ONLY: [&str; 3] = ["--read-only", "--admin", "127.0.0.1:0"];

#[test]
fn a_store_is_served_and_nothing_is_written_to_its_folder() {
    let folder = stopped("2");
    let data = folder.path();
    let before = files(&data);
    let server = Server::start_on(folder, &READ_ONLY);
    assert_eq!(there(&server).len(), CONCEPTS);
    let client = server.client();
    let refused = client.learn(Concept::new("new").content("x")).unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    let refused = client.namespace("new").learn(Concept::new("new")).unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    let refused = client.delete("n1").unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    let health = server.run(&["health"]);
    assert_eq!(health.status.code(), Some(0), "{}", words(&health));
    assert!(words(&health).contains("read-only"), "{}", words(&health));
    let metrics = get(server.admin(), "/metrics").1;
    assert!(metrics.contains("\nsutra_read_only 1.0\n"), "{metrics}");
    let stats: Value = serde_json::from_str(&get(server.admin(), "/api/v1/stats").1).unwrap();
    assert_eq!((&stats["read_only"], &stats["damaged"]), (&true.into(), &0.into()));
    // Two may read.
    let beside = run(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(beside.status.code(), Some(0), "{}", words(&beside));
    // None may write.
    let beside = run(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(beside.status.code(), Some(3), "{}", words(&beside));
    let (status, _stopped) = server.stop();
    assert!(status.success() && files(&data) == before);
}

#[test]
fn no_backup_is_taken_of_what_may_not_be_the_whole_store() {
    for is_damaged in [false, true] {
        let folder = stopped("2");
        if is_damaged {
            // The capacity in a segment's header: more than 4 GiB.
            flip(&segments(&folder.path())[0], 45);
        }
        let server = Server::start_on(folder, &["--read-only"]);
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let to = place.path().join("backups");
        for to in [to.to_str().unwrap(), "-"] {
            let refused = server.run(&["backup", to]);
            assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
            assert!(words(&refused).contains("read-only"), "{}", words(&refused));
        }
        let mut left = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(left.all(|name| !name.to_str().unwrap().starts_with("backup-")));
        assert_eq!(there(&server).len(), CONCEPTS, "it serves on");
    }
}

#[test]
fn a_torn_tail_is_left_where_it_is_and_not_served() {
    let folder = stopped("1");
    let data = folder.path();
    // What follows the log's end is garbage.
    let path = &segments(&data)[0];
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(4096);
    bytes[end..end + 100].fill(7);
    fs::write(path, bytes).unwrap();
    let before = files(&data);
    let server = Server::start_on(folder, &["--cores", "1", "--read-only"]);
    assert_eq!(there(&server).len(), CONCEPTS);
    let (_, _stopped) = server.stop();
    assert!(files(&data) == before);
}

#[test]
fn a_damaged_store_is_served_as_far_as_it_is_whole_and_says_so() {
    let folder = stopped("2");
    let data = folder.path();
    damage(&data, 70);
    let refused = run(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(3));
    let before = files(&data);
    let server = Server::start_on(folder, &READ_ONLY);
    let expected: Vec<_> = (0..CONCEPTS).filter(|number| *number != 70).collect();
    assert_eq!(there(&server), expected);
    let health = server.run(&["health"]);
    assert_eq!(health.status.code(), Some(1), "{}", words(&health));
    assert!(words(&health).contains("degraded: 1 place"), "{}", words(&health));
    let is_counted = || {
        let metrics = get(server.admin(), "/metrics").1;
        metrics.contains("\nsutra_damaged_places 1.0\n")
    };
    assert!(is_counted());
    // A scrub finds it again, and has nothing to be backed up to tell of.
    let verified = server.run(&["verify", "--bandwidth", "1G"]);
    assert_eq!(verified.status.code(), Some(1), "{}", words(&verified));
    assert!(!words(&verified).contains("memory"), "{}", words(&verified));
    assert!(words(&verified).contains("sutra repair"), "{}", words(&verified));
    assert!(is_counted());
    let health = server.run(&["health"]);
    assert!(words(&health).contains("degraded: 1 place"), "{}", words(&health));
    let (_, _stopped) = server.stop();
    assert!(files(&data) == before);
}

#[test]
fn a_store_that_lost_a_segment_and_its_manifest_is_served_too() {
    let folder = stopped("2");
    let data = folder.path();
    fs::remove_file(data.join("manifest.json")).unwrap();
    fs::remove_file(&segments(&data)[0]).unwrap();
    let server = Server::start_on(folder, &READ_ONLY);
    let there = there(&server).len();
    assert!((CONCEPTS / 4..CONCEPTS).contains(&there), "{there}");
}
