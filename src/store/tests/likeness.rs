//! Vectors that are alike, equal or oddly spread: what an index of coarse copies could hide. Every
//! vector is found by itself, and a search gives as many as there are.

use std::path::Path;
use std::sync::Arc;

use crate::support::{World, concept, folder, id, options, query};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sutra_store::{OpenOptions, SearchProgress, VectorQuery};
use sutra_wire::{ConceptRecord, Durability};

fn open(folder: &Path) -> World {
    let options = OpenOptions { segment_bytes: 16 << 20, ..options(1, Durability::Os) };
    World::open_with(folder, &options).unwrap()
}

fn learn(world: &mut World, first: u32, vectors: &[Vec<f32>]) {
    for (number, vector) in (first..).zip(vectors) {
        let strength = (number % 4) as f32;
        world.learn(&ConceptRecord { embedding: vector.clone(), strength, ..concept(number, "") });
    }
    world.commit();
}

/// About what a normal distribution gives: the sum of twelve.
fn normal(random: &mut impl Rng) -> f32 {
    (0..12).map(|_| random.random_range(-0.5..0.5f32)).sum()
}

fn around(random: &mut impl Rng, middle: &[f32], noise: f32) -> Vec<f32> {
    middle.iter().map(|number| number + noise * normal(random)).collect()
}

fn random(random: &mut impl Rng, dimension: usize) -> Vec<f32> {
    around(random, &vec![0.0; dimension], 1.0)
}

/// Every vector is found by itself, or one as similar.
fn assert_all_found(world: &mut World, vectors: &[Vec<f32>], of: &str) {
    let is_missed = |vector: &&Vec<f32>| {
        let hits = world.search(&query(vector, 1), None);
        let least = if vector.iter().all(|number| *number == 0.0) { 0.0 } else { 0.999_999 };
        hits.is_empty() || hits[0].similarity < least
    };
    let missed = vectors.iter().filter(is_missed).count();
    assert_eq!(missed, 0, "{of}: of {} are not found by themselves", vectors.len());
}

/// The share of the ten nearest, or of others as near, that searches find which were asked for with
/// vectors of the data.
fn recall(world: &mut World, vectors: &[Vec<f32>]) -> f64 {
    let (mut found, mut all) = (0, 0);
    for vector in vectors.iter().step_by(vectors.len() / 60 + 1) {
        let mut query = query(vector, 10);
        let hits = world.search(&query, None);
        query.exact = true;
        let truth = world.search(&query, None);
        let least = truth.last().unwrap().similarity - 1e-6;
        found += hits.iter().filter(|hit| hit.similarity >= least).count();
        all += truth.len();
    }
    found as f64 / all as f64
}

fn tail(world: &World) -> u64 {
    world.shards[0].stats().vectors_tail
}

#[test]
fn thousands_of_equal_vectors_hide_none_of_the_others_nor_do_they_when_they_are_deleted() {
    let (folder, mut numbers) = (folder(), StdRng::seed_from_u64(1));
    let mut world = open(folder.path());
    let equal = vec![random(&mut numbers, 64); 8000];
    let others: Vec<_> = (0..1200).map(|_| random(&mut numbers, 64)).collect();
    learn(&mut world, 0, &equal);
    learn(&mut world, 8000, &others);
    world.index();
    assert_eq!(tail(&world), 0);
    assert_all_found(&mut world, &others, "beside 8,000 equal ones");
    for vector in [&equal[0], &others[0], &others[1199]] {
        for k in [1, 10, 100, 399, 1000] {
            let mut query = query(vector, k);
            assert_eq!(world.search(&query, None).len(), k as usize);
            query.minimum_strength = 3.0;
            let hits = world.search(&query, None);
            query.exact = true;
            let truth = world.search(&query, None);
            assert_eq!((hits.len(), truth.len()), (k as usize, k as usize), "filtered");
            assert_eq!(hits[0], truth[0]);
        }
        // Of the equal ones the lowest ids come first, as an exact search has them.
        let near: Vec<_> = (7990..8010).map(id).collect();
        assert_eq!(world.search(&query(vector, 30), Some(&near)).len(), 20);
    }
    let hits = world.search(&query(&equal[0], 5), None);
    assert_eq!(
        hits.iter().map(|hit| hit.id).collect::<Vec<_>>(),
        (0..5).map(id).collect::<Vec<_>>()
    );

    for number in 0..8000 {
        world.bury("", id(number));
    }
    world.commit();
    world.index();
    assert_all_found(&mut world, &others, "beside 8,000 deleted ones");
    assert_eq!(world.search(&query(&equal[0], 1000), None).len(), 1000);
    for is_clean in [false, true] {
        match is_clean {
            true => world.stop(),
            false => drop(world),
        }
        world = open(folder.path());
        assert_all_found(&mut world, &others, "at once after a start");
        world.index();
        assert_all_found(&mut world, &others, "after a start");
    }
    drop(world);
    std::fs::remove_file(folder.path().join("shard-000/vectors-0.index")).ok();
    let mut world = open(folder.path());
    world.index();
    assert_all_found(&mut world, &others, "after a start without a checkpoint");
}

/// Vectors as no index likes them, by what is odd about them.
fn odd_kinds(numbers: &mut StdRng) -> Vec<(&'static str, Vec<Vec<f32>>)> {
    let base = random(numbers, 48);
    let centres: Vec<_> = (0..20).map(|_| random(numbers, 48)).collect();
    let mut kinds: Vec<(&'static str, Vec<Vec<f32>>)> = Vec::new();
    let beside = |mut vectors: Vec<Vec<f32>>, numbers: &mut StdRng| {
        vectors.extend((0..300).map(|_| random(numbers, 48)));
        vectors
    };
    for (what, noise) in [
        ("noise of 1e-4", 1e-4),
        ("noise of 1e-3", 1e-3),
        ("noise of 1e-2", 1e-2),
        ("noise of 0.1", 0.1),
    ] {
        let vectors = (0..1100).map(|_| around(numbers, &base, noise)).collect();
        kinds.push((what, beside(vectors, numbers)));
    }
    let multiples =
        (1..1100).map(|size| base.iter().map(|number| number * size as f32).collect()).collect();
    kinds.push(("multiples", beside(multiples, numbers)));
    for (what, noise) in [("tight clusters", 0.01), ("clusters", 0.1)] {
        kinds.push((
            what,
            (0..1600).map(|number| around(numbers, &centres[number / 80], noise)).collect(),
        ));
    }
    let mut offset = |sizes: &[f32]| -> Vec<Vec<f32>> {
        let one = |number: usize| {
            let mut vector = random(numbers, 128);
            vector[number % sizes.len()] += sizes[number % sizes.len()];
            vector
        };
        (0..1500).map(one).collect()
    };
    kinds.push(("an offset of 1,000", offset(&[1000.0])));
    kinds.push(("an offset of 100", offset(&[100.0])));
    kinds.push(("an offset of 20", offset(&[20.0])));
    kinds.push(("several offsets", offset(&[100.0, -100.0, 50.0])));
    for (what, times) in
        [("one dimension of ten times the size", 10.0), ("one dimension that outweighs all", 100.0)]
    {
        let mut outlier = |_| {
            let mut vector = random(numbers, 48);
            vector[3] *= times;
            vector
        };
        kinds.push((what, (0..1500).map(&mut outlier).collect()));
    }
    let few = (0..1500)
        .map(|_| (0..12).map(|_| [-1.0, 0.0, 1.0][numbers.random_range(0..3)]).collect())
        .collect();
    kinds.push(("few distinct values", few));
    kinds.push(("one number each", (0..1500).map(|_| vec![normal(numbers)]).collect()));
    kinds.push(("two numbers each", (0..1500).map(|_| random(numbers, 2)).collect()));
    kinds.push((
        "zeros",
        (0..2400)
            .map(|number| if number % 2 == 0 { vec![0.0; 8] } else { random(numbers, 8) })
            .collect(),
    ));
    kinds
}

#[test]
fn vectors_of_every_odd_kind_are_found_by_themselves_and_so_are_their_nearest() {
    for (what, vectors) in odd_kinds(&mut StdRng::seed_from_u64(2)) {
        let folder = folder();
        let mut world = open(folder.path());
        learn(&mut world, 0, &vectors);
        world.index();
        assert_eq!(tail(&world), 0, "{what}");
        assert_all_found(&mut world, &vectors, what);
        let recall = recall(&mut world, &vectors);
        assert!(recall >= 0.95, "{what}: {recall} of the nearest");
        for k in [150, 400] {
            assert_eq!(world.search(&query(&vectors[7], k), None).len(), k as usize, "{what}");
        }
    }
}

#[test]
fn what_the_checks_found_is_known_after_a_start() {
    let (folder, mut numbers) = (folder(), StdRng::seed_from_u64(3));
    let mut world = open(folder.path());
    let centres: Vec<_> = (0..60).map(|_| random(&mut numbers, 32)).collect();
    let vectors: Vec<_> =
        (0..6000).map(|number| around(&mut numbers, &centres[number / 100], 0.02)).collect();
    learn(&mut world, 0, &vectors);
    world.index();
    world.stop();
    let mut world = open(folder.path());
    assert_eq!(tail(&world), 0, "nothing is to be inserted or checked");
    assert_all_found(&mut world, &vectors[..600], "after a start");
}

#[test]
fn a_search_among_a_hubs_leaves_and_a_wide_one_are_cut_into_slices() {
    let (folder, mut numbers) = (folder(), StdRng::seed_from_u64(4));
    let mut world = open(folder.path());
    let vectors: Vec<_> = (0..8000).map(|_| random(&mut numbers, 8)).collect();
    learn(&mut world, 0, &vectors);
    // Leaves: most have no vector.
    for number in 10_000..30_000 {
        world.learn(&concept(number, ""));
    }
    world.commit();
    world.index();
    let leaves: Vec<_> = (7990..8000).chain(10_000..30_000).map(id).collect();
    let mut slices = |query: VectorQuery, allowed: Option<&[[u8; 16]]>| {
        let shard = &mut world.shards[0];
        let mut search = shard.begin_search(Arc::new(query), allowed.map(<[_]>::to_vec));
        let mut slices = 1;
        while shard.advance_search(&mut search) != SearchProgress::Done {
            slices += 1;
        }
        (slices, search.into_hits())
    };
    let (count, hits) = slices(query(&vectors[3], 100), Some(&leaves));
    assert_eq!(hits.len(), 10);
    // A slice looks at 1,024 ids; they are looked up, and those that are known looked at.
    assert!(count >= 2 * leaves.len() / 1024, "{count} slices");
    let wide = VectorQuery { ef: 999, ..query(&vectors[3], 10) };
    let (count, hits) = slices(wide.clone(), None);
    assert!(count >= vectors.len() / 1024, "{count} slices");
    assert_eq!(hits, slices(VectorQuery { exact: true, ..wide }, None).1);
}
