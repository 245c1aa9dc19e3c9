//! Writes: when they become visible, what they keep, and that a restart finds them.

use std::io;

use crate::support::{World, association, concept, folder, id, options, write};
use sutra_store::{Effect, Refusal};
use sutra_wire::{AssociationRecord, Checked, ConceptRecord, Direction, Durability};

#[test]
fn a_write_is_visible_only_when_its_commit_has_landed() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let sequence = world.learn(&concept(1, "one"));
    world.associate(&association(1, 2, 0.5));
    assert_eq!(world.concept("", id(1)), None);
    assert_eq!(
        (world.shards[0].pending(), world.shards[0].committed_sequence()),
        (2, sequence - 1)
    );
    let commit = world.shards[0].next_commit().unwrap();
    assert_eq!(world.concept("", id(1)), None);
    assert!(world.shards[0].next_commit().is_none(), "one commit in flight");
    world.learn(&concept(3, "gathers meanwhile"));
    write(&commit).unwrap();
    let acknowledged = world.finish(0, Ok(()));
    let told: Vec<_> = acknowledged.iter().map(|entry| (entry.ticket, entry.sequence)).collect();
    assert_eq!(told, [(1, sequence), (2, sequence + 1)]);
    assert!(matches!(acknowledged[0].effect, Ok(Effect::Concept)));
    assert_eq!(world.concept("", id(1)).unwrap().content, "one");
    assert_eq!(world.neighbors("", id(1), Direction::Out), [(id(2), 0, 0.5, true)]);
    assert_eq!(world.concept("", id(3)), None);
    assert_eq!(world.shards[0].committed_sequence(), sequence + 1);
    assert_eq!(world.commit().len(), 1);
    assert_eq!(
        (world.shards[0].pending(), world.shards[0].committed_sequence()),
        (0, sequence + 2)
    );
}

#[test]
fn a_restart_finds_every_landed_write_and_nothing_else() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(3, Durability::Always)).unwrap();
    for number in 0..50 {
        world.learn(&concept(number, &format!("content {number}")));
        world.associate(&association(number, number + 1, 0.5));
        if number % 7 == 0 {
            world.commit();
        }
    }
    world.commit();
    world.learn(&concept(99, "never committed"));
    let before = world.shards.iter().map(|shard| shard.last_sequence()).max().unwrap();
    drop(world);
    let mut world = World::open_with(folder.path(), &options(3, Durability::Always)).unwrap();
    assert_eq!(world.opened.report.entries(), 100);
    assert_eq!(world.opened.report.cut(), 0);
    for number in 0..50 {
        assert_eq!(world.concept("", id(number)).unwrap().content, format!("content {number}"));
        assert_eq!(
            world.neighbors("", id(number), Direction::Out),
            [(id(number + 1), 0, 0.5, true)]
        );
        assert_eq!(
            world.neighbors("", id(number + 1), Direction::In),
            [(id(number), 0, 0.5, false)]
        );
    }
    assert_eq!(world.concept("", id(99)), None);
    assert!(
        world.shards.iter().all(|shard| shard.last_sequence() + 1 >= before),
        "every core starts above all"
    );
    let concepts: u64 = world.shards.iter().map(|shard| shard.stats().concepts).sum();
    let associations: u64 = world.shards.iter().map(|shard| shard.stats().associations).sum();
    assert_eq!((concepts, associations), (50, 50));
}

#[test]
fn learning_a_concept_again_keeps_its_associations_and_its_first_time() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    world.learn(&ConceptRecord { embedding: vec![1.0], ..concept(1, "first") });
    world.associate(&association(1, 2, 0.5));
    world.commit();
    let first = world.concept("", id(1)).unwrap();
    assert!(first.created > 0 && first.created == first.updated);
    assert_eq!(world.shards[0].stats().vectors, 1);
    world.learn(&concept(1, "second"));
    world.associate(&association(1, 2, 0.75));
    world.commit();
    for _ in 0..2 {
        let second = world.concept("", id(1)).unwrap();
        assert_eq!((second.content.as_str(), second.created), ("second", first.created));
        assert!(second.updated > first.updated);
        assert_eq!(world.neighbors("", id(1), Direction::Both), [(id(2), 0, 0.75, true)]);
        let stats = world.shards[0].stats();
        assert_eq!((stats.concepts, stats.associations, stats.vectors), (1, 1, 0));
        drop(world);
        world = World::open(folder.path()).unwrap();
    }
}

#[test]
fn times_that_the_client_gives_are_kept() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    world.learn(&ConceptRecord { created: 11, updated: 22, ..concept(1, "both") });
    world.learn(&ConceptRecord { updated: 22, ..concept(2, "one") });
    world.commit();
    let both = world.concept("", id(1)).unwrap();
    assert_eq!((both.created, both.updated), (11, 22));
    let one = world.concept("", id(2)).unwrap();
    assert!(one.created > 22 && one.updated == 22);
}

#[test]
fn namespaces_do_not_see_each_other() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(2, Durability::Always)).unwrap();
    for namespace in ["", "a", "b"] {
        world.learn(&ConceptRecord { namespace: namespace.into(), ..concept(1, namespace) });
        world.associate(&AssociationRecord {
            namespace: namespace.into(),
            kind: namespace.len() as u32,
            ..association(1, 2, 0.5)
        });
    }
    world.learn(&ConceptRecord { namespace: "a".into(), ..concept(5, "only here") });
    world.commit();
    for _ in 0..2 {
        for namespace in ["", "a", "b"] {
            assert_eq!(world.concept(namespace, id(1)).unwrap().content, namespace);
            assert_eq!(
                world.neighbors(namespace, id(2), Direction::In),
                [(id(1), namespace.len() as u32, 0.5, false)]
            );
            assert_eq!(world.concept(namespace, id(5)).is_some(), namespace == "a");
        }
        drop(world);
        world = World::open_with(folder.path(), &options(2, Durability::Always)).unwrap();
    }
}

#[test]
fn sequences_rise_above_whatever_was_seen() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    assert_eq!(world.learn(&concept(1, "one")), 1);
    world.shards[0].observe(1000);
    assert_eq!(world.learn(&concept(2, "two")), 1001);
    world.shards[0].observe(5);
    assert_eq!(world.learn(&concept(3, "three")), 1002);
    world.commit();
    drop(world);
    let mut world = World::open(folder.path()).unwrap();
    assert_eq!(world.learn(&concept(4, "four")), 1003);
}

#[test]
fn the_log_rolls_over_segments_and_a_restart_goes_on_in_the_last() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let content = "x".repeat(3000);
    for round in 0..3 {
        for number in round * 100..(round + 1) * 100 {
            world.learn(&concept(number, &format!("{number} {content}")));
            if number % 9 == 0 {
                world.commit();
            }
        }
        world.commit();
        let segments = world.shards[0].stats().segments;
        assert!(
            segments >= 4 * (u64::from(round) + 1),
            "{segments} segments of 64 KiB for 300 KB a round"
        );
        drop(world);
        world = World::open(folder.path()).unwrap();
        assert_eq!(world.shards[0].stats().segments, segments);
        for number in 0..(round + 1) * 100 {
            assert!(
                world.concept("", id(number)).unwrap().content.starts_with(&format!("{number} x"))
            );
        }
    }
}

#[test]
fn a_commit_that_fills_its_segment_waits_behind_the_one_in_flight() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    world.learn(&concept(0, "in flight"));
    let commit = world.shards[0].next_commit().unwrap();
    let content = "x".repeat(3000);
    let mut accepted = 0;
    // As the server does: no commit can start, background work can.
    while world.shards[0].stats().segments < 2 {
        accepted += 1;
        world.work();
        world.learn(&concept(accepted, &content));
    }
    assert!(world.shards[0].next_commit().is_none());
    write(&commit).unwrap();
    assert_eq!(world.finish(0, Ok(())).len(), 1);
    let order: Vec<_> = world.commit().into_iter().map(|entry| entry.ticket).collect();
    assert_eq!(order.len(), accepted as usize);
    assert!(order.is_sorted(), "{order:?}");
    drop(world);
    let mut world = World::open(folder.path()).unwrap();
    assert!((0..=accepted).all(|number| world.concept("", id(number)).is_some()));
}

#[test]
fn a_record_longer_than_a_segment_is_refused_with_the_limit() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let refusal = world.try_learn(&concept(1, &"x".repeat(64 << 10))).unwrap_err();
    let Refusal::TooLarge { length, limit } = refusal else { panic!("{refusal}") };
    assert!(length > limit);
    let fits = concept(1, &"x".repeat(limit - 400));
    world.learn(&fits);
    world.commit();
    assert_eq!(world.concept("", id(1)).unwrap().content, fits.content);
}

#[test]
fn after_a_failed_write_everything_that_waited_and_comes_is_refused_and_reads_go_on() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    world.learn(&concept(1, "landed"));
    world.commit();
    world.learn(&concept(2, "in flight"));
    world.shards[0].next_commit().unwrap();
    world.learn(&concept(3, "gathering"));
    let refused = world.finish(0, Err(io::Error::other("the disk is gone")));
    assert_eq!(refused.len(), 2);
    for entry in refused {
        let Err(Refusal::Failed { reason }) = entry.effect else { panic!("not refused") };
        assert!(reason.contains("the disk is gone"));
    }
    assert!(matches!(world.try_learn(&concept(4, "later")), Err(Refusal::Failed { .. })));
    assert!(world.shards[0].health().is_err() && world.shards[0].next_commit().is_none());
    assert_eq!(world.shards[0].pending(), 0);
    assert_eq!(world.concept("", id(1)).unwrap().content, "landed");
    assert_eq!((world.concept("", id(2)), world.concept("", id(3))), (None, None));
}

#[test]
fn after_a_failed_sync_what_waits_is_refused_with_the_next_commits_end() {
    let folder = folder();
    let options = options(1, Durability::Os);
    let mut world = World::open_with(folder.path(), &options).unwrap();
    world.learn(&concept(1, "waits"));
    world.shards[0].fail(&io::Error::other("sync failed"));
    assert!(matches!(world.try_learn(&concept(2, "later")), Err(Refusal::Failed { .. })));
    let ended = world.commit();
    assert!(matches!(&ended[..], [entry] if entry.effect.is_err()));
    assert_eq!((world.shards[0].pending(), world.concept("", id(1))), (0, None));
}

#[test]
fn only_relaxed_commits_ask_for_syncs_and_each_once() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    world.learn(&concept(1, "one"));
    world.commit();
    assert!(world.shards[0].next_sync().is_empty());
    drop(world);
    let mut world = World::open_with(folder.path(), &options(1, Durability::Interval(10))).unwrap();
    assert!(world.shards[0].next_sync().is_empty());
    for number in 2..5 {
        world.learn(&concept(number, "relaxed"));
        world.commit();
    }
    assert_eq!(world.shards[0].next_sync().len(), 1);
    assert!(world.shards[0].next_sync().is_empty());
}

/// The association that is the only entry of the next commit, as the log has it.
fn logged_association(world: &mut World, record: &AssociationRecord) -> AssociationRecord {
    world.associate(record);
    let commit = world.shards[0].next_commit().unwrap();
    let length = u32::from_le_bytes(commit.bytes[64..68].try_into().unwrap()) as usize;
    let mut body = rkyv::util::AlignedVec::<16>::new();
    body.extend_from_slice(&commit.bytes[64 + 32..][..length]);
    write(&commit).unwrap();
    assert_eq!(world.finish(0, Ok(())).len(), 1);
    Checked::<AssociationRecord>::new(&body).unwrap().to_owned()
}

#[test]
fn associating_again_keeps_the_first_time_also_after_a_restart() {
    let folder = folder();
    let mut world = World::open(folder.path()).unwrap();
    let first = logged_association(&mut world, &association(1, 2, 0.5));
    assert!(first.created > 0 && first.created == first.updated);
    let second = logged_association(&mut world, &association(1, 2, 0.75));
    assert_eq!((second.confidence, second.created), (0.75, first.created));
    assert!(second.updated > first.updated);
    for other in [
        AssociationRecord { kind: 7, ..association(1, 2, 0.5) },
        association(2, 1, 0.5),
        association(1, 3, 0.5),
    ] {
        assert!(
            logged_association(&mut world, &other).created > first.created,
            "another association: {other:?}"
        );
    }
    drop(world);
    let mut world = World::open(folder.path()).unwrap();
    assert_eq!(logged_association(&mut world, &association(1, 2, 1.0)).created, first.created);
    let given = logged_association(
        &mut world,
        &AssociationRecord { created: 11, ..association(1, 2, 1.0) },
    );
    assert_eq!(given.created, 11, "what the client gives is kept");
}
