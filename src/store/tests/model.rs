//! Random histories of writes, commits and crashes against a model of plain maps.

use std::collections::BTreeMap;
use std::fs::OpenOptions as FileOptions;
use std::os::unix::fs::FileExt;

use crate::support;
use crate::support::{World, association, concept, folder, id, options};
use proptest::prelude::*;
use sutra_store::EdgeKey;
use sutra_wire::{AssociationRecord, ConceptRecord, Direction, Durability};

const CORES: usize = 2;
const IDS: u32 = 6;

#[derive(Clone, Debug)]
enum Step {
    Learn(ConceptRecord),
    Associate(AssociationRecord),
    /// Every association that is visible at a concept is removed.
    Strip(String, u32),
    /// A concept's tombstone is logged, whatever associations it has.
    Bury(String, u32),
    /// A concept is deleted as a server does it, to the end.
    Delete(String, u32),
    Commit,
    /// Both shards' commits are in flight when the power goes; of each, these sectors reached the
    /// disk (by bit).
    PowerCut(u64),
    /// Killed between commits.
    Kill,
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("other".to_owned())]
}

fn step() -> impl Strategy<Value = Step> {
    let learn = (0..IDS, 0..4000usize, 0..100u32, namespace()).prop_map(
        |(number, length, mark, namespace)| {
            Step::Learn(ConceptRecord {
                namespace,
                ..concept(number, &format!("{mark}{}", "x".repeat(length)))
            })
        },
    );
    let associate = (0..IDS, 0..IDS, 0..3u32, 0..=4u8, namespace()).prop_map(
        |(source, target, kind, quarters, namespace)| {
            Step::Associate(AssociationRecord {
                kind,
                namespace,
                ..association(source, target, f32::from(quarters) / 4.0)
            })
        },
    );
    let sectors = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(0),
        (0..64u32).prop_map(|count| (1 << count) - 1)
    ];
    let concept = || (namespace(), 0..IDS);
    let strip = concept().prop_map(|(namespace, number)| Step::Strip(namespace, number));
    let bury = concept().prop_map(|(namespace, number)| Step::Bury(namespace, number));
    let delete = concept().prop_map(|(namespace, number)| Step::Delete(namespace, number));
    prop_oneof![
        8 => learn,
        8 => associate,
        2 => strip,
        2 => bury,
        1 => delete,
        4 => Just(Step::Commit),
        1 => sectors.prop_map(Step::PowerCut),
        1 => Just(Step::Kill),
    ]
}

/// A write that a shard has accepted.
#[derive(Clone, Debug)]
enum Write {
    Learn(ConceptRecord),
    Associate(AssociationRecord),
    Remove(String, EdgeKey),
    Bury(String, [u8; 16]),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    concepts: BTreeMap<(String, [u8; 16]), String>,
    associations: BTreeMap<(String, [u8; 16], [u8; 16], u32), f32>,
}

impl Model {
    fn apply(&mut self, write: Write) {
        match write {
            Write::Learn(record) => {
                self.concepts.insert((record.namespace.clone(), record.id), record.content.clone());
            }
            Write::Associate(record) => {
                let key = (record.namespace.clone(), record.source, record.target, record.kind);
                self.associations.insert(key, record.confidence);
            }
            Write::Remove(namespace, EdgeKey { source, target, kind, .. }) => {
                self.associations.remove(&(namespace, source.0, target.0, kind));
            }
            Write::Bury(namespace, id) => drop(self.concepts.remove(&(namespace, id))),
        }
    }

    fn apply_all(&mut self, writes: impl IntoIterator<Item = Write>) {
        writes.into_iter().for_each(|write| self.apply(write));
    }

    /// A concept and all its associations are gone; whether it was there.
    fn delete(&mut self, namespace: &str, id: [u8; 16]) -> bool {
        self.associations.retain(|(of, source, target, _), _| {
            of != namespace || (*source != id && *target != id)
        });
        self.concepts.remove(&(namespace.to_owned(), id)).is_some()
    }

    /// What a world shows, in the same form; checks that both ends of associations, and all ways to
    /// read, agree.
    fn of(world: &mut World) -> Self {
        let mut model = Self::default();
        let mut incoming = BTreeMap::new();
        for namespace in ["", "other"] {
            let mut listed = world.concepts(namespace);
            listed.sort_unstable();
            assert_eq!(
                listed,
                (0..IDS)
                    .map(id)
                    .filter(|id| world.concept(namespace, *id).is_some())
                    .collect::<Vec<_>>()
            );
            for id in (0..IDS).map(id) {
                if let Some(record) = world.concept(namespace, id) {
                    model.concepts.insert((namespace.to_owned(), id), record.content);
                }
                for (peer, kind, confidence, _) in world.neighbors(namespace, id, Direction::Out) {
                    assert!(
                        model
                            .associations
                            .insert((namespace.to_owned(), id, peer, kind), confidence)
                            .is_none()
                    );
                    let record = world.association(namespace, id, peer, Some(kind)).unwrap();
                    assert_eq!(
                        (record.source, record.target, record.kind, record.confidence),
                        (id, peer, kind, confidence)
                    );
                }
                for peer in (0..IDS).map(support::id) {
                    let mut between =
                        model.associations.range((namespace.to_owned(), id, peer, 0)..);
                    let lowest = between
                        .next()
                        .filter(|((_, source, target, _), _)| (*source, *target) == (id, peer));
                    let found = world.association(namespace, id, peer, None);
                    assert_eq!(
                        found.map(|record| record.kind),
                        lowest.map(|((.., kind), _)| *kind)
                    );
                }
                for (peer, kind, confidence, _) in world.neighbors(namespace, id, Direction::In) {
                    assert!(
                        incoming
                            .insert((namespace.to_owned(), peer, id, kind), confidence)
                            .is_none()
                    );
                }
            }
        }
        assert_eq!(model.associations, incoming);
        model
    }
}

/// Writes those sectors of a shard's next commit that `sectors` names; whether that was all of
/// them.
fn write_partly(world: &mut World, shard: usize, sectors: u64) -> bool {
    let Some(commit) = world.shards[shard].next_commit() else { return true };
    let file = FileOptions::new().write(true).open(commit.file.path()).unwrap();
    let mut whole = true;
    for (number, sector) in commit.bytes.chunks(512).enumerate() {
        if sectors >> (number % 64) & 1 == 1 {
            file.write_all_at(sector, commit.offset + 512 * number as u64).unwrap();
        } else {
            // What the file holds there is zero already.
            whole &= sector.iter().all(|byte| *byte == 0);
        }
    }
    whole
}

/// The shard that a concept's writes are accepted by.
fn owner(world: &World, concept: [u8; 16]) -> usize {
    usize::from(world.layout.owner(&concept.into()))
}

/// A write that found no room has committed what waited before it: those landed and are
/// acknowledged.
fn land_acknowledged(world: &World, shard: usize, waiting: &mut Vec<Write>, landed: &mut Model) {
    let still = world.shards[shard].pending();
    landed.apply_all(waiting.drain(..waiting.len() - still));
}

/// A shard's next commit is on the disk as far as `sectors` says so. Where that is all of it, it
/// landed, though it is not acknowledged. What waited in a further commit is lost.
fn land_partly(
    world: &mut World,
    shard: usize,
    sectors: u64,
    waiting: &mut Vec<Write>,
    landed: &mut Model,
) {
    if write_partly(world, shard, sectors) {
        let mut kept = Vec::new();
        world.shards[shard].commit_finished(Ok(()), |entry| kept.push(entry));
        landed.apply_all(waiting.drain(..kept.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_shows_what_landed_and_nothing_else_through_any_crash(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let folder = folder();
        let open = || World::open_with(folder.path(), &options(CORES, Durability::Always)).unwrap();
        let mut world = open();
        let mut landed = Model::default();
        // Accepted by each shard and not known to have landed, in order.
        let mut waiting: [Vec<Write>; CORES] = Default::default();
        for step in steps {
            match step {
                Step::Learn(record) => {
                    world.learn(&record);
                    waiting[owner(&world, record.id)].push(Write::Learn(record));
                }
                Step::Associate(record) => {
                    world.associate(&record);
                    waiting[owner(&world, record.source)].push(Write::Associate(record));
                }
                Step::Strip(namespace, number) => {
                    for key in world.edges(&namespace, id(number)) {
                        if world.dissociate(&key).is_some() {
                            let owner = owner(&world, key.source.0);
                            waiting[owner].push(Write::Remove(namespace.clone(), key));
                        }
                    }
                }
                Step::Bury(namespace, number) => {
                    world.bury(&namespace, id(number));
                    waiting[owner(&world, id(number))].push(Write::Bury(namespace, id(number)));
                }
                Step::Delete(namespace, number) => {
                    world.commit();
                    landed.apply_all(waiting.iter_mut().flat_map(|waiting| waiting.drain(..)));
                    let was_there = world.delete(&namespace, id(number));
                    prop_assert_eq!(was_there, landed.delete(&namespace, id(number)));
                }
                Step::Commit => {
                    world.commit();
                    landed.apply_all(waiting.iter_mut().flat_map(|waiting| waiting.drain(..)));
                }
                Step::PowerCut(sectors) => {
                    for (shard, waiting) in waiting.iter_mut().enumerate() {
                        land_acknowledged(&world, shard, waiting, &mut landed);
                        land_partly(&mut world, shard, sectors, waiting, &mut landed);
                        waiting.clear();
                    }
                    drop(world);
                    world = open();
                }
                Step::Kill => {
                    for (shard, waiting) in waiting.iter_mut().enumerate() {
                        land_acknowledged(&world, shard, waiting, &mut landed);
                        waiting.clear();
                    }
                    drop(world);
                    world = open();
                }
            }
            if waiting.iter().all(Vec::is_empty) {
                prop_assert_eq!(Model::of(&mut world), landed.clone());
            }
        }
    }
}
