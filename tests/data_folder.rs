//! What happens to a data folder under a running server, and to copies of one: nothing is
//! acknowledged into a folder that is gone, nothing is written into another store's folder, and a
//! folder whose files do not fit together is refused as a copy.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::hosts::SmallDisk;
use crate::support::{Folder, PATIENCE, Server, sutra};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{ClientError, Concept};

fn concept(name: &str, content: &str) -> Concept {
    Concept::new(name).content(content)
}

fn learn(client: &Client, name: &str) -> Result<(), ClientError> {
    client.learn(concept(name, "as it is")).map(drop)
}

/// Writes on until a write is refused; returns the words, and the names that were acknowledged
/// before.
fn until_refused(client: &Client, prefix: &str) -> (String, Vec<String>) {
    let (until, mut names) = (Instant::now() + PATIENCE, Vec::new());
    loop {
        let name = format!("{prefix}-{}", names.len());
        match learn(client, &name) {
            Ok(()) => names.push(name),
            Err(error) => return (error.to_string(), names),
        }
        assert!(Instant::now() < until, "writes are still taken");
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn holds(server: &Server, names: &[String]) {
    let client = server.client();
    for name in names {
        assert!(client.query(name).unwrap().is_some(), "{name} was acknowledged");
    }
}

/// Starts a server on a folder that it is to refuse: its words.
fn refused(data: &Path, cores: &str) -> String {
    let mut command = sutra();
    command.args([
        "serve",
        "--no-pin",
        "--cores",
        cores,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "127.0.0.1:0",
        "--data",
    ]);
    let output = command.arg(data).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn manifest(data: &Path) -> Value {
    serde_json::from_slice(&fs::read(data.join("manifest.json")).unwrap()).unwrap()
}

fn counter(server: &Server, name: &str) -> u64 {
    let stats: Value = serde_json::from_slice(&server.run(&["stats", "--json"]).stdout).unwrap();
    stats["counters"][name].as_u64().unwrap()
}

/// Waits until the manifest says that the log of a one-core server was whole up to its end.
fn until_marked(server: &Server) -> u64 {
    let end = counter(server, "log_bytes");
    let mark = || manifest(&server.data())["marks"][0]["offset"].as_u64().unwrap();
    until("the mark rises", || mark() == end);
    end
}

#[test]
fn a_server_whose_folder_was_moved_refuses_writes_and_leaves_the_next_one_alone() {
    let first = Server::start(&[]);
    let client = first.client();
    learn(&client, "before").unwrap();
    let (data, moved) = (first.data(), first.data().with_file_name("moved"));
    fs::rename(&data, &moved).unwrap();
    let (words, mut names) = until_refused(&client, "first");
    names.push("before".into());
    assert!(words.contains("leads nowhere") && words.contains(moved.to_str().unwrap()), "{words}");
    assert!(!client.health().unwrap().healthy);
    assert!(client.query("before").unwrap().is_some(), "reads go on");

    // Another store where the first one was.
    let (second, kept) = (Server::start(&[]), Folder::new());
    let (status, second) = second.stop();
    assert!(status.success());
    fs::rename(second.folder.path(), &data).unwrap();
    let theirs = manifest(&data);
    until("it is told of the other folder", || {
        client.health().unwrap().status.contains("another folder")
    });
    assert!(learn(&client, "never").is_err());
    let (status, first) = first.stop();
    assert!(status.success(), "it is whole where it is now");
    assert_eq!(manifest(&data), theirs, "another's manifest is not written");

    fs::rename(&moved, kept.path()).unwrap();
    let server = Server::start_on(kept, &[]);
    holds(&server, &names);
    assert!(server.client().query("never").unwrap().is_none());
    drop(first.start());
}

#[test]
fn a_folder_that_comes_back_is_written_to_again() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    let (data, moved) = (server.data(), server.data().with_file_name("moved"));
    fs::rename(&data, &moved).unwrap();
    let (_, mut names) = until_refused(&client, "x");
    fs::rename(&moved, &data).unwrap();
    until("writes are taken again", || learn(&client, "after").is_ok());
    names.push("after".into());
    holds(&server.kill().start(), &names);
}

#[test]
fn nothing_is_acknowledged_for_long_into_a_folder_that_was_removed_and_its_end_says_so() {
    let server = Server::start(&[]);
    let client = server.client();
    learn(&client, "before").unwrap();
    fs::remove_dir_all(server.data()).unwrap();
    let (words, _) = until_refused(&client, "x");
    assert!(words.contains("was removed") && words.contains("sutra export"), "{words}");
    assert!(client.flush().is_err());
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(3), "what was acknowledged is not stored");
}

#[test]
fn a_segment_or_a_manifest_that_is_taken_away_or_exchanged_stops_writes_until_it_is_back() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    learn(&client, "before").unwrap();
    let (segment, manifest) =
        (server.data().join("shard-000/segment-00000000.log"), server.data().join("manifest.json"));
    let kept = segment.with_extension("kept");
    fs::rename(&segment, &kept).unwrap();
    let (words, _) = until_refused(&client, "a");
    assert!(words.contains("segment-00000000.log was removed"), "{words}");
    fs::rename(&kept, &segment).unwrap();
    until("writes are taken again", || learn(&client, "b").is_ok());

    // Another store's manifest is refused and not overwritten; one that is gone is written again.
    let mine = fs::read(&manifest).unwrap();
    let other = Server::start(&["--cores", "1"]);
    let theirs = fs::read(other.data().join("manifest.json")).unwrap();
    fs::write(&manifest, &theirs).unwrap();
    let (words, _) = until_refused(&client, "c");
    assert!(words.contains("another store's"), "{words}");
    assert_eq!(fs::read(&manifest).unwrap(), theirs);
    fs::write(&manifest, &mine).unwrap();
    until("writes are taken again", || learn(&client, "d").is_ok());
    fs::remove_file(&manifest).unwrap();
    until("it is written again", || manifest.exists());
    assert!(server.kill().start().client().query("d").unwrap().is_some());
}

#[test]
fn removing_the_lock_lets_no_second_server_in_and_the_file_comes_back() {
    let server = Server::start(&[]);
    let lock = server.data().join("lock");
    fs::remove_file(&lock).unwrap();
    let words = refused(&server.data(), "2");
    assert!(words.contains("is in use by"), "{words}");
    let pid = server.pid().to_string();
    until("it says again who has the folder", || {
        fs::read_to_string(&lock).is_ok_and(|text| text.lines().next() == Some(&pid))
    });
    let words = refused(&server.data(), "2");
    assert!(words.contains(&pid) && words.contains(&server.address.to_string()), "{words}");
    learn(&server.client(), "goes on").unwrap();
}

#[test]
fn a_killed_servers_log_that_was_cut_below_its_mark_is_refused() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    for number in 0..200 {
        learn(&client, &format!("c{number}")).unwrap();
    }
    let end = until_marked(&server);
    let server = server.kill();
    let segment = server.folder.path().join("shard-000/segment-00000000.log");
    fs::OpenOptions::new()
        .write(true)
        .open(&segment)
        .unwrap()
        .set_len(end / 2 / 4096 * 4096)
        .unwrap();
    let words = refused(&server.folder.path(), "1");
    assert!(words.contains("whole once up to") && words.contains("sutra repair"), "{words}");
}

#[test]
fn what_recovery_cut_is_told_in_numbers() {
    let server = Server::start(&["--cores", "1"]);
    learn(&server.client(), "kept").unwrap();
    let end = until_marked(&server);
    let server = server.kill();
    let segment = server.folder.path().join("shard-000/segment-00000000.log");
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 100], end).unwrap();
    let server = server.start();
    assert_eq!(counter(&server, "recovered_cut_bytes"), 100);
    assert_eq!(counter(&server, "recovered_entries"), 1);
    assert!(server.greeting.contains("listening"));
}

#[test]
fn a_log_whose_file_ends_with_a_commit_is_said_to_have_been_cut_perhaps() {
    let server = Server::start(&["--cores", "1"]);
    learn(&server.client(), "kept").unwrap();
    let end = until_marked(&server);
    let server = server.kill();
    let segment = server.folder.path().join("shard-000/segment-00000000.log");
    fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(end).unwrap();
    let (mut child, client) = open_copy(&server.folder.path(), "1").unwrap();
    assert!(client.query("kept").unwrap().is_some());
    child.kill().unwrap();
    let words = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(words.contains("the file ends with a commit"), "{words}");
}

/// Lets another process open this many files more than it has open.
fn leave_files(pid: u32, count: usize) {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let name = |file: std::io::Result<fs::DirEntry>| {
        file.unwrap().file_name().to_str().unwrap().parse().unwrap()
    };
    let open: HashSet<u64> = files.map(name).collect();
    // The numbers of files are below the limit, and each gets the lowest that is free.
    let limit = (0..).filter(|number| !open.contains(number)).nth(count).unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
}

#[test]
fn a_server_out_of_descriptors_says_so_and_writes_again_when_it_has_some() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    learn(&client, "before").unwrap();
    let content = "x".repeat(4 << 20);
    let mut refusal = None;
    for number in 0..40 {
        // Each time anew: a manifest that is written at that moment has one that it gives back. A
        // segment takes two.
        leave_files(server.pid(), 0);
        let record = concept(&format!("long-{number}"), &content);
        if let Err(error) = client.learn(record.clone()) {
            refusal = Some(error.to_string());
            break;
        }
    }
    let refusal = refusal.expect("there is no room for all of it without another segment");
    assert!(refusal.contains("out of descriptors") && !refusal.contains("free space"), "{refusal}");
    leave_files(server.pid(), 200);
    let record = concept("at last", &content);
    until("writes are taken again", || client.learn(record.clone()).is_ok());
    assert!(server.kill().start().client().query("at last").unwrap().is_some());
}

fn copy(data: &Path, to: &Path, with: &str) {
    let status = match with {
        "cp" => Command::new("cp").arg("-r").arg(data).arg(to).status(),
        _ => {
            fs::create_dir(to).unwrap();
            let (from, to) = (data.display(), to.display());
            Command::new("sh")
                .arg("-c")
                .arg(format!("tar -C {from} -cf - . 2>/dev/null | tar -C {to} -xf -"))
                .status()
        }
    };
    // A file that changes while it is read is what this is about.
    let _ = status.unwrap();
}

/// Copies of a server's folder that are made while it is written to, a record after the other:
/// `c0`, `c1` and so on.
fn copies_under_writes(server: &Server, place: &Folder) -> Vec<PathBuf> {
    let client = server.client();
    let copies: Vec<PathBuf> =
        (0..6).map(|number| place.path().with_file_name(format!("copy-{number}"))).collect();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let content = "x".repeat(60_000);
            for number in 0..2000 {
                client.learn(concept(&format!("c{number}"), &content)).unwrap();
                if is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for (number, to) in copies.iter().enumerate() {
            copy(&server.data(), to, if number % 2 == 0 { "cp" } else { "tar" });
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    copies
}

/// Opens a copy: the server that serves it, or why it is refused.
fn open_copy(copied: &Path, cores: &str) -> Result<(std::process::Child, Client), String> {
    let mut command = sutra();
    command.args([
        "serve",
        "--no-pin",
        "--cores",
        cores,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "off",
        "--data",
    ]);
    let mut child =
        command.arg(copied).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.as_mut().unwrap()),
        &mut line,
    )
    .unwrap();
    match crate::support::address(&line, "listening") {
        Some(address) => Ok((child, Client::connect(address.to_string()).unwrap())),
        None => Err(String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()),
    }
}

#[test]
fn a_copy_of_a_running_store_opens_as_a_prefix_or_is_said_to_be_one() {
    let (server, place) = (Server::start(&["--cores", "1"]), Folder::new());
    for copied in copies_under_writes(&server, &place) {
        match open_copy(&copied, "1") {
            Ok((mut child, client)) => {
                let count = client.stats().unwrap().concepts.to_native();
                let is_there = |number: u64| client.query(format!("c{number}")).unwrap().is_some();
                assert!(
                    (0..count).all(is_there) && !is_there(count),
                    "{count} that are not the first"
                );
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Err(words) => assert!(
                words.contains("is a copy that was made while a server was writing"),
                "{words}"
            ),
        }
    }
}

#[test]
fn a_copy_of_a_running_store_of_several_cores_is_refused_unless_that_is_wanted() {
    let (server, place) = (Server::start(&["--cores", "2"]), Folder::new());
    let copies = copies_under_writes(&server, &place);
    for copied in &copies {
        let words = open_copy(copied, "2").map(|_| ()).unwrap_err();
        assert!(
            words.contains("is a copy that was made while") && words.contains("its 2 shards"),
            "{words}"
        );
    }
    let is_opened = copies.iter().any(|copied| {
        fs::remove_file(copied.join("lock")).unwrap();
        let opened = open_copy(copied, "2").map(|(mut child, _)| {
            child.kill().unwrap();
            child.wait().unwrap();
        });
        opened.is_ok()
    });
    assert!(is_opened, "as the words say, where a copy is whole");
}

#[test]
fn files_of_different_times_are_said_to_be_a_copy() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    learn(&client, "early").unwrap();
    let copied = server.data().with_file_name("copied");
    fs::create_dir_all(copied.join("shard-000")).unwrap();
    fs::copy(
        server.data().join("shard-000/segment-00000000.log"),
        copied.join("shard-000/segment-00000000.log"),
    )
    .unwrap();
    learn(&client, "late").unwrap();
    until_marked(&server);
    for name in ["manifest.json", "lock"] {
        fs::copy(server.data().join(name), copied.join(name)).unwrap();
    }
    for _ in 0..2 {
        let words = refused(&copied, "1");
        assert!(words.contains("is a copy that was made while a server was writing"), "{words}");
        assert!(words.contains("copy its folder again"), "{words}");
    }
}

#[test]
fn a_full_disk_is_opened_for_reading_and_takes_writes_again_when_there_is_room() {
    let Some((folder, disk)) = SmallDisk::mount(8 << 20) else {
        return;
    };
    // The data folder is on the small disk, by a link: its path is the test's own.
    let data = disk.0.join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&data, folder.path()).unwrap();
    let ballast = disk.0.join("ballast");
    let server = Server::start_on(folder, &["--cores", "1"]);
    let client = server.client();
    learn(&client, "before").unwrap();
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    drop(file);
    let content = "x".repeat(100_000);
    let full = |client: &Client| {
        (0..100).find_map(|n| client.learn(concept(&format!("l{n}"), &content)).err())
    };
    let words = full(&client).expect("the disk is full").to_string();
    assert!(words.contains("free space"), "{words}");

    let server = server.kill().start();
    let client = server.client();
    assert!(client.query("before").unwrap().is_some(), "it is read");
    assert!(full(&client).is_some_and(|error| error.to_string().contains("free space")));
    fs::remove_file(&ballast).unwrap();
    until("writes are taken again", || client.learn(concept("after", &content)).is_ok());
    let (status, _) = server.stop();
    assert!(status.success());
}
