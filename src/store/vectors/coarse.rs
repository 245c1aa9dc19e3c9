//! The index of a shard's vectors: a graph (HNSW, Malkov and Yashunin 2016) of the usearch library over coarse copies of them.
//!
//! A copy is its vector divided by its greatest magnitude and rounded to 8 bits, with one over its length behind it, so that the distance of
//! two is one product of small integers and two multiplications. What an index search finds is to be ordered again by the true vectors.
//!
//! Promises: whatever the library throws is an error here. One thread at a time searches or changes it; serializing may go on beside
//! searches.

use rkyv::rend::f32_le;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind, VectorType};

use super::kernels;
use crate::StoreError;

/// Links of a vector; at the lowest level twice as many.
pub(super) const CONNECTIVITY: usize = 16;
/// Candidates looked at for a vector's links.
pub(super) const EXPANSION: usize = 128;
/// Bytes behind a copy's numbers: one over its length, an `f32`.
const LENGTH: usize = size_of::<f32>();
/// Vectors of the smallest index.
const MIN_CAPACITY: usize = 1024;

/// What an index holds of a vector beside its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its concept's.
    pub(super) id: [u8; 16],
    /// crc32c of the embedding's bytes.
    pub(super) crc: u32,
    /// What the shard calls it.
    pub(super) ordinal: u32,
}

/// An index.
pub(super) struct Coarse {
    index: Index,
    dimension: usize,
    /// In the order of their insertion.
    members: Vec<Member>,
}

/// What an index search found.
pub(super) struct Candidates {
    /// Best first, as far as the copies tell.
    pub(super) ordinals: Vec<u32>,
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

/// 1 - the cosine of two copies.
fn distance(a: &[i8], b: &[i8]) -> f32 {
    let (Some((a, a_length)), Some((b, b_length))) = (a.split_last_chunk::<LENGTH>(), b.split_last_chunk::<LENGTH>())
    else {
        return 1.0;
    };
    // Byte by byte: an iterator would be a call of its own.
    let length = |&[a, b, c, d]: &[i8; LENGTH]| f32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]);
    1.0 - kernels::dot_i8(a, b) as f32 * length(a_length) * length(b_length)
}

fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Index { what: error.to_string() }
}

impl Coarse {
    /// An empty one.
    pub(super) fn new(dimension: usize) -> Result<Self, StoreError> {
        let mut coarse = Self { index: make(dimension)?, dimension, members: Vec::new() };
        coarse.use_own_metric()?;
        Ok(coarse)
    }

    /// One that was serialized. `bytes` are as [`Coarse::serialize`] gave them: a checksum has vouched for them.
    pub(super) fn deserialize(dimension: usize, members: Vec<Member>, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut coarse = Self { index: make(dimension)?, dimension, members };
        coarse.index.load_from_buffer(bytes).map_err(fault)?;
        // Loading brought the library's own.
        coarse.use_own_metric()?;
        let Self { index, members, .. } = &coarse;
        let whole = index.dimensions() == copy_len(dimension)
            && index.connectivity() == CONNECTIVITY
            && index.size() == members.len()
            && members.iter().all(|member| index.contains(u64::from(member.ordinal)));
        if whole { Ok(coarse) } else { Err(fault("it does not hold what its header says")) }
    }

    fn use_own_metric(&mut self) -> Result<(), StoreError> {
        let length = copy_len(self.dimension);
        let metric = move |a: *const i8, b: *const i8| {
            // SAFETY: usearch calls a metric with two vectors of the index that it is of, or one and a query, and has checked that
            // each has as many numbers as the index has dimensions: `length`, which `make` gave it, and
            // `deserialize` looks at before anything is searched. They live until the call returns, and nothing changes them.
            let (a, b) = unsafe { (std::slice::from_raw_parts(a, length), std::slice::from_raw_parts(b, length)) };
            distance(a, b)
        };
        i8::change_metric(&mut self.index, Box::new(metric)).map_err(fault)
    }

    /// Adds a vector. Cost: about 0.2 ms for 384 numbers among 100,000 vectors; every doubling copies 20 bytes a vector.
    pub(super) fn insert(&mut self, member: Member, copy: &[i8]) -> Result<(), StoreError> {
        if self.index.size() == self.index.capacity() {
            let capacity = (2 * self.index.capacity()).max(MIN_CAPACITY);
            self.index.reserve_capacity_and_threads(capacity, 1).map_err(fault)?;
        }
        self.index.add(u64::from(member.ordinal), copy).map_err(fault)?;
        self.members.push(member);
        Ok(())
    }

    pub(super) fn contains(&self, ordinal: u32) -> bool {
        self.index.contains(u64::from(ordinal))
    }

    /// The `count` nearest of a search that is `width` wide.
    pub(super) fn search(&self, copy: &[i8], count: usize, width: usize) -> Result<Vec<u32>, StoreError> {
        self.index.change_expansion_search(width);
        let found = self.index.search(copy, count).map_err(fault)?;
        Ok(found.keys.into_iter().filter_map(ordinal).collect())
    }

    /// The same of those that are `wanted`. After `patience` that are not wanted it gives up.
    pub(super) fn search_among(
        &self,
        copy: &[i8],
        count: usize,
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
        let found = self.index.filtered_search(copy, count, filter).map_err(fault)?;
        let ordinals = found.keys.into_iter().filter_map(ordinal).collect();
        Ok(Candidates { ordinals, gave_up: rejected.get() > patience })
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
        // Beside its tapes the library keeps two pointers and, in a table that is at most two thirds full, a key and a slot a vector.
        let lookups = self.index.capacity() * (2 * size_of::<usize>() + 24);
        (tapes + lookups + self.members.capacity() * size_of::<Member>()) as u64
    }
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn copy(numbers: &[f32]) -> Vec<i8> {
        let stored: Vec<_> = numbers.iter().map(|number| f32_le::from_native(*number)).collect();
        let mut copy = Vec::new();
        assert!(copy_of(&stored, &mut copy));
        copy
    }

    fn circle(number: u32) -> Vec<i8> {
        let angle = number as f32 / 100.0;
        copy(&[angle.cos(), angle.sin()])
    }

    fn of_circle(count: u32) -> Coarse {
        let mut coarse = Coarse::new(2).unwrap();
        for ordinal in 0..count {
            coarse.insert(Member { id: [1; 16], crc: 7, ordinal }, &circle(ordinal)).unwrap();
        }
        coarse
    }

    #[test]
    fn a_copys_distance_is_nearly_its_vectors() {
        for (a, b, cosine) in
            [([3.0, 0.0], [0.0, 1e30], 0.0), ([1e-45, 0.0], [-5.0, 0.0], -1.0), ([2.0, 2.0], [1.0, 1.0], 1.0)]
        {
            assert!((distance(&copy(&a), &copy(&b)) - (1.0 - cosine)).abs() < 0.01, "{a:?} {b:?}");
        }
    }

    #[test]
    fn the_nearest_that_are_wanted_are_found_also_after_serializing() {
        let coarse = of_circle(300);
        let read = Coarse::deserialize(2, coarse.members().to_vec(), &coarse.serialize().unwrap()).unwrap();
        for coarse in [coarse, read] {
            let found = coarse.search_among(&circle(100), 5, 5, 1000, |ordinal| ordinal % 10 == 3).unwrap();
            let mut found = found.ordinals;
            found.sort_unstable();
            assert_eq!(found, [83, 93, 103, 113, 123]);
            assert!(coarse.memory() > 300 * 8);
        }
    }

    #[test]
    fn a_search_that_finds_nothing_wanted_gives_up() {
        let coarse = of_circle(300);
        assert!(coarse.search_among(&circle(5), 5, 5, 100, |_| false).unwrap().gave_up);
        assert!(!coarse.search_among(&circle(5), 5, 5, 300, |_| false).unwrap().gave_up);
    }

    #[test]
    fn an_index_that_is_not_what_its_header_says_is_an_error() {
        let coarse = of_circle(300);
        let (members, bytes) = (coarse.members().to_vec(), coarse.serialize().unwrap());
        assert!(Coarse::deserialize(3, members.clone(), &bytes).is_err());
        assert!(Coarse::deserialize(2, members[1..].to_vec(), &bytes).is_err());
        let mut other = members.clone();
        other[0].ordinal = 300;
        assert!(Coarse::deserialize(2, other, &bytes).is_err());
        assert!(Coarse::deserialize(2, members, &[]).is_err());
    }
}
