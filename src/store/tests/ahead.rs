//! A store that is read while it is written, and then taken over, is what it would be if it had
//! been opened then.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{TestClock, World, association, concept, folder, id, options, query, write};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sutra_store::{Ahead, OpenOptions, StoreError};
use sutra_wire::{ConceptRecord, Direction, Durability};

const CORES: usize = 3;
const IDS: u32 = 60;

fn small() -> OpenOptions {
    // So small that the log goes on in a new segment every now and then.
    OpenOptions { segment_bytes: 256 << 10, ..options(CORES, Durability::Always) }
}

/// Some writes of every kind, and their commits.
fn write_some(world: &mut World, random: &mut StdRng, round: u32, count: usize) {
    for step in 0..count {
        let number = random.random_range(0..IDS);
        let namespace = match random.random_range(0..6) {
            0 => format!("n{}", random.random_range(0..=round)),
            1 => "other".to_owned(),
            _ => String::new(),
        };
        match random.random_range(0..10) {
            0..=5 => {
                let length = random.random_range(0..8_000);
                let text = format!("{round} {step} {}", "x".repeat(length));
                let embedding = match random.random_range(0..3) {
                    0 => Vec::new(),
                    _ => (0..4).map(|_| random.random_range(-1.0..1.0)).collect(),
                };
                world.learn(&ConceptRecord { namespace, embedding, ..concept(number, &text) });
            }
            6..=8 => {
                let target = random.random_range(0..IDS);
                let kind = random.random_range(0..3);
                let association = association(number, target, 0.5);
                world.associate(&sutra_wire::AssociationRecord { kind, namespace, ..association });
            }
            _ => {
                world.delete(&namespace, id(number));
            }
        }
        if random.random_range(0..4) == 0 {
            world.commit();
        }
    }
    world.commit();
}

/// All that can be seen of a store.
fn seen(world: &mut World, round: u32) -> Vec<String> {
    let mut all = Vec::new();
    let namespaces = (0..=round).map(|number| format!("n{number}"));
    for namespace in namespaces.chain([String::new(), "other".into()]) {
        for number in 0..IDS {
            let concept = world.concept(&namespace, id(number));
            let concept = concept.map(|concept| (concept.content, concept.embedding));
            let neighbors = world.neighbors(&namespace, id(number), Direction::Both);
            if concept.is_some() || !neighbors.is_empty() {
                all.push(format!("{namespace} {number} {concept:?} {neighbors:?}"));
            }
        }
    }
    for hit in world.search(&query(&[0.3, -0.2, 0.9, 0.1], 50), None) {
        all.push(format!("{:?} {}", hit.id, hit.similarity));
    }
    let vectors: u64 = world.shards.iter().map(|shard| shard.stats().vectors).sum();
    let associations: u64 = world.shards.iter().map(|shard| shard.stats().associations).sum();
    all.push(format!("{vectors} vectors, {associations} associations"));
    all
}

fn open(folder: &Path) -> World {
    World::open_with(folder, &small()).unwrap()
}

#[test]
fn what_came_before_while_and_after_it_was_read_ahead_is_there() {
    let folder = folder();
    let mut world = open(folder.path());
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..24 {
        write_some(&mut world, &mut random, round, 40);
        if round % 3 == 0 {
            world.index();
        }
        let ahead = Ahead::read(folder.path(), small()).unwrap();
        let later = random.random_range(0..60);
        write_some(&mut world, &mut random, round, later);
        let expected = seen(&mut world, round);
        let last = world.shards.iter().map(|shard| shard.last_sequence()).max();
        world.shards.clear();
        world.opened.keeper.release().unwrap();
        drop(world);
        world = World::of(ahead.open("").unwrap(), TestClock::default().into());
        assert_eq!(seen(&mut world, round), expected, "round {round}");
        assert!(world.shards.iter().map(|shard| shard.last_sequence()).max() >= last);
        if round % 5 == 4 {
            drop(world);
            world = open(folder.path());
            assert_eq!(seen(&mut world, round), expected, "round {round}, opened again");
        }
    }
    world.stop();
}

#[test]
fn a_store_can_be_read_at_any_moment_of_its_being_written() {
    let folder = folder();
    let mut world = open(folder.path());
    let mut random = StdRng::seed_from_u64(8);
    write_some(&mut world, &mut random, 0, 20);
    let is_over = AtomicBool::new(false);
    let ahead = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let read = |_, _| Some(Ahead::read(folder.path(), small()).unwrap());
            let last = (0..20).fold(None, read);
            is_over.store(true, Ordering::Relaxed);
            last.unwrap()
        });
        while !is_over.load(Ordering::Relaxed) {
            write_some(&mut world, &mut random, 3, 10);
        }
        reading.join().unwrap()
    });
    let expected = seen(&mut world, 3);
    world.shards.clear();
    world.opened.keeper.release().unwrap();
    let mut next = World::of(ahead.open("").unwrap(), TestClock::default().into());
    assert_eq!(seen(&mut next, 3), expected);
    // Who has let go of it writes nothing more.
    assert!(matches!(world.opened.keeper.close(), Err(StoreError::Lost { .. })));
    next.stop();
}

#[test]
fn a_commit_that_was_read_ahead_and_refused_is_not_there_and_what_came_after_it_is() {
    for later in [0, 1, 5] {
        let folder = folder();
        let mut world = open(folder.path());
        for number in 0..IDS / 2 {
            world.learn(&concept(number, "before"));
        }
        world.commit();
        // All of them reach the disk, which says that they did not.
        let refused = IDS / 2..IDS;
        for number in refused.clone() {
            world.learn(&concept(number, "refused"));
            world.associate(&association(number, number - 1, 0.5));
        }
        for core in 0..CORES {
            let commit = world.shards[core].next_commit().unwrap();
            write(&commit).unwrap();
            let told = world.finish(core, Err(io::ErrorKind::StorageFull.into()));
            assert!(told.iter().all(|entry| entry.effect.is_err()));
        }
        let ahead = Ahead::read(folder.path(), small()).unwrap();
        world.clock.pass(1_000_000);
        world.work();
        for number in 0..later {
            world.learn(&concept(2_000 + number, "later"));
            world.commit();
        }
        let expected = seen(&mut world, 0);
        world.shards.clear();
        world.opened.keeper.release().unwrap();
        drop(world);
        let mut world = World::of(ahead.open("").unwrap(), TestClock::default().into());
        assert_eq!(seen(&mut world, 0), expected, "{later}");
        let there = |world: &mut World, number| world.concept("", id(number)).is_some();
        assert!(!refused.clone().any(|number| there(&mut world, number)), "{later}");
        assert!((0..later).all(|number| there(&mut world, 2_000 + number)), "{later}");
        world.stop();
        let mut world = open(folder.path());
        assert_eq!(seen(&mut world, 0), expected, "{later}, opened again");
    }
}

#[test]
fn a_store_that_is_locked_or_none_or_another_is_not_taken_over() {
    let folder = folder();
    assert!(matches!(Ahead::read(folder.path(), small()), Err(StoreError::Missing { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
    let world = open(folder.path());
    let other = OpenOptions { cores: 2, ..small() };
    assert!(matches!(Ahead::read(folder.path(), other), Err(StoreError::Cores { .. })));
    let ahead = Ahead::read(folder.path(), small()).unwrap();
    assert!(matches!(ahead.open::<u64>(""), Err(StoreError::Locked { .. })));
    world.stop();
}
