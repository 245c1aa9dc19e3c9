//! Folders that are opened, moved, exchanged and cut.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn open(path: &Path) -> FileDisk {
    FileDisk::open(path, sutra_wire::Durability::Always, "").unwrap()
}

#[test]
fn the_manifest_is_replaced_whole_and_what_was_left_of_attempts_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let disk = open(&path);
    assert_eq!(disk.read_manifest().unwrap(), None);
    disk.replace_manifest(b"one, and longer").unwrap();
    disk.replace_manifest(b"two").unwrap();
    assert_eq!(disk.read_manifest().unwrap().unwrap(), b"two");
    disk.create_shard(0).unwrap();
    assert!(disk.list(0).unwrap().unwrap().is_empty());
    let leftovers = [
        "manifest.json.new",
        "manifest.json.0123456789abcdef.new",
        "shard-000/vectors-3.index.new",
    ];
    for leftover in leftovers.iter().chain(&["mine.new", "shard-000/mine.new"]) {
        fs::write(path.join(leftover), "").unwrap();
    }
    disk.note_use(true).unwrap();
    assert!(leftovers.iter().all(|leftover| !path.join(leftover).exists()));
    assert!(path.join("mine.new").exists() && path.join("shard-000/mine.new").exists());
}

#[test]
fn a_folder_that_is_a_file_is_named_with_a_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = FileDisk::open(&path, sutra_wire::Durability::Always, "").unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("--data"), "{error}");
}

#[test]
fn the_folder_and_all_in_it_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let disk = open(&path);
    disk.create_shard(0).unwrap();
    disk.create(SegmentName { shard: 0, number: 0 }).unwrap();
    disk.replace_manifest(b"x").unwrap();
    let mode = |name: &str| path.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("shard-000")], [0o700; 2]);
    assert_eq!(
        [mode("lock"), mode("manifest.json"), mode("shard-000/segment-00000000.log")],
        [0o600; 3]
    );
}

/// A disk with a segment of one block, and its folder.
fn used() -> (tempfile::TempDir, PathBuf, FileDisk) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let disk = open(&path);
    disk.create_shard(0).unwrap();
    let file = disk.create(SegmentName { shard: 0, number: 0 }).unwrap();
    disk.zero_fill(&file, 0..8192).unwrap();
    assert_eq!(disk.look().unwrap(), None);
    (folder, path, disk)
}

#[test]
fn a_folder_that_was_moved_is_noticed_until_it_is_back() {
    let (folder, path, disk) = used();
    let away = folder.path().join("away");
    fs::rename(&path, &away).unwrap();
    let Some(Change::Moved(words)) = disk.look().unwrap() else { panic!("it was moved") };
    assert!(words.contains("leads nowhere") && words.contains(away.to_str().unwrap()), "{words}");
    fs::create_dir(&path).unwrap();
    disk.replace_manifest(b"ours").unwrap();
    let Some(Change::Moved(words)) = disk.look().unwrap() else { panic!("another is there") };
    assert!(words.contains("another folder"), "{words}");
    assert!(
        fs::read_dir(&path).unwrap().next().is_none(),
        "nothing is written into another's folder"
    );
    fs::remove_dir(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    assert_eq!(disk.look().unwrap(), None);
}

#[test]
fn what_was_removed_replaced_or_cut_in_it_is_named() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("was removed", |path| fs::remove_dir_all(path).unwrap()),
        ("was removed", |path| {
            fs::remove_file(path.join("shard-000/segment-00000000.log")).unwrap();
        }),
        ("was removed", |path| fs::rename(path.join("shard-000"), path.join("other")).unwrap()),
        ("another folder", |path| {
            fs::rename(path.join("shard-000"), path.join("other")).unwrap();
            fs::create_dir(path.join("shard-000")).unwrap();
        }),
        ("another file", |path| {
            fs::remove_file(path.join("shard-000/segment-00000000.log")).unwrap();
            fs::write(path.join("other"), [0; 8192]).unwrap();
            fs::write(path.join("shard-000/segment-00000000.log"), [0; 8192]).unwrap();
        }),
        ("from 8192 bytes to 100", |path| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(path.join("shard-000/segment-00000000.log"));
            file.unwrap().set_len(100).unwrap();
        }),
    ];
    for (expected, change) in changes {
        let (_folder, path, disk) = used();
        change(&path);
        match disk.look().unwrap() {
            Some(super::Change::Lost(words)) => assert!(words.contains(expected), "{words}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
