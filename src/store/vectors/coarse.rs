//! The index of a shard's vectors: a graph (HNSW, Malkov and Yashunin 2016) of the usearch library
//! over coarse copies of them.
//!
//! A copy is its vector divided by its greatest magnitude and rounded to 8 bits, with one over its
//! length behind it. So the distance of two is one product of small integers and two
//! multiplications. What an index search finds is to be ordered again by the true vectors.
//!
//! Copies that rounding can't tell apart share an entry of the graph. Otherwise many of them would
//! link to each other alone, and hide the rest. `groups.rs` has the vectors behind each entry,
//! `checks.rs` what the graph loses all the same.
//!
//! Promises: whatever the library throws is an error here. One thread at a time searches or changes
//! it; serializing may go on beside searches.

use std::collections::HashSet;

use rkyv::rend::f32_le;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind, VectorType};

use super::checks::Checks;
use super::kernels;
use super::query::LEAST_WIDTH;
use crate::StoreError;

/// Links of a vector; at the lowest level twice as many.
pub(super) const CONNECTIVITY: usize = 16;
/// Candidates looked at for a vector's links.
pub(super) const EXPANSION: usize = 128;
/// Bytes behind a copy's numbers: one over its length, an `f32`.
const LENGTH: usize = size_of::<f32>();
/// Vectors of the smallest index.
const MIN_CAPACITY: usize = 1024;
/// Width of the search for an entry that a vector can share, and of the first look for one by its
/// own copy.
const NARROW: usize = 16;
/// Width of the second look, and how far down its answer is looked at: what a search of the least
/// width orders by the true vectors.
const SECOND: (usize, usize) = (LEAST_WIDTH, 20);
/// Copies farther apart than this never share an entry, however coarse they are.
const MOST_SHARED: f32 = 1e-3;

/// What an index holds of a vector beside its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The id of the vector's concept.
    pub(super) id: [u8; 16],
    /// crc32c of the embedding's bytes.
    pub(super) crc: u32,
    /// What the shard calls it.
    pub(super) ordinal: u32,
}

/// A vector that shares the entry of another, its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) ordinal: u32,
    pub(super) head: u32,
}

/// An index.
pub(super) struct Coarse {
    index: Index,
    dimension: usize,
    /// In the order of their insertion.
    members: Vec<Member>,
    joined: Vec<Joined>,
    checks: Checks,
}

/// An entry that an index search found, by its head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) head: u32,
    /// The cosine similarity, as far as the rounded copies tell.
    pub(super) similarity: f32,
}

/// What an index search found.
pub(super) struct Candidates {
    /// Best first, as far as the copies tell.
    pub(super) hits: Vec<Hit>,
    /// Whether so many were rejected that there may be better ones.
    pub(super) gave_up: bool,
}

/// A vector's copy; none of a zero vector. Cost: 384 numbers take about 0.2 µs.
pub(super) fn copy_of(vector: &[f32_le], out: &mut Vec<i8>) -> bool {
    let greatest = kernels::greatest(vector);
    if greatest == 0.0 {
        return false;
    }
    let start = out.len();
    out.resize(start + vector.len(), 0);
    let numbers = &mut out[start..];
    kernels::quantize(vector, greatest, numbers);
    // At least 127, as that is what the greatest number became.
    let length = (kernels::dot_i8(numbers, numbers) as f32).sqrt();
    out.extend(length.recip().to_le_bytes().map(u8::cast_signed));
    true
}

/// The length of a copy, for vectors of a dimension.
pub(super) fn copy_len(dimension: usize) -> usize {
    dimension + LENGTH
}

/// One over the length that stands behind a copy's numbers.
fn length(bytes: &[i8; LENGTH]) -> f32 {
    // Byte by byte: an iterator would be a call of its own.
    let &[a, b, c, d] = bytes;
    f32::from_le_bytes([a as u8, b as u8, c as u8, d as u8])
}

/// How far apart two copies are where rounding alone can be the reason: each number is off by a
/// twelfth of a step squared at the mean.
fn resolution(copy: &[i8]) -> f32 {
    let Some((numbers, bytes)) = copy.split_last_chunk::<LENGTH>() else { return 0.0 };
    (numbers.len() as f32 / 12.0 * length(bytes).powi(2)).min(MOST_SHARED)
}

/// 1 - the cosine of two copies.
fn distance(a: &[i8], b: &[i8]) -> f32 {
    let (Some((a, a_length)), Some((b, b_length))) =
        (a.split_last_chunk::<LENGTH>(), b.split_last_chunk::<LENGTH>())
    else {
        return 1.0;
    };
    1.0 - kernels::dot_i8(a, b) as f32 * length(a_length) * length(b_length)
}

fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Index { what: error.to_string() }
}

impl Coarse {
    /// An empty one.
    pub(super) fn new(dimension: usize) -> Result<Self, StoreError> {
        let index = make(dimension)?;
        let mut coarse = Self {
            index,
            dimension,
            members: Vec::new(),
            joined: Vec::new(),
            checks: Checks::default(),
        };
        coarse.use_own_metric()?;
        Ok(coarse)
    }

    /// One that was serialized. `bytes` are as [`Coarse::serialize`] gave them: a checksum has
    /// vouched for them.
    pub(super) fn deserialize(
        dimension: usize,
        members: Vec<Member>,
        joined: Vec<Joined>,
        checks: Checks,
        bytes: &[u8],
    ) -> Result<Self, StoreError> {
        let mut coarse = Self { index: make(dimension)?, dimension, members, joined, checks };
        coarse.index.load_from_buffer(bytes).map_err(fault)?;
        // Loading set the library's own metric.
        coarse.use_own_metric()?;
        let Self { index, members, joined, checks, .. } = &coarse;
        let holds = |ordinal: u32| index.contains(u64::from(ordinal));
        let whole = index.dimensions() == copy_len(dimension)
            && index.connectivity() == CONNECTIVITY
            && index.size() + joined.len() == members.len()
            && members.iter().filter(|member| holds(member.ordinal)).count() == index.size()
            && joined.iter().all(|joined| holds(joined.head) && !holds(joined.ordinal))
            && checks.strays().iter().copied().chain(checks.unchecked_entries()).all(holds);
        if whole { Ok(coarse) } else { Err(fault("it does not hold what its header says")) }
    }

    fn use_own_metric(&mut self) -> Result<(), StoreError> {
        let length = copy_len(self.dimension);
        let metric = move |a: *const i8, b: *const i8| {
            // SAFETY: usearch calls a metric with two vectors of the index that it is of, or one
            // and a query, and has checked that each has as many numbers as the index has
            // dimensions: `length`, which `make` gave it, and `deserialize` looks at before
            // anything is searched. They live until the call returns, and nothing changes them.
            let (a, b) = unsafe {
                (std::slice::from_raw_parts(a, length), std::slice::from_raw_parts(b, length))
            };
            distance(a, b)
        };
        i8::change_metric(&mut self.index, Box::new(metric)).map_err(fault)
    }

    /// Adds a vector; returns the head of its entry. Cost: about 0.25 ms for 384 numbers among
    /// 100,000 vectors; every doubling copies 20 bytes a vector.
    pub(super) fn insert(&mut self, member: Member, copy: &[i8]) -> Result<u32, StoreError> {
        if let Some(head) = self.entry_like(copy)? {
            self.members.push(member);
            self.joined.push(Joined { ordinal: member.ordinal, head });
            return Ok(head);
        }
        if self.index.size() == self.index.capacity() {
            let capacity = (2 * self.index.capacity()).max(MIN_CAPACITY);
            self.index.reserve_capacity_and_threads(capacity, 1).map_err(fault)?;
        }
        self.index.add(u64::from(member.ordinal), copy).map_err(fault)?;
        self.members.push(member);
        self.checks.inserted(member.ordinal, self.index.size());
        Ok(member.ordinal)
    }

    /// An entry whose copy can't be told from this one.
    fn entry_like(&self, copy: &[i8]) -> Result<Option<u32>, StoreError> {
        if self.index.size() == 0 {
            return Ok(None);
        }
        let nearest = self.search(copy, 1, NARROW)?;
        Ok(nearest
            .first()
            .filter(|hit| 1.0 - hit.similarity <= resolution(copy))
            .map(|hit| hit.head))
    }

    pub(super) fn contains(&self, ordinal: u32) -> bool {
        self.index.contains(u64::from(ordinal))
    }

    /// The `count` nearest of a search that is `width` wide.
    pub(super) fn search(
        &self,
        copy: &[i8],
        count: usize,
        width: usize,
    ) -> Result<Vec<Hit>, StoreError> {
        self.index.change_expansion_search(width);
        Ok(hits(&self.index.search(copy, count).map_err(fault)?))
    }

    /// The same of those that are `wanted`. After `patience` that are not wanted it gives up.
    pub(super) fn search_among(
        &self,
        copy: &[i8],
        width: usize,
        patience: usize,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Candidates, StoreError> {
        self.index.change_expansion_search(width);
        let rejected = std::cell::Cell::new(0);
        // Once everything is taken the search ends by itself.
        let filter = |key| {
            rejected.get() > patience || ordinal(key).is_some_and(&wanted) || {
                rejected.set(rejected.get() + 1);
                false
            }
        };
        let found = self.index.filtered_search(copy, width, filter).map_err(fault)?;
        Ok(Candidates { hits: hits(&found), gave_up: rejected.get() > patience })
    }

    /// Entries of the graph.
    pub(super) fn entries(&self) -> usize {
        self.index.size()
    }

    pub(super) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Looks for entries by their own copies, until all that are due were looked for or this is
    /// `over`, which it is asked after each. Returns how many are to be saved for it. Cost: about
    /// 0.07 ms each for 384 numbers among 100,000 vectors.
    pub(super) fn check(&mut self, mut over: impl FnMut() -> bool) -> Result<u64, StoreError> {
        let (entries, mut known) = (self.entries(), 0);
        if self.checks.next().is_none() {
            let heads = if self.checks.is_unknown(entries) { self.heads() } else { Vec::new() };
            self.checks.begin(entries, || heads);
        }
        let mut copy = vec![0; copy_len(self.dimension)];
        while let Some(head) = self.checks.next() {
            self.index.get(u64::from(head), &mut copy).map_err(fault)?;
            let has = |hits: Vec<Hit>| hits.iter().any(|hit| hit.head == head);
            let is_found = has(self.search(&copy, NARROW / 2, NARROW)?)
                || has(self.search(&copy, SECOND.1, SECOND.0)?);
            known += self.checks.checked(is_found);
            if over() {
                break;
            }
        }
        Ok(known)
    }

    /// The vectors that have an entry of their own.
    pub(super) fn heads(&self) -> Vec<u32> {
        let joined: HashSet<_> = self.joined.iter().map(|joined| joined.ordinal).collect();
        self.members
            .iter()
            .map(|member| member.ordinal)
            .filter(|ordinal| !joined.contains(ordinal))
            .collect()
    }

    pub(super) fn joined(&self) -> &[Joined] {
        &self.joined
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// What [`Coarse::deserialize`] takes, the members aside.
    pub(super) fn serialize(&self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes).map_err(fault)?;
        Ok(bytes)
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        let stats = self.index.memory_stats();
        // What is reserved was never touched, and takes none.
        let reserved = stats.graph_reserved + stats.vectors_reserved;
        let tapes = (stats.graph_allocated + stats.vectors_allocated).saturating_sub(reserved);
        // Beside its tapes the library keeps two pointers and, in a table that is at most two
        // thirds full, a key and a slot a vector.
        let lookups = self.index.capacity() * (2 * size_of::<usize>() + 24);
        let lists = self.members.capacity() * size_of::<Member>()
            + self.joined.capacity() * size_of::<Joined>();
        (tapes + lookups + lists + self.checks.memory()) as u64
    }
}

fn hits(found: &usearch::ffi::Matches) -> Vec<Hit> {
    let pairs = found.keys.iter().zip(&found.distances);
    pairs
        .filter_map(|(key, distance)| {
            Some(Hit { head: ordinal(*key)?, similarity: 1.0 - distance })
        })
        .collect()
}

fn ordinal(key: u64) -> Option<u32> {
    u32::try_from(key).ok()
}

fn make(dimension: usize) -> Result<Index, StoreError> {
    let options = IndexOptions {
        dimensions: copy_len(dimension),
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION,
        // Each search says how wide it is.
        expansion_search: 0,
        multi: false,
    };
    Index::new(&options).map_err(fault)
}

#[cfg(test)]
mod tests;
