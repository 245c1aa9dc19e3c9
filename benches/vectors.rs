//! Vector search through the store beside the index library that it uses, called in-process, and
//! beside an exact scan: WordNet's 117,659 vectors, one thread, one shard.
//!
//! The library gets the same parameters, rounds vectors to 8 bits its own way, and is given a
//! product of small integers as fast as the store's: what is compared is what the store adds,
//! ordering by the true vectors included. Both indexes are built in turn, a job's worth at a time,
//! and searched in turn.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use half::f16;
use multiversion::multiversion;
use npyz::{Deserialize, NpyFile};
use sutra_client::blocking::Client;
use sutra_store::{NamespaceId, Opened, SearchProgress, Shard, Store, VectorQuery};
use sutra_wire::{Checked, ConceptRecord};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind, VectorType};

use crate::Outcome;
use crate::spread::{ratios, show};

#[derive(Args)]
pub(crate) struct Options {
    /// The folder with embeddings.npy, queries.npy and neighbours.npy
    #[arg(long)]
    wordnet: PathBuf,
    /// How many of the vectors to use [default: all; recall is only told of all]
    #[arg(long)]
    vectors: Option<usize>,
    /// Rounds over everything that is compared
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The CPU to run on
    #[arg(long, default_value_t = 0)]
    cpu: usize,
}

pub(crate) const K: usize = 10;
/// The store's own defaults.
const CONNECTIVITY: usize = 16;
const EXPANSION: usize = 128;
const WIDTH: usize = 100;
/// Queries of an exact scan a round: each takes as long as dozens of the others.
const SCANS: usize = 50;

pub(crate) struct Data {
    pub(crate) rows: Vec<Vec<f32>>,
    pub(crate) queries: Vec<Vec<f32>>,
    pub(crate) neighbours: Vec<Vec<u32>>,
}

fn read<T: Deserialize>(path: &Path) -> Outcome<Vec<Vec<T>>> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let file = NpyFile::new(&bytes[..])?;
    let columns = usize::try_from(*file.shape().get(1).ok_or("an array of two dimensions is needed")?)?;
    let mut numbers = file.into_vec::<T>()?.into_iter();
    let mut rows = Vec::new();
    loop {
        let row: Vec<T> = numbers.by_ref().take(columns).collect();
        match row.is_empty() {
            true => return Ok(rows),
            false => rows.push(row),
        }
    }
}

fn wide(rows: Vec<Vec<f16>>) -> Vec<Vec<f32>> {
    rows.into_iter().map(|row| row.into_iter().map(f16::to_f32).collect()).collect()
}

/// The library, with the same parameters, over the vectors; each under its number.
pub(crate) fn library(rows: &[Vec<f32>]) -> Outcome<Index> {
    let index = plain(rows.first().map_or(0, Vec::len))?;
    index.reserve_capacity_and_threads(rows.len(), 1)?;
    for (key, row) in (0..).zip(rows) {
        index.add(key, row)?;
    }
    Ok(index)
}

impl Data {
    /// The vectors alone.
    pub(crate) fn rows_of(folder: &Path) -> Outcome<Vec<Vec<f32>>> {
        Ok(wide(read(&folder.join("embeddings.npy"))?))
    }

    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let rows = Self::rows_of(folder)?;
        let queries = folder.join("queries.npy");
        let queries = read::<f32>(&queries).or_else(|_| read(&queries).map(wide))?;
        let neighbours: Vec<Vec<i32>> = read(&folder.join("neighbours.npy"))?;
        let neighbours = neighbours.into_iter().map(|row| row.into_iter().map(i32::cast_unsigned).collect()).collect();
        Ok(Self { rows, queries, neighbours })
    }

    /// The share of the ten nearest that were found, over all queries.
    pub(crate) fn recall(&self, mut search: impl FnMut(&[f32]) -> Outcome<Vec<u32>>) -> Outcome<f64> {
        let mut found = 0;
        for (query, neighbours) in self.queries.iter().zip(&self.neighbours) {
            let truth = &neighbours[..K];
            found += search(query)?.iter().filter(|row| truth.contains(row)).count();
        }
        Ok(found as f64 / (K * self.queries.len()) as f64)
    }
}

/// Waits until every vector is in an index, but for so many, which lie on shards that have too few
/// for one.
pub(crate) fn wait_until_indexed(client: &Client, left: u64) -> Outcome<Duration> {
    let start = Instant::now();
    loop {
        let stats = client.stats()?;
        let tail = stats.counters.iter().find(|counter| counter.name == "vectors_tail").ok_or("vectors_tail")?;
        if tail.value.to_native() <= left {
            return Ok(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A store of one shard.
struct Ours {
    shard: Shard<()>,
    // Holds the manifest, and so the lock.
    _opened: Opened<()>,
}

impl Ours {
    fn open(folder: &Path) -> Outcome<Self> {
        let options = sutra_store::OpenOptions {
            cores: 1,
            durability: sutra_wire::Durability::Os,
            id_rule: None,
            segment_bytes: 64 << 20,
            listening: String::new(),
        };
        let mut opened = Store::open(folder, options)?;
        let shard = opened.shards.pop().ok_or("a store has a shard")?;
        Ok(Self { shard, _opened: opened })
    }

    fn learn(&mut self, rows: &[Vec<f32>]) -> Outcome {
        for (number, row) in (0u128..).zip(rows) {
            let record = ConceptRecord {
                id: (number + 1).to_le_bytes(),
                embedding: row.clone(),
                strength: 1.0,
                confidence: 1.0,
                ..ConceptRecord::default()
            };
            let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record)?;
            let record = Checked::<ConceptRecord>::new(&bytes)?;
            while let Err(refusal) = self.shard.learn(record, NamespaceId::DEFAULT, ()) {
                if !refusal.is_stalled() {
                    return Err(refusal.into());
                }
                self.commit()?;
            }
        }
        self.commit()
    }

    fn commit(&mut self) -> Outcome {
        while let Some(job) = self.shard.next_preparation() {
            self.shard.prepared(job.run())?;
        }
        while let Some(commit) = self.shard.next_commit() {
            let file = OpenOptions::new().write(true).open(commit.file.path())?;
            let result = file.write_all_at(&commit.bytes, commit.offset);
            drop(commit);
            self.shard.commit_finished(result, |_| {});
        }
        Ok(())
    }

    /// The numbers of the rows that were found.
    fn search(&mut self, vector: &[f32], ef: usize, exact: bool) -> Outcome<Vec<u32>> {
        let query = VectorQuery {
            namespace: NamespaceId::DEFAULT,
            vector: vector.to_vec(),
            k: K as u32,
            ef: u32::try_from(ef)?,
            minimum_strength: 0.0,
            minimum_confidence: 0.0,
            exact,
        };
        let mut search = self.shard.begin_search(Arc::new(query), None);
        while self.shard.advance_search(&mut search) != SearchProgress::Done {}
        let row = |id: [u8; 16]| Ok(u32::try_from(u128::from_le_bytes(id) - 1)?);
        search.into_hits().into_iter().map(|hit| row(hit.id)).collect()
    }

    /// Runs a job; how many vectors it indexed, and how long it and what the shard does for it
    /// took. `None` where there is none.
    fn job(&mut self) -> Option<(u64, Duration)> {
        let before = self.shard.stats().vectors_indexed;
        let start = Instant::now();
        let job = self.shard.next_index_job(false)?;
        self.shard.indexed(job.run());
        Some((self.shard.stats().vectors_indexed - before, start.elapsed()))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512vnni", "x86_64+avx2+fma", "aarch64+neon"))]
fn product(a: &[i8], b: &[i8]) -> i32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sum = 0i32;
    for at in 0..length {
        sum = sum.wrapping_add(i32::from(a[at]) * i32::from(b[at]));
    }
    sum
}

/// The library as it comes, but for its product: its own is compiled for the oldest CPUs.
fn plain(dimension: usize) -> Outcome<Index> {
    let options = IndexOptions {
        dimensions: dimension,
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION,
        expansion_search: WIDTH,
        multi: false,
    };
    let mut index = Index::new(&options)?;
    let distance = move |a: *const i8, b: *const i8| {
        // SAFETY: usearch calls a metric with two vectors of the index's dimension, which live
        // until it returns.
        let (a, b) = unsafe { (std::slice::from_raw_parts(a, dimension), std::slice::from_raw_parts(b, dimension)) };
        // It scales vectors to a length of 127.
        1.0 - product(a, b) as f32 / (127.0 * 127.0)
    };
    i8::change_metric(&mut index, Box::new(distance))?;
    Ok(index)
}

/// Searches a second, and the median time of one in µs.
fn measure(queries: &[Vec<f32>], mut search: impl FnMut(&[f32]) -> Outcome<Vec<u32>>) -> Outcome<(f64, f64)> {
    let mut times = Vec::with_capacity(queries.len());
    for query in queries {
        let start = Instant::now();
        std::hint::black_box(search(query)?);
        times.push(start.elapsed().as_secs_f64());
    }
    let rate = times.len() as f64 / times.iter().sum::<f64>();
    times.sort_by(f64::total_cmp);
    Ok((rate, times[times.len() / 2] * 1e6))
}

pub(crate) fn run(options: &Options) -> Outcome {
    core_affinity::set_for_current(core_affinity::CoreId { id: options.cpu });
    let mut data = Data::read(&options.wordnet)?;
    data.rows.truncate(options.vectors.unwrap_or(usize::MAX));
    let count = data.rows.len();
    let dimension = data.rows.first().map_or(0, Vec::len);
    println!(
        "{count} vectors of {dimension} numbers, one thread; medians over {} rounds [lowest, highest]",
        options.rounds
    );
    let folder = tempfile::tempdir()?;
    let mut ours = Ours::open(folder.path())?;
    ours.learn(&data.rows)?;
    let plain = plain(dimension)?;
    plain.reserve_capacity_and_threads(count, 1)?;
    build(&mut ours, &plain, &data)?;
    let stats = ours.shard.stats();
    println!("  bytes a vector    {} (library {})", stats.vector_memory / count as u64, plain.memory_usage() / count);
    compare(&mut ours, &plain, &data, options.rounds, options.vectors.is_none())?;
    start_times(ours, folder.path())
}

fn build(ours: &mut Ours, plain: &Index, data: &Data) -> Outcome {
    let (mut our_time, mut plain_time, mut saving) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut rows = (0..).zip(&data.rows);
    while let Some((inserted, elapsed)) = ours.job() {
        if inserted == 0 {
            saving = elapsed;
            continue;
        }
        our_time += elapsed;
        let start = Instant::now();
        for (key, row) in rows.by_ref().take(usize::try_from(inserted)?) {
            plain.add(key, row)?;
        }
        plain_time += start.elapsed();
    }
    if plain.size() != data.rows.len() {
        return Err(format!("{} vectors of {} were indexed", plain.size(), data.rows.len()).into());
    }
    let rate = |time: Duration| data.rows.len() as f64 / time.as_secs_f64();
    println!(
        "  inserts/s         {:.0} (library {:.0}, ratio {:.2}); the last checkpoint took {saving:.0?}",
        rate(our_time),
        rate(plain_time),
        rate(our_time) / rate(plain_time)
    );
    Ok(())
}

fn compare(ours: &mut Ours, plain: &Index, data: &Data, rounds: usize, is_all: bool) -> Outcome {
    let library = |query: &[f32]| -> Outcome<Vec<u32>> {
        let found = plain.search(query, K)?;
        found.keys.into_iter().map(|key| Ok(u32::try_from(key)?)).collect()
    };
    let mut figures: [(Vec<f64>, Vec<f64>); 4] = Default::default();
    for _ in 0..rounds {
        let measured = [
            measure(&data.queries, |query| ours.search(query, 0, false))?,
            measure(&data.queries, library)?,
            measure(&data.queries, |query| ours.search(query, 400, false))?,
            measure(&data.queries[..SCANS.min(data.queries.len())], |query| ours.search(query, 0, true))?,
        ];
        for ((rates, medians), (rate, median)) in figures.iter_mut().zip(measured) {
            rates.push(rate);
            medians.push(median);
        }
    }
    let mut recall = [f64::NAN; 4];
    if is_all {
        recall = [
            data.recall(|query| ours.search(query, 0, false))?,
            data.recall(library)?,
            data.recall(|query| ours.search(query, 400, false))?,
            data.recall(|query| ours.search(query, 0, true))?,
        ];
    }
    let names = ["store", "library", "store, ef 400", "store, exact"];
    for ((name, (rates, medians)), recall) in names.iter().zip(&figures).zip(recall) {
        let recall = if is_all { format!(", recall@10 {recall:.4}") } else { String::new() };
        println!(
            "  {name:<17} {} searches/s, p50 {} µs{recall}",
            show(rates.iter().copied(), 0),
            show(medians.iter().copied(), 0)
        );
    }
    println!("  store / library   {}", show(ratios(&figures[0].0, &figures[1].0), 3));
    Ok(())
}

/// How long a start takes with the checkpoint and without.
fn start_times(mut ours: Ours, folder: &Path) -> Outcome {
    while let Some(job) = ours.shard.next_index_job(true) {
        ours.shard.indexed(job.run());
    }
    drop(ours);
    let checkpoint = folder.join("shard-000/vectors-0.index");
    println!("  checkpoint        {:.1} MB", fs::metadata(&checkpoint)?.len() as f64 / 1e6);
    let start = Instant::now();
    let with = Ours::open(folder)?;
    let (elapsed, stats) = (start.elapsed(), with.shard.stats());
    println!("  open with it      {elapsed:.0?}, {} vectors to be indexed yet", stats.vectors_tail);
    drop(with);
    fs::remove_file(&checkpoint)?;
    let start = Instant::now();
    let mut without = Ours::open(folder)?;
    let opened = start.elapsed();
    while without.job().is_some() {}
    println!("  open without      {opened:.0?}, and {:.1?} until all are indexed", start.elapsed());
    Ok(())
}
