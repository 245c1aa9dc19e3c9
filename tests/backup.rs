//! Backups of a running server, and the way back: what they hold under full load, what they take,
//! and what is refused; interrupted by `kill -9` at random moments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::http::get;
use crate::support::whole::whole;
use crate::support::{Folder, Server, sutra};
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Association, Concept, ConceptId, Neighborhood};
use tempfile::TempDir;

const WRITERS: usize = 4;

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Takes a backup: what it says of itself.
fn backup(server: &Server, to: &Path) -> Value {
    json(&server.run(&["backup", to.to_str().unwrap(), "--json"]))
}

fn restore(from: &Path, data: &Path, more: &[&str]) -> Output {
    let mut command = sutra();
    command.arg("restore").arg(from).arg("--data").arg(data).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Serves what a backup holds.
fn restored(from: &Path) -> Server {
    let folder = Folder::new();
    let cores = json(&restore(from, &folder.path(), &["--json"]))["cores"].to_string();
    Server::start_on(folder, &["--cores", &cores])
}

/// Begins a backup or a restore, to be killed.
fn begin(server: Option<&Server>, arguments: &[&str]) -> Child {
    let mut command = sutra();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(server) = server {
        command.env("SUTRA_SERVER", server.address.to_string());
    }
    command.spawn().unwrap()
}

/// `kill -9` after a random time, unless it has ended by then; whether it was killed.
fn kill_after(mut child: Child, random: &mut rand::rngs::StdRng, most: Duration) -> bool {
    let most = u64::try_from(most.as_micros()).unwrap();
    // Slowness is what is tested: the kill is to fall anywhere.
    std::thread::sleep(Duration::from_micros(random.random_range(0..most)));
    let is_over = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    !is_over
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn catalogs(folder: &Path) -> Vec<PathBuf> {
    let is_catalog = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    files(folder).into_iter().filter(is_catalog).collect()
}

fn pieces(folder: &Path) -> Vec<PathBuf> {
    files(&folder.join("pieces"))
}

/// A new place for backups, and the folder of them in it.
fn place() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = place.path().join("backups");
    (place, folder)
}

fn learn_some(client: &Client, prefix: &str, count: usize, bytes: usize) {
    let content = "x".repeat(bytes);
    let concepts =
        (0..count).map(|n| Concept::new(format!("{prefix}-{n}")).content(format!("{n} {content}")));
    client.learn_many(concepts).finish().unwrap();
}

/// The number of the last write of a writer that was acknowledged, and 1 more.
type Counts = [AtomicU64; WRITERS];

/// Writes concept after concept, each associated with the one before, until it is told to stop.
fn write_on(client: &Client, writer: usize, counts: &Counts, stop: &AtomicBool) {
    let name = |number: u64| format!("w{writer}-{number}");
    let content = "x".repeat(300);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        client.learn(Concept::new(name(number)).content(&content)).unwrap();
        if number > 0 {
            client.associate(Association::between(name(number), name(number - 1))).unwrap();
        }
        counts[writer].store(number + 1, Ordering::Release);
    }
}

/// What a store holds of a writer is its first writes, without a gap and with both ends of every
/// association: how many.
fn prefix_of(client: &Client, writer: usize) -> u64 {
    let name = |number: u64| format!("w{writer}-{number}");
    let id = |number: u64| ConceptId::from_name(&name(number)).unwrap().0;
    let mut the_one_before_lists_it = false;
    for number in 0.. {
        if client.query(name(number)).unwrap().is_none() {
            return number;
        }
        let around = client.neighbors(Neighborhood::of(name(number))).unwrap();
        let has = |number: u64| around.neighbors.iter().any(|neighbor| neighbor.id == id(number));
        let ends = [number > 0 && has(number - 1), the_one_before_lists_it];
        // The last one's may have come behind the cut; then it has neither end.
        let is_last = || client.query(name(number + 1)).unwrap().is_none();
        let is_whole = ends == [true; 2] || ends == [false; 2] && (number == 0 || is_last());
        assert!(is_whole, "writer {writer}, {number}: {ends:?}");
        the_one_before_lists_it = has(number + 1);
    }
    unreachable!("a writer's concepts end")
}

/// The last of so many backups in a row holds what was acknowledged before it.
fn backup_under_load(backups: usize, arguments: &[&str]) {
    let server = Server::start(arguments);
    let (_place, folder) = place();
    let (counts, stop) = (Counts::default(), AtomicBool::new(false));
    let (mut least, mut most) = (Vec::new(), Vec::new());
    let now = |counts: &Counts| counts.iter().map(|n| n.load(Ordering::Acquire)).collect();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, counts, stop) = (server.client(), &counts, &stop);
            scope.spawn(move || write_on(&client, writer, counts, stop));
        }
        while counts.iter().any(|count| count.load(Ordering::Relaxed) < 20) {
            std::thread::yield_now();
        }
        for _ in 0..backups {
            least = now(&counts);
            backup(&server, &folder);
            most = now(&counts);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let restored = restored(&folder);
    let client = restored.client();
    let mut counted = 0;
    for writer in 0..WRITERS {
        let (count, least, most) = (prefix_of(&client, writer), least[writer], most[writer]);
        counted += count;
        // One more may have been under way, and one may not have been counted yet.
        assert!((least..=most + 2).contains(&count), "{count} of {least}..={most}");
    }
    let in_all = client.stats().unwrap().concepts.to_native();
    assert_eq!(in_all, counted, "nothing is there behind a gap");
    client.learn(Concept::new("after")).unwrap();
}

#[test]
fn a_backup_under_writes_has_what_was_acknowledged_before_it_and_nothing_behind_a_gap() {
    backup_under_load(3, &[]);
}

#[test]
fn the_same_holds_where_writes_are_acknowledged_before_they_are_on_the_disk() {
    for durability in ["os", "interval=5"] {
        backup_under_load(1, &["--cores", "3", "--durability", durability]);
    }
}

#[test]
fn the_next_backup_takes_what_was_written_since_and_each_is_whole_by_itself() {
    let server = Server::start(&[]);
    let client = server.client();
    learn_some(&client, "first", 2_000, 2_000);
    client.namespace("other").learn(Concept::new("elsewhere")).unwrap();
    client.associate(Association::between("first-0", "first-1")).unwrap();
    let (_place, folder) = place();
    let first = backup(&server, &folder);
    let then = whole(&client);
    learn_some(&client, "first", 20, 2_000);
    let second = backup(&server, &folder);
    let bytes = |taken: &Value, what: &str| taken[what].as_u64().unwrap();
    assert_eq!(bytes(&first, "fetched_bytes"), bytes(&first, "bytes"));
    assert!(bytes(&second, "fetched_bytes") * 20 <= bytes(&first, "fetched_bytes"), "{second}");
    let nothing_new = backup(&server, &folder);
    assert_eq!(bytes(&nothing_new, "fetched_bytes"), 0);

    assert_eq!(whole(&restored(&folder).client()), whole(&client));
    let data = Folder::new();
    let at = first["taken"].as_str().unwrap();
    let output = restore(&folder, &data.path(), &["--at", at, "--json"]);
    assert_eq!(json(&output)["taken"], first["taken"]);
    let earlier = Server::start_on(data, &[]);
    assert_eq!(whole(&earlier.client()), then);
    assert_ne!(earlier.client().server().store, client.server().store, "it is another store");
    let none = restore(&folder, &Folder::new().path(), &["--at", "2001-01-01T00:00Z"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(words(&none).contains("no complete backup that was taken by then"), "{none:?}");
}

/// A server of one core with a full segment and a part of the next, and all that it holds.
fn with_a_full_segment() -> Server {
    let server = Server::start(&["--cores", "1"]);
    learn_some(&server.client(), "large", 72, 1 << 20);
    server
}

#[test]
fn full_segments_are_shared_on_the_same_filesystem_and_fetched_to_another() {
    let server = with_a_full_segment();
    let (_place, folder) = place();
    let here = backup(&server, &folder);
    assert!(here["shared_bytes"].as_u64().unwrap() > 60 << 20, "{here}");
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
    let elsewhere = memory.path().join("backups");
    let there = backup(&server, &elsewhere);
    assert_eq!(there["fetched_bytes"], there["bytes"], "{there}");
    let expected = whole(&server.client());
    for folder in [&folder, &elsewhere] {
        assert_eq!(whole(&restored(folder).client()), expected);
    }
    // What was shared once is named by the next backup, and nothing of it is the server's to lose.
    let again = backup(&server, &folder);
    assert_eq!([&again["shared_bytes"], &again["fetched_bytes"]], [0, 0], "{again}");
    let (_, stopped) = server.stop();
    fs::remove_dir_all(stopped.folder.path()).unwrap();
    assert_eq!(whole(&restored(&folder).client()), expected);
}

#[test]
fn a_stream_is_restored_whole_or_not_at_all() {
    let server = Server::start(&["--cores", "3"]);
    learn_some(&server.client(), "c", 300, 500);
    let output = server.run(&["backup", "-"]);
    assert!(output.status.success(), "{output:?}");
    let stream = output.stdout;
    let from_stream = |stream: &[u8], data: &Path| {
        let mut command = sutra();
        command.args(["restore", "-", "--data"]).arg(data);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may stop reading where it finds something wrong.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream);
        child.wait_with_output().unwrap()
    };
    let mut random = rand::rngs::StdRng::seed_from_u64(2026);
    // The last kilobyte is what ends a tar, behind the catalog.
    let catalog = stream.len() - 1024 - 512;
    let cuts = (0..12).map(|_| random.random_range(0..catalog)).chain([0, 512, catalog - 1]);
    for cut in cuts {
        let data = Folder::new();
        let output = from_stream(&stream[..cut], &data.path());
        assert_eq!(output.status.code(), Some(3), "cut at {cut}: {output:?}");
        assert!(words(&output).contains("not a complete backup"), "{output:?}");
        assert!(files(&data.path()).is_empty(), "nothing is left");
    }
    for _ in 0..12 {
        let mut stream = stream.clone();
        let at = random.random_range(0..catalog);
        stream[at] ^= 1 << random.random_range(0..8);
        let data = Folder::new();
        let output = from_stream(&stream, &data.path());
        // Some bytes of a tar header say nothing of the content.
        if output.status.success() {
            let found = Server::start_on(data, &["--cores", "3"]);
            assert_eq!(whole(&found.client()), whole(&server.client()), "bit flipped at {at}");
        } else {
            assert_eq!(output.status.code(), Some(3), "bit flipped at {at}: {output:?}");
        }
    }
    let data = Folder::new();
    assert!(from_stream(&stream, &data.path()).status.success());
    let found = Server::start_on(data, &["--cores", "3"]);
    assert_eq!(whole(&found.client()), whole(&server.client()));
    assert!(
        server
            .client()
            .stats()
            .unwrap()
            .counters
            .iter()
            .all(|counter| { !counter.name.starts_with("last_backup") }),
        "whether a stream arrived the server can't know"
    );
}

/// Takes two backups of a small store: the folder, and what the store holds.
fn two_backups(server: &Server) -> (TempDir, PathBuf) {
    let (place, folder) = place();
    learn_some(&server.client(), "one", 50, 800);
    backup(server, &folder);
    learn_some(&server.client(), "two", 50, 800);
    backup(server, &folder);
    (place, folder)
}

fn refused(folder: &Path, says: &str) {
    let data = Folder::new();
    let output = restore(folder, &data.path(), &[]);
    assert!([2, 3].contains(&output.status.code().unwrap()), "{output:?}");
    assert!(words(&output).contains(says), "{says}: {}", words(&output));
    assert!(!data.path().exists() || files(&data.path()).is_empty(), "nothing is left");
}

#[test]
fn half_backups_and_damaged_ones_are_refused_by_file_and_place() {
    let server = Server::start(&[]);
    let (_place, folder) = two_backups(&server);
    let changed = |path: &Path, change: &dyn Fn(&mut Vec<u8>), says: &str| {
        let whole = fs::read(path).unwrap();
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
        refused(&folder, says);
        fs::write(path, whole).unwrap();
    };
    let last = catalogs(&folder).pop().unwrap();
    changed(&last, &|bytes| bytes.truncate(bytes.len() / 2), "can't be read");
    changed(&last, &|bytes| bytes[40] ^= 1, "backup-");
    let mut random = rand::rngs::StdRng::seed_from_u64(22);
    for piece in pieces(&folder) {
        let name = piece.file_name().unwrap().to_str().unwrap().to_owned();
        changed(&piece, &|bytes| bytes.truncate(bytes.len() - 1), &name);
        for _ in 0..4 {
            let flip = (
                random.random_range(0..piece.metadata().unwrap().len()),
                random.random_range(0..8),
            );
            let flip = |bytes: &mut Vec<u8>| bytes[flip.0 as usize] ^= 1 << flip.1;
            changed(&piece, &flip, &format!("{name} is damaged at byte "));
        }
        let away = piece.with_extension("away");
        fs::rename(&piece, &away).unwrap();
        refused(&folder, &format!("{name} is missing"));
        fs::rename(&away, &piece).unwrap();
    }
    assert_eq!(whole(&restored(&folder).client()), whole(&server.client()));
    for catalog in catalogs(&folder) {
        fs::remove_file(catalog).unwrap();
    }
    refused(&folder, "no complete backup");
    refused(&folder.join("nowhere"), "nowhere");
}

#[test]
fn a_piece_that_is_gone_is_fetched_again_by_the_next_backup() {
    let server = Server::start(&[]);
    let (_place, folder) = two_backups(&server);
    fs::remove_file(&pieces(&folder)[0]).unwrap();
    let taken = backup(&server, &folder);
    assert!(taken["fetched_bytes"].as_u64().unwrap() > 0, "{taken}");
    assert_eq!(whole(&restored(&folder).client()), whole(&server.client()));
}

#[test]
fn only_the_backups_that_are_to_be_kept_stay_with_their_pieces() {
    let server = Server::start(&[]);
    let (_place, folder) = two_backups(&server);
    fs::write(folder.join("pieces/shard-000/left.new"), "by an interrupted one").unwrap();
    let output = server.run(&["backup", folder.to_str().unwrap(), "--keep", "1", "--json"]);
    assert_eq!(json(&output)["removed"], 2);
    assert_eq!(catalogs(&folder).len(), 1);
    let text = fs::read_to_string(&catalogs(&folder)[0]).unwrap();
    let catalog: Value = serde_json::from_str(&text).unwrap();
    let shards = catalog["shards"].as_array().unwrap().iter();
    let segments = shards.flat_map(|shard| shard["segments"].as_array().unwrap());
    let named: usize = segments.map(|segment| segment["pieces"].as_array().unwrap().len()).sum();
    assert_eq!(pieces(&folder).len(), named);
    assert_eq!(whole(&restored(&folder).client()), whole(&server.client()));
}

#[test]
fn a_folder_of_another_store_or_of_something_else_is_left_alone() {
    let (server, other) = (Server::start(&[]), Server::start(&[]));
    let (_place, folder) = two_backups(&server);
    let before = files(&folder);
    let output = other.run(&["backup", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(words(&output).contains("holds backups of store"), "{output:?}");
    let data = server.data();
    let output = server.run(&["backup", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(words(&output).contains("is no folder of backups"), "{output:?}");
    assert_eq!(files(&folder), before);
    // Nor is anything restored over what is there.
    let output = restore(&folder, &data, &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(words(&output).contains("is not empty"), "{output:?}");
}

#[test]
fn of_two_backups_at_once_into_a_folder_the_second_is_refused() {
    let server = with_a_full_segment();
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
    let folder = memory.path().join("backups");
    let to = folder.to_str().unwrap();
    let mut first = begin(Some(&server), &["backup", to]);
    let until = std::time::Instant::now() + crate::support::PATIENCE;
    while !folder.join("pieces/shard-000").exists() {
        assert!(std::time::Instant::now() < until, "the first backup begins");
        std::thread::yield_now();
    }
    let second = server.run(&["backup", to]);
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    assert!(words(&second).contains("in use by another backup"), "{second:?}");
    refused(&folder, "in use by another backup");
    // Into folders of their own both are fine.
    let (_place, own) = place();
    backup(&server, &own);
    assert!(first.wait().unwrap().success());
    assert_eq!(whole(&restored(&folder).client()), whole(&restored(&own).client()));
}

#[test]
fn a_server_knows_its_last_backup_also_after_a_restart() {
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let metric = "sutra_last_backup_timestamp_seconds";
    let shown = |server: &Server| get(server.admin(), "/metrics").1;
    assert!(!shown(&server).contains(metric), "there is none");
    let (_place, folder) = place();
    let taken = backup(&server, &folder);
    assert_eq!(taken["noted"], true);
    let line = |server: &Server| {
        let text = shown(server);
        text.lines().find(|line| line.starts_with(metric)).unwrap().to_owned()
    };
    let before = line(&server);
    let stats = server.run(&["stats"]);
    assert!(String::from_utf8_lossy(&stats.stdout).contains("last backup"), "{stats:?}");
    let server = server.kill().start();
    assert_eq!(line(&server), before);
}

/// Backups, servers and restores that are killed, so many of each: what was whole stays whole, and
/// the next attempt succeeds.
fn killed_anywhere(rounds: u64, seed: u64) {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut server = Server::start(&[]);
    let (_place, folder) = place();
    let to = folder.to_str().unwrap();
    learn_some(&server.client(), "begin", 100, 20_000);
    backup(&server, &folder);
    let mut expected = whole(&server.client());
    let mut killed = 0;
    for round in 0..rounds {
        learn_some(&server.client(), &format!("r{round}"), 20, 20_000);
        let now = whole(&server.client());
        let child = begin(Some(&server), &["backup", to]);
        if round % 2 == 0 {
            killed += u64::from(kill_after(child, &mut random, Duration::from_millis(80)));
        } else {
            // Slowness is what is tested: the kill is to fall anywhere.
            std::thread::sleep(Duration::from_micros(random.random_range(0..60_000)));
            server = server.kill().start_on_same_port();
            let mut child = child;
            child.wait().unwrap();
        }
        let data = Folder::new();
        let path = data.path();
        let arguments = ["restore", to, "--data", path.to_str().unwrap()];
        if kill_after(begin(None, &arguments), &mut random, Duration::from_millis(60))
            && path.join("store-unfinished").exists()
        {
            let started = sutra().args(["serve", "--cores", "2", "--data"]).arg(&path).output();
            let started = started.unwrap();
            assert_eq!(started.status.code(), Some(3), "{started:?}");
            assert!(words(&started).contains("half of a store"), "{started:?}");
        }
        let found =
            match path.join("manifest.json").exists() && !path.join("store-unfinished").exists() {
                true => Server::start_on(data, &[]),
                false => {
                    let output = restore(&folder, &path, &[]);
                    assert!(output.status.success(), "{}", words(&output));
                    Server::start_on(data, &[])
                }
            };
        let found = whole(&found.client());
        // The killed backup may have been complete.
        assert!(found == expected || found == now, "round {round}");
        if found == now {
            expected = now;
        }
    }
    assert!(killed > 0 || rounds < 4, "the kills came too late");
    backup(&server, &folder);
    assert_eq!(whole(&restored(&folder).client()), whole(&server.client()));
}

#[test]
fn kills_of_backup_server_and_restore_leave_earlier_backups_whole() {
    killed_anywhere(6, 22);
}

#[test]
#[ignore = "a hundred kills take minutes"]
fn a_hundred_kills_of_backup_server_and_restore_leave_earlier_backups_whole() {
    killed_anywhere(100, 100);
}
