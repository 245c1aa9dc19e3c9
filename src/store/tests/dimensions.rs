//! A namespace's dimension lives as long as its vectors, and a namespace as long as what is in it.

use std::io;
use std::sync::Arc;

use crate::support::{World, association, concept, folder, id, options, query};
use sutra_store::{MAX_NAMESPACES, NamespaceId, OpenOptions, Refusal, SearchProgress};
use sutra_wire::{AssociationRecord, ConceptRecord, Durability};

fn with_vector(number: u32, vector: &[f32]) -> ConceptRecord {
    ConceptRecord { embedding: vector.to_vec(), ..concept(number, "") }
}

fn of(namespace: &str, number: u32) -> ConceptRecord {
    ConceptRecord { namespace: namespace.into(), ..concept(number, "") }
}

fn is_refused(world: &mut World, vector: &[f32]) -> bool {
    (1000..1020).all(|number| {
        matches!(world.try_learn(&with_vector(number, vector)), Err(Refusal::Dimension { .. }))
    })
}

#[test]
fn a_dimension_goes_with_the_last_vector_over_shards_and_starts() {
    let folder = folder();
    let cores = options(3, Durability::Os);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    for number in 0..30 {
        world.learn(&with_vector(number, &[1.0, 2.0, 3.0]));
    }
    world.commit();
    for number in 0..29 {
        match number % 2 {
            0 => world.learn(&concept(number, "without")),
            _ => world.bury("", id(number)),
        };
    }
    world.commit();
    assert!(is_refused(&mut world, &[1.0; 5]), "one is left");
    drop(world);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    assert!(is_refused(&mut world, &[1.0; 5]), "one is left after a start");
    world.bury("", id(29));
    assert!(is_refused(&mut world, &[1.0; 5]), "it is there until its deletion has landed");
    world.commit();
    assert_eq!(world.opened.namespaces.dimension(NamespaceId::DEFAULT), None);
    drop(world);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    for number in 0..30 {
        world.learn(&with_vector(number, &[1.0, 0.0, 0.0, number as f32, 0.0]));
    }
    assert!(is_refused(&mut world, &[1.0; 3]));
    world.commit();
    assert_eq!(world.search(&query(&[1.0, 0.0, 0.0, 4.0, 0.0], 50), None).len(), 30);
    assert_eq!(world.search(&query(&[1.0, 0.0, 0.0], 50), None).len(), 0);
    drop(world);
    let world = World::open_with(folder.path(), &cores).unwrap();
    assert_eq!(world.opened.namespaces.dimension(NamespaceId::DEFAULT), Some(5));
}

#[test]
fn a_first_vector_that_never_lands_fixes_nothing() {
    let folder = folder();
    let cores = options(2, Durability::Always);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    let owner = |world: &World, number: u32| {
        usize::from(world.layout.owner(&sutra_wire::ConceptId(id(number))))
    };
    let first = (0..).find(|number| owner(&world, *number) == 0).unwrap();
    let second = (0..).find(|number| owner(&world, *number) == 1).unwrap();
    world.learn(&with_vector(first, &[1.0; 3]));
    assert!(world.try_learn(&with_vector(second, &[1.0; 5])).is_err(), "it may land");
    drop(world.shards[0].next_commit().unwrap());
    let refused = world.finish(0, Err(io::Error::other("test")));
    assert!(refused.iter().all(|entry| entry.effect.is_err()));
    world.learn(&with_vector(second, &[1.0; 5]));
    world.commit();
    assert_eq!(world.opened.namespaces.dimension(NamespaceId::DEFAULT), Some(5));
}

#[test]
fn vectors_of_another_dimension_come_while_the_old_ones_index_is_away_and_searches_are_under_way() {
    let folder = folder();
    let large = OpenOptions { segment_bytes: 16 << 20, ..options(1, Durability::Os) };
    let mut world = World::open_with(folder.path(), &large).unwrap();
    let vector = |number: u32, dimension: usize| -> Vec<f32> {
        (0..dimension).map(|at| ((number as usize * 7 + at * 13) % 101) as f32 - 50.0).collect()
    };
    for number in 0..1500 {
        world.learn(&with_vector(number, &vector(number, 3)));
    }
    world.commit();
    let shard = &mut world.shards[0];
    let job = shard.next_index_job(false).unwrap();
    let mut search = shard.begin_search(Arc::new(query(&vector(3, 3), 10)), None);
    for number in 0..1500 {
        world.bury("", id(number));
    }
    world.commit();
    for number in 0..1500 {
        world.learn(&with_vector(number, &vector(number, 5)));
    }
    world.commit();
    let shard = &mut world.shards[0];
    assert_eq!(shard.advance_search(&mut search), SearchProgress::Done);
    assert_eq!(search.into_hits(), []);
    shard.indexed(job.run());
    world.index();
    let stats = world.shards[0].stats();
    assert_eq!((stats.vectors_indexed, stats.vectors_tail), (1500, 0));
    let hits = world.search(&query(&vector(8, 5), 10), None);
    assert!(hits.len() == 10 && hits[0].similarity > 0.999_999);
}

#[test]
fn namespaces_without_content_give_their_places_back_at_a_start_and_can_come_again() {
    let folder = folder();
    let cores = options(2, Durability::Os);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    let names: Vec<_> = (1..MAX_NAMESPACES).map(|number| format!("n{number}")).collect();
    assert!(world.opened.namespaces.register(&names).iter().all(Result::is_ok));
    for number in 1..40 {
        let name = format!("n{number}");
        world.learn(&ConceptRecord { embedding: vec![1.0; number as usize], ..of(&name, number) });
        world.associate(&AssociationRecord {
            namespace: name,
            ..association(number, number + 1, 0.5)
        });
    }
    world.commit();
    // 1 to 9 lose everything, 10 to 19 their concepts alone, and 20 to 29 their associations alone.
    for number in 1..30 {
        let name = format!("n{number}");
        let edges = world.edges(&name, id(number));
        if !(10..20).contains(&number) {
            for key in &edges {
                world.dissociate(key);
            }
        }
        world.commit();
        if number < 20 {
            world.bury(&name, id(number));
        }
    }
    world.commit();
    let refused = world.opened.namespaces.register(&["another"]).remove(0).unwrap_err().to_string();
    assert!(refused.contains("start the server again"), "{refused}");
    drop(world);
    for _ in 0..2 {
        let world = World::open_with(folder.path(), &cores).unwrap();
        let known = |number: u32| world.opened.namespaces.lookup(&format!("n{number}")).is_some();
        let expected: Vec<_> = (10..40).collect();
        assert_eq!((1..4096).filter(|number| known(*number)).collect::<Vec<_>>(), expected);
    }
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    // In the places of others, whose entries the log still has; one under its old name.
    for name in ["new", "n3"] {
        world.learn(&ConceptRecord {
            content: name.into(),
            embedding: vec![1.0; 7],
            ..of(name, 3)
        });
        world.commit();
    }
    drop(world);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    for name in ["new", "n3"] {
        assert_eq!(world.concept(name, id(3)).unwrap().content, name);
        assert_eq!(world.concepts(name), [id(3)]);
        assert_eq!(world.edges(name, id(3)), []);
        let number = world.namespace(name);
        assert_eq!(world.opened.namespaces.dimension(number), Some(7));
    }
    assert_eq!(world.edges("n10", id(10)).len(), 1);
    assert!(world.concept("n25", id(25)).is_some() && world.concepts("n1").is_empty());
}
