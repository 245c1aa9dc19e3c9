//! Logs of several segments: what stands at a segment's start and end, and segments that were made
//! and never written.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions as FileOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::{World, archive, concept, folder, id, options, segment, write};
use sutra_store::{NamespaceId, OpenOptions, StoreError};
use sutra_wire::{Checked, Durability};
use tempfile::TempDir;

/// Where a commit lies.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    segment: usize,
    range: Range<usize>,
}

fn content(commit: u32) -> String {
    format!("the content of commit {commit}")
}

/// Commit `number` learns concept `number`; background work first, so that nothing else is written
/// on the way.
fn write_commit(world: &mut World, number: u32, content: &str) -> Written {
    world.work();
    world.learn(&concept(number, content));
    let commit = world.shards[0].next_commit().unwrap();
    write(&commit).unwrap();
    assert_eq!(world.finish(0, Ok(())).len(), 1);
    let name = commit.file.path().file_stem().unwrap().to_str().unwrap();
    let start = commit.offset as usize;
    Written {
        segment: name.strip_prefix("segment-").unwrap().parse().unwrap(),
        range: start..start + commit.bytes.len(),
    }
}

/// A log of short commits whose last ones, `more` of them, follow the first of segment `last`; and
/// where each lies.
fn log(last: usize, more: usize) -> (TempDir, Vec<Written>) {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let mut written: Vec<Written> = Vec::new();
    while written.last().is_none_or(|written| written.segment < last) {
        let number = written.len() as u32;
        written.push(write_commit(&mut world, number, &content(number)));
    }
    for _ in 0..more {
        let number = written.len() as u32;
        written.push(write_commit(&mut world, number, &content(number)));
    }
    assert!(written.iter().all(|written| written.segment <= last));
    (folder, written)
}

/// How many commits are there, which must be the first ones.
fn commits(world: &mut World) -> usize {
    let there: Vec<bool> = (0..100).map(|number| world.concept("", id(number)).is_some()).collect();
    let count = there.iter().filter(|there| **there).count();
    assert!(there[..count].iter().all(|there| *there), "{there:?}");
    for number in 0..count as u32 {
        assert_eq!(world.concept("", id(number)).unwrap().content, content(number));
    }
    count
}

/// Opens, expects so many commits, writes one more, opens again and expects that too.
fn goes_on_after(folder: &Path, count: usize) {
    let mut world = World::open(folder).unwrap();
    assert_eq!(commits(&mut world), count);
    write_commit(&mut world, count as u32, &content(count as u32));
    drop(world);
    let mut world = World::open(folder).unwrap();
    assert_eq!(world.opened.report.cut(), 0, "it was cut once and for all");
    assert_eq!(commits(&mut world), count + 1);
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    FileOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at as u64).unwrap();
}

/// The manifest and every file of the shard, by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries =
        fs::read_dir(folder.join("shard-000")).unwrap().map(|entry| entry.unwrap().path());
    let paths = entries.chain([folder.join("manifest.json")]);
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn restore(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    let there = fs::read_dir(folder.join("shard-000")).unwrap().map(|entry| entry.unwrap().path());
    there.filter(|path| !files.contains_key(path)).for_each(|path| fs::remove_file(path).unwrap());
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

/// Expects that the store is refused for damage in this segment, with an offset in `where_`, and
/// that no file changes.
fn refused(folder: &Path, number: usize, place: &Range<usize>, why: &str) {
    let before = files(folder);
    match World::open(folder).err() {
        Some(StoreError::Damage { file, offset, .. }) => {
            assert_eq!(file, segment(folder, 0, number), "{why}");
            assert!(
                place.contains(&(offset as usize)),
                "{why}: told {offset}, it lies in {place:?}"
            );
        }
        other => panic!("{why}: {other:?}"),
    }
    assert!(files(folder) == before, "{why}: nothing was changed");
}

#[test]
fn a_log_that_ends_at_any_byte_of_a_segments_first_commit_starts_without_it() {
    let (folder, written) = log(2, 0);
    let (original, last) = (files(folder.path()), written.last().unwrap().clone());
    let path = segment(folder.path(), 0, 2);
    let length = original[&path].len();
    let used = original[&path][last.range.clone()].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The segment's header, every byte of the commit, and its padding.
    let header = (0..last.range.start).step_by(509);
    for at in header
        .chain(last.range.start..last.range.start + used + 2)
        .chain([last.range.end - 1, last.range.end])
    {
        for how in ["truncated", "zeroed", "garbage"] {
            if how == "garbage" && at < last.range.start {
                continue;
            }
            restore(folder.path(), &original);
            match how {
                "truncated" => {
                    FileOptions::new().write(true).open(&path).unwrap().set_len(at as u64).unwrap();
                }
                "zeroed" => overwrite(&path, at, &vec![0; length - at]),
                _ => overwrite(
                    &path,
                    at,
                    &(at..length).map(|byte| (byte * 131) as u8 | 1).collect::<Vec<_>>(),
                ),
            }
            let intact = fs::read(&path).unwrap().get(last.range.clone())
                == Some(&original[&path][last.range.clone()]);
            let expected = written.len() - usize::from(!intact);
            let count = commits(
                &mut World::open(folder.path()).unwrap_or_else(|e| panic!("{how} at {at}: {e}")),
            );
            assert_eq!(count, expected, "{how} at byte {at}");
            if at % 8 == 0 {
                goes_on_after(folder.path(), expected);
            }
        }
    }
}

#[test]
fn a_changed_byte_of_any_segments_header_or_first_or_last_commit_is_refused() {
    let (folder, written) = log(3, 2);
    let original = files(folder.path());
    for number in 0..=3 {
        let path = segment(folder.path(), 0, number);
        let commits: Vec<_> = written.iter().filter(|written| written.segment == number).collect();
        // Damage to the last commit of all is a torn tail.
        let last =
            if number == 3 { commits[commits.len() - 2] } else { commits[commits.len() - 1] };
        let places = [(0..4096, 97), (commits[0].range.clone(), 29), (last.range.clone(), 29)];
        for (place, step) in places {
            for at in place.clone().take(64).chain(place.clone().step_by(step)) {
                restore(folder.path(), &original);
                overwrite(&path, at, &[original[&path][at] ^ 1 << (at % 8)]);
                refused(folder.path(), number, &place, &format!("segment {number}, byte {at}"));
            }
        }
    }
}

#[test]
fn anything_between_a_segments_last_commit_and_the_next_segment_is_refused() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    write_commit(&mut world, 0, &content(0));
    // This one leaves most of the segment unused: it needs the next one.
    let first = write_commit(&mut world, 1, &"x".repeat(20_000));
    let second = write_commit(&mut world, 2, &"x".repeat(50_000));
    assert_eq!((first.segment, second.segment), (0, 1));
    drop(world);
    let original = files(folder.path());
    let path = segment(folder.path(), 0, 0);
    for at in [first.range.end, first.range.end + 5000, original[&path].len() - 1] {
        restore(folder.path(), &original);
        overwrite(&path, at, &[1]);
        refused(folder.path(), 0, &(first.range.end..original[&path].len()), &format!("byte {at}"));
    }
}

#[test]
fn any_missing_segment_of_the_log_is_refused_by_name() {
    let (folder, _) = log(4, 1);
    let original = files(folder.path());
    for number in 0..=4 {
        restore(folder.path(), &original);
        let path = segment(folder.path(), 0, number);
        fs::remove_file(&path).unwrap();
        let before = files(folder.path());
        let error = World::open(folder.path()).err().unwrap();
        assert!(matches!(&error, StoreError::Missing { file } if *file == path), "{error}");
        assert!(
            error.to_string().contains("is missing")
                && error.to_string().contains("Put the file back"),
            "{error}"
        );
        assert!(files(folder.path()) == before);
    }
}

#[test]
fn segments_that_changed_places_are_refused() {
    let (folder, _) = log(3, 1);
    let original = files(folder.path());
    let [first, second] = [1, 2].map(|number| segment(folder.path(), 0, number));
    fs::write(&first, &original[&second]).unwrap();
    fs::write(&second, &original[&first]).unwrap();
    refused(folder.path(), 1, &(0..1), "swapped");
}

#[test]
fn commits_of_an_older_generation_behind_the_logs_end_are_cut() {
    let (folder, written) = log(2, 3);
    let original = files(folder.path());
    let older: Vec<_> = written.iter().filter(|written| written.segment == 1).collect();
    let old_bytes = &original[&segment(folder.path(), 0, 1)];
    let end = written.last().unwrap().range.end;
    let path = segment(folder.path(), 0, 2);
    // As a recycled file would hold them: right behind the last commit, and further on.
    for from in [0, 1, 5] {
        restore(folder.path(), &original);
        let stale = &old_bytes[older[from].range.start..];
        let room = original[&path].len() - end;
        overwrite(&path, end, &stale[..stale.len().min(room)]);
        goes_on_after(folder.path(), written.len());
    }
}

/// A log that ends in segment 1, and a spare that was made behind it.
fn with_spare() -> (TempDir, usize) {
    let (folder, written) = log(1, 9);
    let mut world = World::open(folder.path()).unwrap();
    world.work();
    drop(world);
    assert!(segment(folder.path(), 0, 2).exists());
    (folder, written.len())
}

#[test]
fn a_spare_segment_is_used_again_after_a_restart() {
    let (folder, count) = with_spare();
    let spare = fs::read(segment(folder.path(), 0, 2)).unwrap();
    goes_on_after(folder.path(), count);
    assert!(
        fs::read(segment(folder.path(), 0, 2)).unwrap() == spare,
        "the same, and nothing was written to it"
    );
    let mut world = World::open(folder.path()).unwrap();
    let mut number = count as u32 + 1;
    while write_commit(&mut world, number, &content(number)).segment < 2 {
        number += 1;
    }
    drop(world);
    assert!(
        fs::read(segment(folder.path(), 0, 2)).unwrap()[..4096] == spare[..4096],
        "the log rolled into it"
    );
    goes_on_after(folder.path(), number as usize + 1);
}

#[test]
fn a_spare_segment_that_holds_an_older_generation_is_never_taken_for_the_log() {
    let (folder, count) = with_spare();
    let stale = fs::read(segment(folder.path(), 0, 1)).unwrap();
    let path = segment(folder.path(), 0, 2);
    overwrite(&path, 4096, &stale[4096..]);
    goes_on_after(folder.path(), count);
}

#[test]
fn a_spare_segment_of_any_length_is_no_damage() {
    let (folder, count) = with_spare();
    let original = files(folder.path());
    let path = segment(folder.path(), 0, 2);
    for length in [0, 1, 4095, 4096, 4097, 8192, 30_000, 65_535, 65_536] {
        restore(folder.path(), &original);
        FileOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        goes_on_after(folder.path(), count);
    }
}

#[test]
fn a_commit_torn_while_the_next_segment_gathers_is_cut_and_the_next_segment_used_later() {
    let (folder, written) = log(1, 9);
    let mut world = World::open(folder.path()).unwrap();
    world.work();
    let mut accepted = written.len() as u32;
    // Gathers without committing until the log has rolled: what was gathered is closed, and the
    // rest waits in segment 2.
    while world.shards[0].stats().segments < 3 {
        world.learn(&concept(accepted, &content(accepted)));
        accepted += 1;
    }
    let torn = world.shards[0].next_commit().unwrap();
    assert_eq!(torn.file.path(), segment(folder.path(), 0, 1));
    overwrite(torn.file.path(), torn.offset as usize, &torn.bytes[..torn.bytes.len() / 2]);
    drop((torn, world));
    assert!(World::open(folder.path()).unwrap().opened.report.cut() > 0);
    goes_on_after(folder.path(), written.len());
}

fn sized(segment_bytes: u64) -> OpenOptions {
    OpenOptions { segment_bytes, ..options(1, Durability::Always) }
}

#[test]
fn a_segment_size_may_change_at_every_start_and_need_not_be_round() {
    let folder = folder();
    let mut number = 0;
    for bytes in [65_537, 200_001, 65_536, 70_000, 131_071, 65_537] {
        let mut world = World::open_with(folder.path(), &sized(bytes)).unwrap();
        assert_eq!(commits(&mut world), number as usize);
        for _ in 0..40 {
            write_commit(&mut world, number, &content(number));
            number += 1;
            if number as usize == 100 {
                return;
            }
        }
    }
}

#[test]
fn garbage_in_the_last_bytes_of_an_oddly_sized_segment_is_cut_once() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &sized(70_000)).unwrap();
    write_commit(&mut world, 0, &content(0));
    drop(world);
    let path = segment(folder.path(), 0, 0);
    let length = fs::metadata(&path).unwrap().len() as usize;
    overwrite(&path, length - 1, &[1]);
    goes_on_after(folder.path(), 1);
}

#[test]
fn a_log_two_segments_ahead_of_its_disk_takes_no_more_until_a_commit_lands() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    write_commit(&mut world, 0, &content(0));
    world.learn(&concept(1, &content(1)));
    let in_flight = world.shards[0].next_commit().unwrap();
    let mut accepted = 2;
    // What the server does while the disk is slow: it tries again whenever background work has
    // ended.
    let mut stalled = 0;
    while stalled < 3 {
        assert!(accepted < 10_000, "it takes ever more");
        world.work();
        let bytes = archive(&concept(accepted, &content(accepted)));
        match world.shards[0].learn(Checked::new(&bytes).unwrap(), NamespaceId::DEFAULT, 0) {
            Ok(_) => accepted += 1,
            Err(refusal) => {
                assert!(refusal.is_stalled(), "{refusal}");
                stalled += 1;
            }
        }
    }
    assert_eq!(
        world.shards[0].stats().segments,
        2,
        "what waits fills the first segment and the second"
    );
    assert_eq!(world.shards[0].pending() as u32, accepted - 1);
    write(&in_flight).unwrap();
    assert_eq!(world.finish(0, Ok(())).len(), 1);
    let sequences: Vec<_> = world.commit().into_iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (3..=u64::from(accepted)).collect::<Vec<_>>());
    drop((in_flight, world));
    let mut world = World::open(folder.path()).unwrap();
    assert!(
        (0..accepted)
            .all(|number| world.concept("", id(number)).unwrap().content == content(number))
    );
}

/// Changes a commit so that it follows another one than it does, and makes its checksum hold.
fn forge_previous(segment: &Path, commit: usize) {
    let mut bytes = fs::read(segment).unwrap();
    let seed = crc32c::crc32c(&bytes[24..32]);
    let entry = &mut bytes[commit..commit + 64];
    entry[32 + 24] ^= 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &entry[..4]), &entry[8..]);
    entry[4..8].copy_from_slice(&crc.to_le_bytes());
    fs::write(segment, bytes).unwrap();
}

#[test]
fn a_whole_last_commit_that_does_not_follow_the_one_before_is_refused_and_not_cut() {
    for more in [0, 1] {
        let (folder, written) = log(2, more);
        let last = written.last().unwrap();
        forge_previous(&segment(folder.path(), 0, 2), last.range.start);
        refused(folder.path(), 2, &last.range, "forged");
    }
}
