//! Power cuts where commits are acknowledged before they are on stable storage: whatever subset of
//! what no sync has covered reaches the disk, the store starts, with every commit that a sync
//! covered and no commit behind a lost one.

use std::fs::{self, OpenOptions as FileOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::support::{World, concept, folder, id, options, write};
use proptest::prelude::*;
use sutra_wire::Durability;

#[derive(Clone, Debug)]
enum Step {
    /// So many commits of a concept each, with this much content.
    Commits(usize, usize),
    /// Everything that has landed is synced, and the shard learns of it with the next sync.
    Sync,
    /// The background thread comes to what it has to mark: the segments that are full.
    Mark,
    /// Of each commit that no sync covers these sectors reach the disk, by bit; taken in turn.
    PowerCut(Vec<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    let sectors =
        prop_oneof![4 => Just(u64::MAX), 1 => Just(0), 1 => any::<u64>(), 1 => Just(u64::MAX << 1)];
    prop_oneof![
        4 => (1..8usize, 0..12_000usize)
            .prop_map(|(commits, length)| Step::Commits(commits, length)),
        1 => Just(Step::Sync),
        1 => Just(Step::Mark),
        2 => proptest::collection::vec(sectors, 1..6).prop_map(Step::PowerCut),
    ]
}

/// A commit that no sync has covered.
struct Unsynced {
    number: u32,
    path: PathBuf,
    offset: u64,
    bytes: Vec<u8>,
}

impl Unsynced {
    /// Leaves of it on the disk what reached it; whether that was all.
    fn lose(&self, sectors: u64) -> bool {
        let file = FileOptions::new().write(true).open(&self.path).unwrap();
        let mut whole = true;
        for (number, sector) in self.bytes.chunks(512).enumerate() {
            if sectors >> (number % 64) & 1 == 0 {
                // The file was filled with zeros before, durably.
                file.write_all_at(&vec![0; sector.len()], self.offset + 512 * number as u64)
                    .unwrap();
                whole &= sector.iter().all(|byte| *byte == 0);
            }
        }
        whole
    }
}

/// Commit `number` learns concept `number`.
fn commit(world: &mut World, number: u32, length: usize) -> Unsynced {
    world.work();
    world.learn(&concept(number, &format!("{number} {}", "x".repeat(length))));
    let commit = world.shards[0].next_commit().unwrap();
    write(&commit).unwrap();
    assert_eq!(
        world.finish(0, Ok(())).len(),
        1,
        "one commit, and nothing else was written on the way"
    );
    Unsynced {
        number,
        path: commit.file.path().to_owned(),
        offset: commit.offset,
        bytes: commit.bytes.to_vec(),
    }
}

/// Whether exactly the first `count` commits are there.
fn holds(world: &mut World, count: u32) {
    for number in 0..count + 20 {
        let there = world
            .concept("", id(number))
            .is_some_and(|record| record.content.starts_with(&format!("{number} ")));
        assert_eq!(there, number < count, "commit {number} of {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_power_cut_leaves_a_start_of_the_log_that_is_no_shorter_than_what_was_synced(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let folder = folder();
        let open = || {
            let options = options(1, Durability::Interval(1000));
            let mut world = World::open_with(folder.path(), &options).unwrap();
            world.marks_late = true;
            world
        };
        let mut world = open();
        let mut count = 0;
        let mut unsynced: Vec<Unsynced> = Vec::new();
        for step in steps {
            match step {
                Step::Commits(commits, length) => {
                    for _ in 0..commits {
                        unsynced.push(commit(&mut world, count, length));
                        count += 1;
                    }
                }
                Step::Sync => {
                    let files = world.shards[0].next_sync();
                    let files: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
                    let covers_all = unsynced.iter().all(|commit| files.contains(&commit.path));
                    prop_assert!(covers_all, "a sync covers all");
                    unsynced.clear();
                }
                Step::Mark => {
                    world.mark();
                    if let Some(active) = unsynced.last().map(|commit| commit.path.clone()) {
                        unsynced.retain(|commit| commit.path == active);
                    }
                }
                Step::PowerCut(sectors) => {
                    drop(world);
                    let mut first_lost = count;
                    for (commit, sectors) in unsynced.drain(..).zip(sectors.iter().cycle()) {
                        if !commit.lose(*sectors) {
                            first_lost = first_lost.min(commit.number);
                        }
                    }
                    count = first_lost;
                    world = open();
                }
            }
            holds(&mut world, count);
        }
        drop(world);
        let mut world = open();
        prop_assert_eq!(world.opened.report.cut(), 0);
        holds(&mut world, count);
    }
}

#[test]
fn segments_behind_a_lost_commit_are_removed_and_made_anew() {
    let folder = folder();
    let options = options(1, Durability::Os);
    let mut world = World::open_with(folder.path(), &options).unwrap();
    world.marks_late = true;
    let commits: Vec<_> = (0..20).map(|number| commit(&mut world, number, 12_000)).collect();
    drop(world);
    let files = || fs::read_dir(folder.path().join("shard-000")).unwrap().count();
    let before = files();
    assert!(before > 4);
    assert!(!commits[3].lose(0));
    let mut world = World::open_with(folder.path(), &options).unwrap();
    holds(&mut world, 3);
    assert!(files() < before);
    for number in 3..20 {
        commit(&mut world, number, 12_000);
    }
    drop(world);
    holds(&mut World::open_with(folder.path(), &options).unwrap(), 20);
}
