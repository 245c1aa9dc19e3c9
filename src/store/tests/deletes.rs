//! Deleting concepts and their associations, over shards and through restarts.

use crate::support::{World, association, concept, folder, id, options};
use sutra_store::{Effect, OpenOptions};
use sutra_wire::{AssociationRecord, Direction, Durability};

const HUB: u32 = 4_000_000;

fn three(durability: Durability) -> OpenOptions {
    options(3, durability)
}

/// A hub with so many associations each way, its other ends on all shards.
fn hub(world: &mut World, spokes: u32) {
    world.learn(&concept(HUB, "in the middle"));
    for number in 0..spokes {
        world.learn(&concept(number, "outside"));
        world.associate(&AssociationRecord { kind: number % 3, ..association(HUB, number, 1.0) });
        world.associate(&association(number, HUB, 0.5));
        // Of no concern to the hub.
        world.associate(&association(number, (number + 1) % spokes, 0.25));
    }
    world.associate(&association(HUB, HUB, 1.0));
    world.commit();
}

fn reopened(world: World, folder: &std::path::Path) -> World {
    drop(world);
    World::open_with(folder, &three(Durability::Always)).unwrap()
}

#[test]
fn a_deleted_concept_is_gone_from_both_ends_on_every_shard_and_stays_gone() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three(Durability::Always)).unwrap();
    hub(&mut world, 100);
    assert!(world.delete("", id(HUB)));
    for _ in 0..2 {
        assert!(world.concept("", id(HUB)).is_none());
        assert!(!world.concepts("").contains(&id(HUB)));
        assert_eq!(world.neighbors("", id(HUB), Direction::Both), []);
        for number in 0..100 {
            assert!(world.concept("", id(number)).is_some());
            let both = world.neighbors("", id(number), Direction::Both);
            assert_eq!(both.len(), 2, "its own neighbours stay: {both:?}");
            assert!(both.iter().all(|(peer, ..)| *peer != id(HUB)));
        }
        let stats = |of: fn(&sutra_store::ShardStats) -> u64| {
            world.shards.iter().map(|shard| of(&shard.stats())).sum::<u64>()
        };
        assert_eq!((stats(|shard| shard.concepts), stats(|shard| shard.associations)), (100, 100));
        world = reopened(world, folder.path());
    }
    assert!(!world.delete("", id(HUB)), "it is not there any more");
}

#[test]
fn what_is_learned_after_a_delete_is_new() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three(Durability::Always)).unwrap();
    hub(&mut world, 5);
    let before = world.concept("", id(HUB)).unwrap();
    let edge_before = world.association("", id(HUB), id(3), None).unwrap();
    world.delete("", id(HUB));
    world.learn(&concept(HUB, "anew"));
    world.associate(&AssociationRecord { kind: 0, ..association(HUB, 3, 0.75) });
    world.commit();
    for _ in 0..2 {
        let after = world.concept("", id(HUB)).unwrap();
        assert_eq!(after.content, "anew");
        assert!(after.created > before.updated, "created when it was learned again");
        assert_eq!(world.neighbors("", id(HUB), Direction::Both), [(id(3), 0, 0.75, true)]);
        assert!(world.neighbors("", id(3), Direction::In).contains(&(id(HUB), 0, 0.75, false)));
        assert!(world.association("", id(HUB), id(3), None).unwrap().created > edge_before.updated);
        world = reopened(world, folder.path());
    }
}

#[test]
fn a_delete_that_a_crash_cut_short_leaves_the_concept_with_fewer_associations_and_can_be_repeated()
{
    for done in [0, 1, 7, 20] {
        let folder = folder();
        let mut world = World::open_with(folder.path(), &three(Durability::Always)).unwrap();
        hub(&mut world, 10);
        let edges = world.edges("", id(HUB));
        assert_eq!(edges.len(), 21);
        for key in &edges[..done] {
            world.dissociate(key);
        }
        world.commit();
        // Accepted, and not on the disk yet.
        world.bury("", id(HUB));
        world = reopened(world, folder.path());
        assert!(world.concept("", id(HUB)).is_some(), "{done} removed");
        let left = world.edges("", id(HUB));
        assert!(
            !left.is_empty()
                && left.len() <= 21 - done
                && left.iter().all(|edge| edges.contains(edge)),
            "{done}"
        );
        assert!(world.delete("", id(HUB)));
        world = reopened(world, folder.path());
        assert_eq!((world.concept("", id(HUB)), world.edges("", id(HUB)).len()), (None, 0));
    }
}

#[test]
fn an_association_that_is_not_there_is_not_removed_and_one_removed_twice_is_gone_once() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three(Durability::Always)).unwrap();
    world.associate(&association(1, 2, 0.5));
    world.commit();
    let [key] = world.edges("", id(1))[..] else { panic!("one") };
    assert_eq!(world.dissociate(&sutra_store::EdgeKey { kind: 9, ..key }), None);
    // Both are accepted before the first is visible.
    let twice = [world.dissociate(&key).unwrap(), world.dissociate(&key).unwrap()];
    let acknowledged = world.commit();
    let removals = acknowledged.iter().filter_map(|entry| match entry.effect {
        Ok(Effect::Removal(_, was_there)) => Some((entry.sequence, was_there)),
        _ => None,
    });
    assert!(removals.eq([(twice[0], true), (twice[1], false)]), "only one of them finds it");
    assert_eq!(world.dissociate(&key), None);
    assert_eq!(world.neighbors("", id(2), Direction::Both), []);
}

#[test]
fn the_same_id_in_another_namespace_is_left_alone() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three(Durability::Always)).unwrap();
    for namespace in ["", "other"] {
        let namespace = namespace.to_owned();
        world.learn(&sutra_wire::ConceptRecord {
            namespace: namespace.clone(),
            ..concept(1, "one")
        });
        world.associate(&AssociationRecord { namespace, ..association(1, 2, 0.5) });
    }
    world.commit();
    assert!(world.delete("other", id(1)));
    for _ in 0..2 {
        assert!(world.concept("", id(1)).is_some() && world.concept("other", id(1)).is_none());
        assert_eq!(world.edges("", id(1)).len() + world.edges("other", id(1)).len(), 1);
        world = reopened(world, folder.path());
    }
}

#[test]
fn a_relaxed_store_deletes_too() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &three(Durability::Os)).unwrap();
    hub(&mut world, 30);
    assert!(world.delete("", id(HUB)));
    world.stop();
    let mut world = World::open_with(folder.path(), &three(Durability::Os)).unwrap();
    assert_eq!((world.concept("", id(HUB)), world.edges("", id(HUB)).len()), (None, 0));
}
