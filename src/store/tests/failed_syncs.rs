//! Syncs that fail where writes are acknowledged before they are on stable storage: what the kernel
//! let go of is written again before any more is taken.

use std::fs::{self, OpenOptions as FileOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::{World, concept, folder, id, options, segment, write};
use sutra_store::Refusal;
use sutra_wire::Durability;

const RELAXED: Durability = Durability::Os;

fn open(folder: &Path) -> World {
    World::open_with(folder, &options(1, RELAXED)).unwrap()
}

/// A commit of concept `number`, and where it stands.
fn commit(world: &mut World, number: u32) -> (PathBuf, u64, Vec<u8>) {
    world.work();
    world.learn(&concept(number, &"x".repeat(9000)));
    let commit = world.shards[0].next_commit().unwrap();
    write(&commit).unwrap();
    assert!(world.finish(0, Ok(())).iter().all(|entry| entry.effect.is_ok()));
    (commit.file.path().to_owned(), commit.offset, commit.bytes.to_vec())
}

/// The sync of the core fails, and the kernel lets go of these commits.
fn fail_sync(world: &mut World, lost: &[(PathBuf, u64, Vec<u8>)]) {
    assert!(!world.shards[0].next_sync().is_empty());
    world.shards[0].fail(&io::Error::other("sync failed"));
    world.shards[0].syncs_ended();
    for (path, offset, bytes) in lost {
        let file = FileOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&vec![0; bytes.len()], *offset).unwrap();
    }
}

fn holds(world: &mut World, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert!(world.concept("", id(number)).is_some(), "{number}");
    }
}

fn assert_refuses(world: &mut World) {
    let refusal = world.try_learn(&concept(9999, "no")).unwrap_err();
    assert!(matches!(refusal, Refusal::Failed { .. }), "{refusal}");
    assert!(refusal.to_string().contains("sync failed"), "{refusal}");
    assert!(world.shards[0].health().is_err());
}

#[test]
fn what_a_failed_sync_covered_is_written_again_before_any_more_is_taken() {
    for count in 1..25 {
        let folder = folder();
        let mut world = open(folder.path());
        world.marks_late = true;
        let commits: Vec<_> = (0..count).map(|number| commit(&mut world, number)).collect();
        fail_sync(&mut world, &commits);
        assert_refuses(&mut world);
        holds(&mut world, 0..count);
        assert!(world.shards[0].next_mark().is_none(), "not at once");
        world.clock.pass(1_000_000);
        world.marks_late = false;
        world.work();
        world.shards[0].health().unwrap();
        for (path, offset, bytes) in &commits {
            let file = fs::File::open(path).unwrap();
            let mut now = vec![0; bytes.len()];
            file.read_exact_at(&mut now, *offset).unwrap();
            assert!(now == *bytes, "{} at {offset}", path.display());
        }
        assert!(world.shards[0].next_sync().is_empty(), "nothing is left to be synced");
        commit(&mut world, count);
        world.stop();
        let mut world = open(folder.path());
        assert_eq!(world.opened.report.cut(), 0);
        holds(&mut world, 0..=count);
    }
}

#[test]
fn what_a_sync_covered_is_not_written_again() {
    let folder = folder();
    let mut world = open(folder.path());
    world.marks_late = true;
    let (path, offset, bytes) = commit(&mut world, 0);
    world.shards[0].next_sync();
    world.shards[0].syncs_ended();
    // It is on stable storage, where a test can change it unseen.
    let file = FileOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"changed", offset).unwrap();
    let lost = commit(&mut world, 1);
    fail_sync(&mut world, std::slice::from_ref(&lost));
    world.clock.pass(1_000_000);
    world.mark();
    let now = fs::read(&path).unwrap();
    assert_eq!(&now[offset as usize..][..7], b"changed");
    assert!(now[lost.1 as usize..][..lost.2.len()] == lost.2);
    file.write_all_at(&bytes, offset).unwrap();
    world.stop();
    holds(&mut open(folder.path()), 0..2);
}

#[test]
fn what_was_under_way_when_a_sync_failed_is_refused_and_never_there() {
    for (has_landed, behind) in [(true, 0), (true, 3), (false, 0), (false, 3)] {
        let folder = folder();
        let mut world = open(folder.path());
        world.marks_late = true;
        let lost = commit(&mut world, 0);
        world.work();
        world.learn(&concept(100, "under way"));
        let under_way = world.shards[0].next_commit().unwrap();
        write(&under_way).unwrap();
        for number in 0..behind {
            world.learn(&concept(200 + number, "gathers"));
        }
        fail_sync(&mut world, &[lost]);
        world.clock.pass(1_000_000);
        assert!(world.shards[0].next_mark().is_none(), "not while a commit is under way");
        let result = if has_landed { Ok(()) } else { Err(io::Error::other("I/O error")) };
        let refused = world.finish(0, result);
        assert_eq!(refused.len(), 1 + behind as usize);
        let is_refused =
            |effect: &Result<_, Refusal>| matches!(effect, Err(Refusal::Failed { .. }));
        assert!(refused.iter().all(|entry| is_refused(&entry.effect)), "{refused:?}");
        assert_refuses(&mut world);
        world.clock.pass(1_000_000);
        world.mark();
        assert!(world.shards[0].health().is_err(), "what is under way is not overwritten yet");
        world.work();
        world.shards[0].health().unwrap();
        for number in 1..10 {
            commit(&mut world, number);
        }
        drop(world);
        let mut world = open(folder.path());
        assert_eq!(world.opened.report.cut(), 0);
        holds(&mut world, 0..10);
        assert!([100, 200, 201, 202].iter().all(|number| world.concept("", id(*number)).is_none()));
    }
}

#[test]
fn a_commit_that_was_refused_before_does_not_come_back_by_a_failed_sync() {
    let folder = folder();
    let mut world = open(folder.path());
    world.marks_late = true;
    let mut commits = vec![commit(&mut world, 0)];
    world.learn(&concept(100, "refused"));
    let refused = world.shards[0].next_commit().unwrap();
    write(&refused).unwrap();
    assert!(world.finish(0, Err(io::ErrorKind::StorageFull.into()))[0].effect.is_err());
    world.clock.pass(1_000_000);
    world.work();
    commits.extend((1..12).map(|number| commit(&mut world, number)));
    fail_sync(&mut world, &commits);
    world.clock.pass(1_000_000);
    world.mark();
    world.work();
    world.shards[0].health().unwrap();
    world.stop();
    let mut world = open(folder.path());
    holds(&mut world, 0..12);
    assert!(world.concept("", id(100)).is_none());
}

#[test]
fn a_disk_that_goes_on_failing_is_tried_again_and_again() {
    let folder = folder();
    let mut world = open(folder.path());
    world.marks_late = true;
    let lost = commit(&mut world, 0);
    fail_sync(&mut world, &[lost]);
    // A folder in the segment's place can't be written to.
    let path = segment(folder.path(), 0, 0);
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    fs::create_dir(&path).unwrap();
    for _ in 0..3 {
        world.clock.pass(1_000_000);
        world.mark();
        assert!(world.shards[0].health().is_err());
    }
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    world.clock.pass(1_000_000);
    world.mark();
    world.shards[0].health().unwrap();
    commit(&mut world, 1);
    world.stop();
    holds(&mut open(folder.path()), 0..2);
}
