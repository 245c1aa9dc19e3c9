//! Stores that are made over for another number of cores.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sutra_wire::{AssociationRecord, ConceptRecord, Direction, Durability};

use crate::support::{World, association, concept, folder, id, options, query};
use sutra_store::Ahead;

type Edges = Vec<([u8; 16], u32, f32, bool)>;

/// Everything that can be seen of a store.
fn contents(world: &mut World) -> BTreeMap<(String, [u8; 16]), (Option<ConceptRecord>, Edges)> {
    let mut all = BTreeMap::new();
    for namespace in ["", "other"] {
        for number in 0..80 {
            let record = world.concept(namespace, id(number));
            let edges = world.neighbors(namespace, id(number), Direction::Both);
            all.insert((namespace.to_owned(), id(number)), (record, edges));
        }
    }
    all
}

/// A store with old versions, deleted concepts, removed associations, vectors, two namespaces, and
/// an association whose ends are not learned.
fn fill(world: &mut World) {
    for round in 0..3 {
        for number in 0..60 {
            let content = format!("round {round} {}", "x".repeat(number as usize * 20));
            let embedding = vec![number as f32 + 1.0, 1.0];
            let namespace = ["", "other"][number as usize % 2].to_owned();
            let record = ConceptRecord { embedding, namespace, ..concept(number, &content) };
            world.learn(&record);
            let namespace = record.namespace;
            let confidence = (round + 1) as f32 / 4.0;
            let edge = association(number, (number + 2 * round) % 60, confidence);
            world.associate(&AssociationRecord { namespace, ..edge });
            world.commit();
        }
    }
    world.associate(&association(70, 71, 0.5));
    world.commit();
    for number in (0..60).step_by(7) {
        world.delete(["", "other"][number as usize % 2], id(number));
    }
}

fn open(folder: &Path, cores: usize) -> World {
    World::open_with(folder, &options(cores, Durability::Always)).unwrap()
}

fn highest(world: &World) -> (u64, u64) {
    let sequences = world.shards.iter().map(|shard| shard.last_sequence());
    let commits = world.shards.iter().map(|shard| shard.cut().unwrap().commit);
    (sequences.max().unwrap(), commits.max().unwrap())
}

#[test]
fn a_store_that_is_made_over_again_and_again_has_all_that_it_had_and_nothing_else() {
    let folder = folder();
    let mut world = open(folder.path(), 1);
    fill(&mut world);
    let mut expected = contents(&mut world);
    let mut reached = highest(&world);
    world.stop();
    for (cores, number) in [(2, 30), (4, 31), (3, 32), (3, 33), (1, 34), (2, 35)] {
        let mut world = open(folder.path(), cores);
        assert_eq!(contents(&mut world), expected, "on {cores} cores");
        let hits = world.search(&query(&[13.0, 1.0], 3), None);
        assert_eq!(hits[0].id, id(12), "{hits:?}");
        // Neither sequences nor commits begin anew, though the last of all was a deletion.
        let (sequence, commit) = highest(&world);
        assert!(world.shards.iter().all(|shard| shard.last_sequence() >= reached.0));
        if world.opened.report.made_over_from.is_some() {
            assert!(world.shards.iter().all(|shard| shard.cut().unwrap().commit == reached.1));
        }
        assert_eq!((sequence, commit), reached);
        // Something new, and something that is deleted, are there after the next change.
        world.learn(&concept(number, "written since"));
        world.delete("", id(number + 10));
        world.commit();
        (expected, reached) = (contents(&mut world), highest(&world));
        assert!(reached.0 > sequence && reached.1 > commit);
        world.stop();
        let report = sutra_store::verify(folder.path(), &mut |_| true).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        let shards = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let shards = shards.filter(|name| name.to_str().unwrap().starts_with("shard-"));
        assert_eq!(shards.count(), cores, "no folder is left");
    }
}

#[test]
fn what_was_overwritten_and_deleted_is_not_copied() {
    let folder = folder();
    let mut world = open(folder.path(), 1);
    for round in 0..50 {
        for number in 0..4 {
            world.learn(&concept(number, &format!("{round} {}", "x".repeat(4000))));
        }
        world.commit();
    }
    let before = world.shards[0].stats().log_bytes;
    world.delete("", id(3));
    world.stop();
    let world = open(folder.path(), 2);
    let bytes: u64 = world.shards.iter().map(|shard| shard.stats().log_bytes).sum();
    assert!(bytes < before / 10, "{bytes} of {before}");
    let entries: u64 = world.opened.report.entries();
    assert_eq!((entries, world.opened.report.made_over_from), (3, Some(1)));
}

#[test]
fn an_empty_store_is_made_over_too() {
    let folder = folder();
    open(folder.path(), 4).stop();
    for cores in [1, 3] {
        let mut world = open(folder.path(), cores);
        world.learn(&concept(cores as u32, "first"));
        world.commit();
        world.stop();
    }
    let mut world = open(folder.path(), 2);
    assert!(world.concept("", id(1)).is_some() && world.concept("", id(3)).is_some());
}

#[test]
fn a_torn_tail_is_no_part_of_what_is_made_over() {
    let folder = folder();
    let mut world = open(folder.path(), 1);
    world.learn(&concept(1, "acknowledged"));
    world.commit();
    world.learn(&concept(2, &"never written".repeat(1000)));
    let torn = world.shards[0].next_commit().unwrap();
    let half = &torn.bytes[..torn.bytes.len() / 2];
    let file = fs::OpenOptions::new().write(true).open(torn.file.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, half, torn.offset).unwrap();
    drop(world);
    let mut world = open(folder.path(), 2);
    assert!(world.concept("", id(1)).is_some() && world.concept("", id(2)).is_none());
}

#[test]
fn a_store_that_was_made_over_can_be_read_ahead_and_taken_over() {
    let folder = folder();
    let mut world = open(folder.path(), 1);
    fill(&mut world);
    world.stop();
    let mut world = open(folder.path(), 3);
    let expected = contents(&mut world);
    let asked = options(3, Durability::Always);
    let ahead = Ahead::read(folder.path(), asked).unwrap();
    world.opened.keeper.release().unwrap();
    drop(world);
    let opened = ahead.open::<u64>("127.0.0.1:1").unwrap();
    let mut world = World::of(opened, Default::default());
    assert_eq!(contents(&mut world), expected);
}
