//! The ends that must be there: what a clean stop, a start or a full segment has marked can't be
//! lost unnoticed, whatever the durability.

use std::fs::{self, OpenOptions as FileOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::{World, concept, folder, id, options, segment, write};
use sutra_store::StoreError;
use sutra_wire::Durability;
use tempfile::TempDir;

const EVERY: [Durability; 3] = [Durability::Always, Durability::Interval(1000), Durability::Os];

/// Commit `number` learns concept `number`; where it lies in its segment.
fn commit(world: &mut World, number: u32) -> Range<usize> {
    world.work();
    world.learn(&concept(number, &"x".repeat(5000)));
    let commit = world.shards[0].next_commit().unwrap();
    write(&commit).unwrap();
    assert_eq!(world.finish(0, Ok(())).len(), 1);
    commit.offset as usize..commit.offset as usize + commit.bytes.len()
}

/// A store that was stopped cleanly after so many commits, and where each lies in its segment.
fn stopped(durability: Durability, commits: u32) -> (TempDir, Vec<Range<usize>>) {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
    let ranges = (0..commits).map(|number| commit(&mut world, number)).collect();
    world.stop();
    (folder, ranges)
}

fn truncate(path: &Path, length: usize) {
    FileOptions::new().write(true).open(path).unwrap().set_len(length as u64).unwrap();
}

fn flip(path: &Path, at: usize) {
    let byte = fs::read(path).unwrap()[at] ^ 1;
    FileOptions::new().write(true).open(path).unwrap().write_all_at(&[byte], at as u64).unwrap();
}

fn open(folder: &Path) -> Result<World, StoreError> {
    World::open(folder)
}

/// Expects a refusal that names the file and an offset in `place`, and changes nothing.
fn refused(folder: &Path, path: &Path, place: &Range<usize>, why: &str) {
    let before = fs::read(path).unwrap();
    match open(folder).err() {
        Some(StoreError::Damage { file, offset, what }) => {
            assert_eq!(file, path, "{why}");
            assert!(
                place.contains(&(offset as usize)),
                "{why}: told {offset} ({what}), it lies in {place:?}"
            );
        }
        other => panic!("{why}: {other:?}"),
    }
    assert!(fs::read(path).unwrap() == before, "{why}: nothing was changed");
}

fn holds(world: &mut World, count: u32) {
    let there =
        (0..count + 10).filter(|number| world.concept("", id(*number)).is_some()).count() as u32;
    assert_eq!(there, count);
}

#[test]
fn a_log_that_was_truncated_after_a_clean_stop_is_refused() {
    for durability in EVERY {
        let (folder, commits) = stopped(durability, 5);
        let path = segment(folder.path(), 0, 0);
        let whole = fs::read(&path).unwrap();
        for length in (commits[2].start..commits[4].end).step_by(509).chain([commits[4].end - 1]) {
            fs::write(&path, &whole).unwrap();
            truncate(&path, length);
            let broken = commits.iter().find(|commit| length < commit.end).unwrap();
            refused(folder.path(), &path, broken, &format!("{durability}, truncated to {length}"));
        }
        // Behind the last commit nothing is lost.
        fs::write(&path, &whole[..commits[4].end]).unwrap();
        holds(&mut open(folder.path()).unwrap(), 5);
    }
}

#[test]
fn a_changed_bit_before_the_end_of_a_clean_stop_is_refused_the_last_commit_included() {
    for durability in EVERY {
        let (folder, commits) = stopped(durability, 5);
        let path = segment(folder.path(), 0, 0);
        for place in &commits {
            for at in place.clone().step_by(211) {
                flip(&path, at);
                refused(folder.path(), &path, place, &format!("{durability}, byte {at}"));
                flip(&path, at);
            }
        }
        holds(&mut open(folder.path()).unwrap(), 5);
    }
}

#[test]
fn the_loss_of_the_last_used_segment_is_noticed() {
    for durability in EVERY {
        let (folder, _) = stopped(durability, 25);
        let spare = |number: &usize| {
            fs::read(segment(folder.path(), 0, *number)).unwrap()[4096..].iter().all(|b| *b == 0)
        };
        let files = fs::read_dir(folder.path().join("shard-000")).unwrap().count();
        let last = (0..files).rev().find(|number| !spare(number)).unwrap();
        assert!(last > 1);
        for number in last..files {
            fs::remove_file(segment(folder.path(), 0, number)).unwrap();
        }
        let error = open(folder.path()).err().unwrap();
        assert!(
            matches!(
                &error,
                StoreError::Missing { file } if *file == segment(folder.path(), 0, last)
            ),
            "{error}"
        );
    }
}

#[test]
fn a_log_that_opens_its_last_segment_is_refused_without_that_commit() {
    for durability in EVERY {
        let folder = folder();
        let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
        let mut places = vec![commit(&mut world, 0)];
        while places.len() < 2 || places[places.len() - 1].start > places[places.len() - 2].start {
            places.push(commit(&mut world, places.len() as u32));
        }
        world.stop();
        let path = segment(folder.path(), 0, 1);
        for at in [4096, 4096 + 70, places[places.len() - 1].end - 100] {
            flip(&path, at);
            refused(
                folder.path(),
                &path,
                &places[places.len() - 1],
                &format!("{durability}, byte {at}"),
            );
            flip(&path, at);
        }
        // The file's header alone: the segment was whole once, so it is not one that was being
        // made.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [0; 4096]).unwrap();
        refused(folder.path(), &path, &(0..1), "no header");
        fs::write(&path, whole).unwrap();
        holds(&mut open(folder.path()).unwrap(), places.len() as u32);
    }
}

#[test]
fn a_segment_that_was_full_before_a_kill_is_marked_though_no_sync_was_asked_for() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, Durability::Os)).unwrap();
    let places: Vec<_> = (0..25).map(|number| commit(&mut world, number)).collect();
    drop(world);
    let path = segment(folder.path(), 0, 0);
    flip(&path, places[3].start + 100);
    refused(folder.path(), &path, &places[3], "full");
}

#[test]
fn a_segment_that_was_synced_beside_a_sync_of_its_cores_is_not_marked_by_that() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, Durability::Os)).unwrap();
    let mut places = vec![commit(&mut world, 0)];
    world.marks_late = true;
    while places.len() < 2 || places[places.len() - 1].start > places[places.len() - 2].start {
        places.push(commit(&mut world, places.len() as u32));
    }
    // A sync of the core's own is under way, and will fail. What it lost the kernel lets go of, so
    // that the sync of the full segment succeeds.
    assert!(!world.shards[0].next_sync().is_empty());
    let job = world.shards[0].next_mark().unwrap();
    let marked = job.run();
    world.shards[0].marked(marked);
    world.shards[0].fail(&std::io::Error::other("a sync failed"));
    assert!(world.shards[0].next_mark().is_none());
    drop(world);
    let path = segment(folder.path(), 0, 0);
    let lost = &places[places.len() - 2];
    truncate(&path, lost.start + 100);
    truncate(&segment(folder.path(), 0, 1), 4096);
    let mut world = open(folder.path()).unwrap();
    assert!(world.opened.report.cut() > 0);
    holds(&mut world, places.len() as u32 - 2);
}

#[test]
fn what_is_written_after_a_start_and_torn_by_a_kill_is_cut_at_any_byte() {
    for durability in EVERY {
        let (folder, _) = stopped(durability, 5);
        let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
        let last = commit(&mut world, 5);
        drop(world);
        let path = segment(folder.path(), 0, 0);
        let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in last.clone().step_by(101).chain([last.end - 1, last.end]) {
            fs::write(folder.path().join("manifest.json"), &manifest).unwrap();
            fs::write(&path, &whole).unwrap();
            truncate(&path, length);
            let mut world = World::open_with(folder.path(), &options(1, durability)).unwrap();
            holds(&mut world, if length < last.end { 5 } else { 6 });
        }
    }
}

#[test]
fn a_start_marks_what_it_found() {
    // Killed; the next start reads five commits and promises them.
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, Durability::Os)).unwrap();
    let places: Vec<_> = (0..5).map(|number| commit(&mut world, number)).collect();
    drop(world);
    drop(open(folder.path()).unwrap());
    let path = segment(folder.path(), 0, 0);
    flip(&path, places[4].start + 100);
    refused(folder.path(), &path, &places[4], "the last commit that a start has found");
}

#[test]
fn a_clean_stop_of_a_store_whose_disk_failed_marks_no_more_than_was_synced() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(1, Durability::Os)).unwrap();
    commit(&mut world, 0);
    world.shards[0].next_sync();
    let synced = world.shards[0].next_sync();
    assert!(synced.is_empty(), "the sync of the first commit has ended");
    let lost = commit(&mut world, 1);
    world.shards[0].fail(&std::io::Error::other("a sync failed"));
    let stopped = world.try_stop().unwrap_err().to_string();
    assert!(stopped.contains("a sync of the log failed"), "{stopped}");
    truncate(&segment(folder.path(), 0, 0), lost.start + 100);
    let mut world = open(folder.path()).unwrap();
    assert!(world.opened.report.cut() > 0);
    holds(&mut world, 1);
}
