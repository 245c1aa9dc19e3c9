//! Vector search: what is found, with what similarity, whatever comes and goes, and whatever
//! becomes of the checkpoint.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{World, concept, folder, id, options, query};
use half::f16;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sutra_store::{OpenOptions, Refusal, SearchProgress, VectorQuery, VectorSearch};
use sutra_wire::{ConceptRecord, Durability, SearchHit};

fn large() -> OpenOptions {
    OpenOptions { segment_bytes: 16 << 20, ..options(1, Durability::Os) }
}

fn with_vector(number: u32, vector: &[f32]) -> ConceptRecord {
    ConceptRecord { embedding: vector.to_vec(), ..concept(number, "") }
}

fn random(random: &mut impl Rng, dimension: usize) -> Vec<f32> {
    (0..dimension).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = product(a, a).sqrt() * product(b, b).sqrt();
    if lengths == 0.0 { 0.0 } else { product(a, b) / lengths }
}

/// What should be there: vector and strength by id.
type Expected = BTreeMap<[u8; 16], (Vec<f32>, f32)>;

/// The best of what should be there, best first.
fn best(
    expected: &Expected,
    query: &VectorQuery,
    allowed: Option<&HashSet<[u8; 16]>>,
) -> Vec<([u8; 16], f64)> {
    let mut all: Vec<_> = expected
        .iter()
        .filter(|(id, (_, strength))| {
            *strength >= query.minimum_strength
                && allowed.is_none_or(|allowed| allowed.contains(*id))
        })
        .map(|(id, (vector, _))| (*id, cosine(&query.vector, vector)))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(query.k as usize);
    all
}

/// Every hit is a living concept that was asked for, once, with its true similarity, best first.
fn assert_true(
    hits: &[SearchHit],
    expected: &Expected,
    query: &VectorQuery,
    allowed: Option<&HashSet<[u8; 16]>>,
) {
    assert!(hits.len() <= query.k as usize);
    let ids: HashSet<_> = hits.iter().map(|hit| hit.id).collect();
    assert_eq!(ids.len(), hits.len(), "each once");
    assert!(hits.is_sorted_by(
        |a, b| a.similarity > b.similarity || a.similarity == b.similarity && a.id < b.id
    ));
    for hit in hits {
        let (vector, strength) = expected.get(&hit.id).expect("only what is there");
        assert!(
            *strength >= query.minimum_strength
                && allowed.is_none_or(|allowed| allowed.contains(&hit.id))
        );
        let truth = cosine(&query.vector, vector);
        assert!(
            (f64::from(hit.similarity) - truth).abs() < 1e-5,
            "{} is not {truth}",
            hit.similarity
        );
    }
}

/// As [`assert_true`], and none is missing.
fn assert_exact(
    hits: &[SearchHit],
    expected: &Expected,
    query: &VectorQuery,
    allowed: Option<&HashSet<[u8; 16]>>,
) {
    assert_true(hits, expected, query, allowed);
    let best = best(expected, query, allowed);
    assert_eq!(hits.len(), best.len());
    for (hit, (_, similarity)) in hits.iter().zip(best) {
        assert!((f64::from(hit.similarity) - similarity).abs() < 1e-5);
    }
}

/// A search that is under way, and what did not change since it began.
struct UnderWay {
    search: VectorSearch,
    query: Arc<VectorQuery>,
    allowed: Option<HashSet<[u8; 16]>>,
    throughout: Expected,
}

/// A store, what it should hold, and what is under way.
struct Trial {
    world: World,
    random: StdRng,
    expected: Expected,
    searches: Vec<UnderWay>,
}

impl Trial {
    const DIMENSION: usize = 6;

    fn new(folder: &Path, seed: u64) -> Self {
        let world = World::open_with(folder, &large()).unwrap();
        let mut trial = Self {
            world,
            random: StdRng::seed_from_u64(seed),
            expected: Expected::new(),
            searches: Vec::new(),
        };
        (0..1500).for_each(|number| trial.learn(number, 0));
        trial.world.commit();
        trial
    }

    /// Kind 0 is a new vector, 1 a zero vector, 2 none, 3 the one that it has, 4 a multiple of one
    /// of two.
    fn learn(&mut self, number: u32, kind: u32) {
        let id = id(number);
        let vector = match kind {
            0 => random(&mut self.random, Self::DIMENSION),
            1 => vec![0.0; Self::DIMENSION],
            2 => Vec::new(),
            4 => {
                let size = self.random.random_range(1..9) as f32;
                let one = self.random.random_range(0..2);
                (0..Self::DIMENSION)
                    .map(|at| if at % 2 == one { size } else { -0.5 * size })
                    .collect()
            }
            _ => self.expected.get(&id).map_or_else(Vec::new, |(vector, _)| vector.clone()),
        };
        let strength = self.random.random_range(0..4) as f32;
        self.world.learn(&ConceptRecord { strength, ..with_vector(number, &vector) });
        self.changed(id);
        match vector.is_empty() {
            true => drop(self.expected.remove(&id)),
            false => drop(self.expected.insert(id, (vector, strength))),
        }
    }

    fn changed(&mut self, id: [u8; 16]) {
        for search in &mut self.searches {
            search.throughout.remove(&id);
        }
    }

    fn begin(&mut self) {
        let mut query =
            query(&random(&mut self.random, Self::DIMENSION), self.random.random_range(1..30));
        query.exact = self.random.random_bool(0.5);
        query.minimum_strength = [0.0, 0.0, 1.0, 3.0, 9.0][self.random.random_range(0..5)];
        let share = [0.01, 0.5, 1.0][self.random.random_range(0..3)];
        let allowed = self.random.random_bool(0.3).then(|| {
            (0..2000).filter(|_| self.random.random_bool(share)).map(id).collect::<HashSet<_>>()
        });
        let query = Arc::new(query);
        let ids = allowed.as_ref().map(|allowed| allowed.iter().copied().collect());
        let search = self.world.shards[0].begin_search(Arc::clone(&query), ids);
        self.searches.push(UnderWay { search, query, allowed, throughout: self.expected.clone() });
    }

    /// A slice of one of the searches.
    fn advance(&mut self) {
        if self.searches.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.searches.len());
        let shard = &mut self.world.shards[0];
        match shard.advance_search(&mut self.searches[at].search) {
            SearchProgress::More => {}
            SearchProgress::Waits => assert!(shard.is_indexing()),
            SearchProgress::Done => {
                let UnderWay { search, query, allowed, throughout } = self.searches.swap_remove(at);
                let hits = search.into_hits();
                assert_true(&hits, &self.expected, &query, allowed.as_ref());
                if query.exact {
                    let ids: HashSet<_> = hits.iter().map(|hit| hit.id).collect();
                    let last = hits.last().filter(|_| hits.len() == query.k as usize);
                    for (id, similarity) in best(&throughout, &query, allowed.as_ref()) {
                        let beaten =
                            last.is_some_and(|last| f64::from(last.similarity) + 1e-5 > similarity);
                        assert!(
                            ids.contains(&id) || beaten,
                            "one that was there throughout is missing"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn searches_among_changes_and_index_jobs_find_what_is_there_and_nothing_else() {
    for seed in 0..3 {
        let folder = folder();
        let mut trial = Trial::new(folder.path(), seed);
        let mut job = None;
        for _ in 0..2500 {
            let number = trial.random.random_range(0..1600);
            match trial.random.random_range(0..20) {
                0..=6 => {
                    let kind = [0, 0, 0, 1, 2, 3, 4, 4][trial.random.random_range(0..8)];
                    trial.learn(number, kind);
                    trial.world.commit();
                }
                7 | 8 => {
                    trial.world.bury("", id(number));
                    trial.world.commit();
                    trial.changed(id(number));
                    trial.expected.remove(&id(number));
                }
                9 => trial.begin(),
                10..=15 => trial.advance(),
                16..=17 => job = job.or_else(|| trial.world.shards[0].next_index_job(false)),
                _ => {
                    if let Some(job) = job.take() {
                        trial.world.shards[0].indexed(sutra_store::IndexJob::run(job));
                    }
                }
            }
        }
        if let Some(job) = job {
            trial.world.shards[0].indexed(job.run());
        }
        trial.world.index();
        while !trial.searches.is_empty() {
            trial.advance();
        }
        let stats = trial.world.shards[0].stats();
        let zeros = trial
            .expected
            .values()
            .filter(|(vector, _)| vector.iter().all(|number| *number == 0.0))
            .count();
        assert_eq!((stats.vectors, stats.vectors_tail), (trial.expected.len() as u64, 0));
        assert_eq!(stats.vectors_indexed, stats.vectors - zeros as u64);
        for _ in 0..20 {
            let mut query = query(&random(&mut trial.random, Trial::DIMENSION), 40);
            query.exact = true;
            assert_exact(&trial.world.search(&query, None), &trial.expected, &query, None);
            query.exact = false;
            assert_true(&trial.world.search(&query, None), &trial.expected, &query, None);
        }
    }
}

/// The WordNet slice: 3,900 vectors of 384 numbers.
fn wordnet() -> Vec<Vec<f32>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/wordnet/embeddings.npy");
    let bytes = fs::read(path).unwrap();
    let numbers: Vec<f16> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
    numbers.chunks(384).map(|row| row.iter().map(|number| number.to_f32()).collect()).collect()
}

/// Questions near the data, none of which is in it: between two of its vectors each, with noise.
fn questions(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut random = StdRng::seed_from_u64(1);
    let mut between = || {
        let (a, b) =
            (&rows[random.random_range(0..rows.len())], &rows[random.random_range(0..rows.len())]);
        a.iter().zip(b).map(|(a, b)| a + 0.4 * b + random.random_range(-0.02..0.02)).collect()
    };
    (0..150).map(|_| between()).collect()
}

/// The share of the ten nearest that searches of this width find.
fn recall(world: &mut World, questions: &[Vec<f32>], ef: u32) -> f64 {
    let mut found = 0;
    for vector in questions {
        let mut query = query(vector, 10);
        query.ef = ef;
        let hits = world.search(&query, None);
        query.exact = true;
        let truth: HashSet<_> = world.search(&query, None).into_iter().map(|hit| hit.id).collect();
        found += hits.iter().filter(|hit| truth.contains(&hit.id)).count();
    }
    found as f64 / (10 * questions.len()) as f64
}

fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("shard-000/vectors-0.index")
}

/// Learns these, deletes every third and gives every third another's mixed with its own; the last
/// vector of each concept that is left.
fn learn_and_change(world: &mut World, rows: &[Vec<f32>]) {
    for (number, row) in (0..).zip(rows) {
        world.learn(&with_vector(number, row));
    }
    world.commit();
    world.index();
    for (number, row) in (0..).zip(rows) {
        match number % 3 {
            0 => {
                world.bury("", id(number));
            }
            1 => {
                let other = &rows[(number as usize * 31 + 7) % rows.len()];
                let mixed: Vec<_> = row.iter().zip(other).map(|(a, b)| a + b).collect();
                world.learn(&with_vector(number, &mixed));
            }
            _ => {}
        }
    }
    world.commit();
}

#[test]
fn the_index_finds_the_nearest_of_wordnet() {
    let (folder, rows) = (folder(), wordnet());
    let questions = questions(&rows);
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    for (number, row) in (0..).zip(&rows) {
        world.learn(&with_vector(number, row));
    }
    world.commit();
    let stats = |world: &World| world.shards[0].stats();
    assert_eq!((stats(&world).vectors_indexed, stats(&world).vectors_tail), (0, 3900));
    assert_eq!(recall(&mut world, &questions[..5], 0), 1.0, "without an index all are looked at");
    world.index();
    assert_eq!((stats(&world).vectors_indexed, stats(&world).vectors_tail), (3900, 0));
    let (default, wide) = (recall(&mut world, &questions, 0), recall(&mut world, &questions, 400));
    assert!(default >= 0.99 && wide >= 0.999, "{default} {wide}");
}

#[test]
fn the_nearest_are_found_after_changes_and_starts_with_any_checkpoint_or_none() {
    let (folder, rows) = (folder(), wordnet());
    let questions = questions(&rows);
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    learn_and_change(&mut world, &rows);
    let before = recall(&mut world, &questions, 0);
    world.index();
    let after = recall(&mut world, &questions, 0);
    assert!(before >= 0.98 && after >= 0.98, "{before} {after}");
    let all = world.shards[0].stats().vectors_indexed;
    assert_eq!(all, 2600);

    // Killed: the checkpoint is what a job wrote while it ran, and lacks what came after.
    drop(world);
    let whole = fs::read(checkpoint(folder.path())).unwrap();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    let stats = world.shards[0].stats();
    let counts = (stats.vectors_indexed, stats.vectors_tail);
    assert!(counts.0 >= 1300 && counts.1 > 0 && counts.0 + counts.1 == all, "{counts:?}");
    let loaded = recall(&mut world, &questions, 0);
    world.index();
    let grown = recall(&mut world, &questions, 0);
    assert!(loaded >= 0.98 && grown >= 0.98, "{loaded} {grown}");
    drop(world);

    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    // Of another store: its id stands at byte 16, and the header's checksum at 12.
    let mut foreign = flipped(16);
    foreign[12..16].fill(0);
    let crc = crc32c::crc32c(&foreign[..64]);
    foreign[12..16].copy_from_slice(&crc.to_le_bytes());
    let damaged = [
        whole[..whole.len() - 1].to_vec(),
        whole[..40].to_vec(),
        Vec::new(),
        flipped(0),
        flipped(whole.len() / 2),
        foreign,
    ];
    for bytes in damaged {
        fs::write(checkpoint(folder.path()), bytes).unwrap();
        let mut world = World::open_with(folder.path(), &large()).unwrap();
        let stats = world.shards[0].stats();
        assert_eq!((stats.vectors_indexed, stats.vectors_tail), (0, all));
        assert!(recall(&mut world, &questions[..10], 0) >= 0.98);
    }
    fs::remove_file(checkpoint(folder.path())).unwrap();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    world.index();
    let built = recall(&mut world, &questions, 0);
    assert!(built >= 0.98, "{built}");
}

#[test]
fn a_checkpoint_older_than_the_log_is_right() {
    let (folder, rows) = (folder(), wordnet());
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    learn_and_change(&mut world, &rows);
    world.index();
    world.stop();
    let old = fs::read(checkpoint(folder.path())).unwrap();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    for number in 0..1000 {
        match number % 4 {
            0 => {
                world.bury("", id(number));
            }
            1 => {
                world.learn(&with_vector(number, &rows[3899 - number as usize]));
            }
            _ => {}
        }
    }
    world.commit();
    drop(world);
    fs::write(checkpoint(folder.path()), old).unwrap();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    let stats = world.shards[0].stats();
    assert!(stats.vectors_indexed > 1000 && stats.vectors_tail >= 250);
    for number in (1..1000).step_by(4) {
        let hits = world.search(&query(&rows[3899 - number as usize], 3), None);
        assert!(hits.iter().any(|hit| hit.id == id(number) && hit.similarity > 0.9999));
    }
    for number in (0..1000).step_by(4) {
        let hits = world.search(&query(&rows[number as usize], 10), None);
        assert!(hits.iter().all(|hit| hit.id != id(number)), "a deleted concept");
    }
}

#[test]
fn memory_stays_in_proportion_to_what_lives_under_endless_changes() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    let mut numbers = StdRng::seed_from_u64(3);
    let mut expected = Expected::new();
    let mut most = 0;
    for round in 0..200 {
        for number in 0..if round == 0 { 1200 } else { 100 } {
            let vector = random(&mut numbers, 4);
            world.learn(&with_vector(number, &vector));
            expected.insert(id(number), (vector, 1.0));
        }
        world.commit();
        world.index();
        let memory = world.shards[0].stats().vector_memory;
        // By then the index has been built anew at least once.
        match round < 100 {
            true => most = most.max(memory),
            false => assert!(memory <= most * 5 / 4, "{memory} bytes, at most {most} before"),
        }
    }
    assert_eq!(world.shards[0].stats().vectors_indexed, 1200);
    let mut query = query(&[1.0, 0.5, -0.5, 0.2], 100);
    query.exact = true;
    assert_exact(&world.search(&query, None), &expected, &query, None);
}

#[test]
fn a_filter_leaves_the_nearest_of_what_it_lets_through() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    let mut numbers = StdRng::seed_from_u64(5);
    let mut expected = Expected::new();
    for number in 0..20_000 {
        let vector = random(&mut numbers, 8);
        let strength = (number % 100) as f32;
        world.learn(&ConceptRecord { strength, ..with_vector(number, &vector) });
        expected.insert(id(number), (vector, strength));
    }
    world.commit();
    world.index();
    let share = |hits: &[SearchHit], best: &[([u8; 16], f64)]| {
        best.iter().filter(|(id, _)| hits.iter().any(|hit| hit.id == *id)).count() as f64
            / best.len() as f64
    };
    for minimum_strength in [10.0, 50.0, 80.0, 95.0, 99.0] {
        let mut found = 0.0;
        for _ in 0..20 {
            let mut query = query(&random(&mut numbers, 8), 10);
            query.minimum_strength = minimum_strength;
            let hits = world.search(&query, None);
            assert_true(&hits, &expected, &query, None);
            found += share(&hits, &best(&expected, &query, None)) / 20.0;
        }
        assert!(found > 0.97, "{found} of the nearest at {minimum_strength}");
    }
    for every in [1, 2, 300] {
        let allowed: Vec<_> = (0..40_000).filter(|number| number % every == 0).map(id).collect();
        let set: HashSet<_> = allowed.iter().copied().collect();
        let mut found = 0.0;
        for _ in 0..20 {
            let query = query(&random(&mut numbers, 8), 10);
            let hits = world.search(&query, Some(&allowed));
            assert_true(&hits, &expected, &query, Some(&set));
            found += share(&hits, &best(&expected, &query, Some(&set))) / 20.0;
        }
        assert!(found > 0.97, "{found} of the nearest of every {every}th");
    }
    let mut query = query(&random(&mut numbers, 8), 10);
    query.minimum_strength = 1000.0;
    assert_eq!(world.search(&query, None), []);
    query.minimum_strength = 0.0;
    assert_eq!(world.search(&query, Some(&[])), []);
}

#[test]
fn the_first_embedding_of_a_namespace_fixes_the_length_of_all_over_shards_and_starts() {
    let folder = folder();
    let cores = options(3, Durability::Os);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    world.learn(&with_vector(1, &[1.0, 2.0, 3.0]));
    world.commit();
    let refused = |world: &mut World| {
        for number in 2..20 {
            let refusal = world.try_learn(&with_vector(number, &[1.0; 5])).unwrap_err();
            assert!(matches!(refusal, Refusal::Dimension { expected: 3, got: 5 }), "{refusal}");
            assert!(refusal.to_string().contains('3') && refusal.to_string().contains('5'));
        }
    };
    refused(&mut world);
    world.learn(&ConceptRecord { namespace: "other".into(), ..with_vector(2, &[1.0; 5]) });
    world.learn(&concept(3, "no embedding"));
    world.commit();
    drop(world);
    let mut world = World::open_with(folder.path(), &cores).unwrap();
    refused(&mut world);
    let other = world.namespace("other");
    assert_eq!(world.opened.namespaces.dimension(other), Some(5));
    assert_eq!(world.opened.namespaces.dimension(sutra_store::NamespaceId::DEFAULT), Some(3));
}

#[test]
fn a_zero_vector_has_similarity_0_to_everything() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    for number in 0..1500 {
        let vector = if number % 500 == 0 { [0.0; 2] } else { [1.0, number as f32] };
        world.learn(&with_vector(number, &vector));
    }
    world.commit();
    for _ in 0..2 {
        let hits = world.search(&query(&[-1.0, 0.0], 5), None);
        let zeros: Vec<_> = hits.iter().take(3).map(|hit| (hit.id, hit.similarity)).collect();
        assert_eq!(zeros, [(id(0), 0.0), (id(500), 0.0), (id(1000), 0.0)]);
        assert!(hits[3].similarity < 0.0);
        let hits = world.search(&query(&[0.0, 0.0], 4), None);
        let lowest: Vec<_> = hits.iter().map(|hit| (hit.id, hit.similarity)).collect();
        assert_eq!(lowest, [(id(0), 0.0), (id(1), 0.0), (id(2), 0.0), (id(3), 0.0)]);
        world.index();
    }
}

#[test]
fn a_search_that_can_find_nothing_finds_nothing() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    assert_eq!(world.search(&query(&[1.0], 5), None), []);
    let empty = world.namespace("empty");
    world.learn(&with_vector(1, &[1.0, 2.0]));
    world.commit();
    assert_eq!(world.search(&query(&[1.0, 2.0], 0), None), []);
    assert_eq!(world.search(&query(&[1.0, 2.0, 3.0], 5), None), []);
    assert_eq!(world.search(&query(&[], 5), None), []);
    assert_eq!(world.search(&VectorQuery { namespace: empty, ..query(&[1.0, 2.0], 5) }, None), []);
    assert_eq!(world.search(&query(&[1.0, 2.0], u32::MAX), Some(&[id(7)])), []);
    assert_eq!(world.search(&query(&[1.0, 2.0], u32::MAX), None).len(), 1);
}

#[test]
fn a_search_that_waits_for_the_index_goes_on_after_the_job() {
    let folder = folder();
    let mut world = World::open_with(folder.path(), &large()).unwrap();
    let mut numbers = StdRng::seed_from_u64(9);
    for number in 0..1100 {
        world.learn(&with_vector(number, &random(&mut numbers, 4)));
    }
    world.commit();
    world.index();
    let late = random(&mut numbers, 4);
    world.learn(&with_vector(5000, &late));
    world.commit();
    let shard = &mut world.shards[0];
    let job = shard.next_index_job(false).unwrap();
    let mut search = shard.begin_search(Arc::new(query(&late, 1)), None);
    let progress: Vec<_> = (0..5).map(|_| shard.advance_search(&mut search)).collect();
    assert_eq!(progress.last(), Some(&SearchProgress::Waits));
    shard.indexed(job.run());
    while shard.advance_search(&mut search) != SearchProgress::Done {
        assert!(!shard.is_indexing());
    }
    let hits = search.into_hits();
    assert_eq!((hits[0].id, hits.len()), (id(5000), 1));
}
