//! The vectors that are searched, the queries, and the true neighbours of each; and the exact scan
//! that finds these.
//!
//! If a folder has queries.npy and neighbours.npy, they are used as they are. Otherwise rows at
//! even distances are held out as queries, and their true neighbours are computed here.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use half::f16;
use multiversion::multiversion;
use npyz::{Deserialize, NpyFile};
use sutra_client::blocking::Client;
use sutra_load::{KeySpace, Keys, Learn, key_name};
use sutra_wire::{ConceptId, CoreLayout};

use super::ask::write_all;
use crate::Outcome;
use crate::process::Running;

/// How many neighbours are asked for.
pub(crate) const K: usize = 10;
/// How many rows are held out as queries if the folder has none.
const HELD_OUT: usize = 200;
/// The beginning of the names of the vectors' concepts.
const PREFIX: &str = "row";

/// The vectors that all contenders are given, and the queries that they are asked.
pub(crate) struct Vectors {
    pub(crate) rows: Arc<Vec<Vec<f32>>>,
    pub(crate) queries: Vec<Vec<f32>>,
    /// The rows nearest to each query.
    pub(crate) truth: Vec<Vec<u32>>,
    /// Whether the queries are rows that were held out.
    pub(crate) is_held_out: bool,
}

impl Vectors {
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let is_held_out =
            !folder.join("queries.npy").exists() || !folder.join("neighbours.npy").exists();
        let rows = wide(read(&folder.join("embeddings.npy"))?);
        let vectors =
            if is_held_out { Self::held_out(rows) } else { Self::with_queries(rows, folder)? };
        let Self { rows, queries, truth, .. } = &vectors;
        let columns = rows.first().map_or(0, Vec::len);
        let is_even = rows.iter().chain(queries).all(|row| row.len() == columns);
        if rows.len() < K || queries.is_empty() || !is_even || truth.len() != queries.len() {
            return Err(format!(
                "{}: at least {K} vectors are needed, \
                 and queries of the same length with neighbours",
                folder.display()
            )
            .into());
        }
        if truth
            .iter()
            .any(|row| row.len() < K || row.iter().any(|row| *row as usize >= rows.len()))
        {
            return Err(format!(
                "{}: neighbours.npy does not name {K} rows for each query",
                folder.display()
            )
            .into());
        }
        Ok(vectors)
    }

    fn with_queries(rows: Vec<Vec<f32>>, folder: &Path) -> Outcome<Self> {
        let queries = folder.join("queries.npy");
        let queries = read::<f32>(&queries).or_else(|_| read(&queries).map(wide))?;
        let neighbours: Vec<Vec<i32>> = read(&folder.join("neighbours.npy"))?;
        let nearest = |row: Vec<i32>| row.into_iter().take(K).map(i32::cast_unsigned).collect();
        let truth = neighbours.into_iter().map(nearest).collect();
        Ok(Self { rows: Arc::new(rows), queries, truth, is_held_out: false })
    }

    fn held_out(all: Vec<Vec<f32>>) -> Self {
        let every = (all.len() / HELD_OUT).max(2);
        let (mut rows, mut queries) = (Vec::new(), Vec::new());
        for (at, row) in all.into_iter().enumerate() {
            if at % every == 0 && queries.len() < HELD_OUT {
                queries.push(row);
            } else {
                rows.push(row);
            }
        }
        let scan = Scan::new(&rows);
        let truth = queries.iter().map(|query| scan.nearest(query)).collect();
        Self { rows: Arc::new(rows), queries, truth, is_held_out: true }
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// The names under which the first `count` vectors are learned, each once.
    pub(crate) fn keys(count: usize) -> Keys {
        Keys::new(PREFIX, KeySpace::Once(count as u64))
    }

    /// The ids of the true neighbours, with a row for each query.
    pub(crate) fn true_ids(&self) -> Outcome<Vec<Vec<ConceptId>>> {
        let ids = |row: &Vec<u32>| row.iter().map(|number| id(*number)).collect();
        self.truth.iter().map(ids).collect()
    }
}

/// The id of a row's concept.
pub(crate) fn id(row: u32) -> Outcome<ConceptId> {
    Ok(ConceptId::from_name(&key_name(PREFIX, u64::from(row)))?)
}

/// Shards with fewer vectors build no index and are scanned. It equals the store's constant.
pub(crate) const MIN_INDEXED: u64 = 1024;

/// Has our server of `cores` cores learn the vectors, and waits until its indexes have all that
/// they will have.
pub(crate) fn learn_and_index(
    running: &Running,
    namespace: &str,
    rows: &Arc<Vec<Vec<f32>>>,
    cores: u16,
) -> Outcome {
    let learned = Learn::with_embeddings(namespace, Vectors::keys(rows.len()), Arc::clone(rows));
    write_all(running, Box::new(learned), rows.len() as u64)?;
    wait_until_indexed(
        &Client::connect(running.address.to_string())?,
        unindexed(rows.len(), cores)?,
    )?;
    Ok(())
}

/// How many of the vectors lie on cores that have too few of them for an index.
fn unindexed(vectors: usize, cores: u16) -> Outcome<u64> {
    let layout = CoreLayout::new(cores);
    let mut by_core = vec![0; usize::from(cores)];
    for row in 0..u32::try_from(vectors)? {
        by_core[usize::from(layout.owner(&id(row)?))] += 1;
    }
    Ok(by_core.into_iter().filter(|count| *count < MIN_INDEXED).sum())
}

fn read<T: Deserialize>(path: &Path) -> Outcome<Vec<Vec<T>>> {
    let bytes =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let file = NpyFile::new(&bytes[..])?;
    let columns =
        usize::try_from(*file.shape().get(1).ok_or("an array of two dimensions is needed")?)?;
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

/// Waits until all vectors but `left` are in an index: those lie on shards that have too few for
/// one. Returns how long that took.
pub(crate) fn wait_until_indexed(client: &Client, left: u64) -> Outcome<Duration> {
    let start = Instant::now();
    loop {
        let stats = client.stats()?;
        let tail = stats
            .counters
            .iter()
            .find(|counter| counter.name == "vectors_tail")
            .ok_or("stats have no counter vectors_tail")?;
        if tail.value.to_native() <= left {
            return Ok(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// All vectors in one piece of memory, scaled to length one. Looking at them one after the other is
/// as fast as one thread can scan exactly.
pub(crate) struct Scan {
    columns: usize,
    numbers: Vec<f32>,
}

impl Scan {
    pub(crate) fn new(rows: &[Vec<f32>]) -> Self {
        let columns = rows.first().map_or(0, Vec::len);
        let mut numbers = Vec::with_capacity(columns * rows.len());
        for row in rows {
            let length = product(row, row).sqrt();
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            numbers.extend(row.iter().map(|number| number * scale));
        }
        Self { columns, numbers }
    }

    /// The rows nearest to the query by cosine, nearest first.
    pub(crate) fn nearest(&self, query: &[f32]) -> Vec<u32> {
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(K + 1);
        for (number, row) in (0u32..).zip(self.numbers.chunks_exact(self.columns.max(1))) {
            let similarity = product(query, row);
            if best.len() == K && best[K - 1].0 >= similarity {
                continue;
            }
            let at = best.partition_point(|(better, _)| *better >= similarity);
            best.insert(at, (similarity, number));
            best.truncate(K);
        }
        best.into_iter().map(|(_, number)| number).collect()
    }
}

/// Partial sums that a product is added up in, so that no addition waits for the one before.
const LANES: usize = 32;

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of two numbers at even angles.
    fn circle(count: usize) -> Vec<Vec<f32>> {
        let at = |number: usize| (number as f32 / count as f32 * std::f32::consts::TAU).sin_cos();
        (0..count).map(at).map(|(sin, cos)| vec![cos * 3.0, sin * 3.0]).collect()
    }

    #[test]
    fn the_nearest_are_found_by_angle_and_in_order() {
        let found = Scan::new(&circle(100)).nearest(&[1.0, 0.001]);
        assert_eq!(found[..3], [0, 1, 99]);
        assert_eq!(found.len(), K);
    }

    #[test]
    fn held_out_rows_are_asked_for_and_not_there() {
        let Vectors { rows, queries, truth, .. } = Vectors::held_out(circle(1_000));
        assert_eq!((rows.len(), queries.len(), truth.len()), (800, 200, 200));
        assert!(queries.iter().all(|query| !rows.contains(query)));
    }

    #[test]
    fn a_product_counts_what_fills_no_lane() {
        let ones = [1.0f32; LANES + 3];
        assert_eq!(product(&ones, &ones), (LANES + 3) as f32);
    }
}
