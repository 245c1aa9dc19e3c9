//! Concepts with very many associations, and associations between cores.

use std::collections::HashMap;

use crate::support::{World, association, concept, folder, id, options};
use rkyv::rend::u32_le;
use sutra_store::{NamespaceId, NeighborQuery, OpenOptions};
use sutra_wire::{AssociationRecord, ConceptId, Direction, Durability, Neighbor};

const HUB: u32 = 4_000_000;
const EDGES: u32 = 100_000;

fn large(cores: usize) -> OpenOptions {
    OpenOptions { segment_bytes: 64 << 20, ..options(cores, Durability::Os) }
}

fn hub(direction: Direction) -> NeighborQuery<'static> {
    NeighborQuery {
        namespace: NamespaceId::DEFAULT,
        id: ConceptId(id(HUB)),
        direction,
        kinds: &[],
        minimum_confidence: 0.0,
        limit: 1000,
        cursor: 0,
    }
}

/// All pages of a query, each no longer than asked for.
fn pages(world: &mut World, mut query: NeighborQuery<'_>) -> Vec<Neighbor> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        query.cursor = world.shard_of(&query.id.0).neighbors(&query, &mut all);
        assert!(all.len() - before <= query.limit as usize);
        if query.cursor == 0 {
            return all;
        }
    }
}

/// How often each other end comes, by direction.
fn counted(neighbors: &[Neighbor]) -> HashMap<([u8; 16], u8), usize> {
    let mut counts = HashMap::new();
    neighbors
        .iter()
        .for_each(|neighbor| *counts.entry((neighbor.id, neighbor.direction)).or_default() += 1);
    counts
}

#[test]
fn every_edge_of_a_hub_comes_exactly_once_on_any_core_and_after_a_restart() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large(3)).unwrap();
    for number in 0..EDGES {
        world.associate(&AssociationRecord { kind: number % 5, ..association(HUB, number, 1.0) });
        if number % 2 == 0 {
            world.associate(&association(number, HUB, 0.5));
        }
        if number % 5000 == 0 {
            world.commit();
        }
    }
    world.commit();
    for _ in 0..2 {
        let all = pages(&mut world, hub(Direction::Both));
        assert_eq!(all.len() as u32, EDGES + EDGES / 2);
        let counts = counted(&all);
        assert_eq!(counts.len(), all.len(), "none comes twice");
        assert!((0..EDGES).all(|number| counts.contains_key(&(id(number), Direction::Out as u8))));
        assert!(
            (0..EDGES)
                .step_by(2)
                .all(|number| counts.contains_key(&(id(number), Direction::In as u8)))
        );
        assert_eq!(pages(&mut world, hub(Direction::Out)).len() as u32, EDGES);
        assert_eq!(pages(&mut world, hub(Direction::In)).len() as u32, EDGES / 2);

        let kinds = [u32_le::from_native(1), u32_le::from_native(3)];
        let filtered = pages(&mut world, NeighborQuery { kinds: &kinds, ..hub(Direction::Out) });
        assert_eq!(filtered.len() as u32, 2 * EDGES / 5);
        assert!(filtered.iter().all(|neighbor| neighbor.kind % 2 == 1));
        let sure =
            pages(&mut world, NeighborQuery { minimum_confidence: 0.75, ..hub(Direction::Both) });
        assert_eq!(sure.len() as u32, EDGES);

        // The other ends see the hub, on whatever core they are.
        for number in (0..EDGES).step_by(997) {
            let expected = [(id(HUB), number % 5, 1.0, false)];
            let seen = world.neighbors("", id(number), Direction::In);
            assert_eq!(seen, expected, "{number}");
        }
        drop(world);
        world = World::open_with(folder.path(), &large(3)).unwrap();
    }
}

#[test]
fn learning_an_edge_again_while_a_hub_is_read_neither_repeats_nor_hides_it() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large(1)).unwrap();
    for number in 0..5000 {
        world.associate(&association(HUB, number, 0.25));
    }
    world.commit();
    let mut query = NeighborQuery { limit: 100, ..hub(Direction::Out) };
    let mut seen = Vec::new();
    for round in 0.. {
        query.cursor = world.shards[0].neighbors(&query, &mut seen);
        if query.cursor == 0 {
            break;
        }
        for number in 0..20 {
            world.associate(&association(HUB, (round * 37 + number * 251) % 5000, 0.75));
            world.associate(&association(HUB, 10_000 + round * 20 + number, 0.5));
        }
        world.commit();
    }
    let counts = counted(&seen);
    assert_eq!(counts.len(), seen.len(), "none comes twice");
    assert!((0..5000).all(|number| counts.contains_key(&(id(number), Direction::Out as u8))));
}

#[test]
fn an_association_with_itself_goes_out_and_comes_in_and_stays_one_after_a_restart() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &options(3, Durability::Always)).unwrap();
    for number in 0..9 {
        world.learn(&concept(number, "on its own"));
        world.associate(&association(number, number, 0.25));
        world.associate(&association(number, number, 0.5));
        world.commit();
        world.associate(&association(number, number, 0.75));
    }
    world.commit();
    for _ in 0..2 {
        for number in 0..9 {
            for (direction, goes_out) in
                [(Direction::Both, true), (Direction::Out, true), (Direction::In, false)]
            {
                assert_eq!(
                    world.neighbors("", id(number), direction),
                    [(id(number), 0, 0.75, goes_out)]
                );
            }
        }
        let associations: u64 = world.shards.iter().map(|shard| shard.stats().associations).sum();
        assert_eq!(associations, 9);
        drop(world);
        world = World::open_with(folder.path(), &options(3, Durability::Always)).unwrap();
    }
}
