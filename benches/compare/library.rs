//! The index library that our index stands on, called in-process with our parameters. The
//! difference between it and our searches is what a server adds.
//!
//! It rounds vectors to 8 bits in its own way. Its product of small integers is replaced by one as
//! fast as the store's.

use multiversion::multiversion;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind, VectorType};

use crate::Outcome;

/// The index parameters that the store has by default.
const CONNECTIVITY: usize = 16;
const EXPANSION: usize = 128;
const WIDTH: usize = 100;

/// An index of the library with the same parameters, over the vectors, each under its number.
pub(super) fn library(rows: &[Vec<f32>]) -> Outcome<Index> {
    let index = empty(rows.first().map_or(0, Vec::len))?;
    index.reserve_capacity_and_threads(rows.len(), 1)?;
    for (key, row) in (0..).zip(rows) {
        index.add(key, row)?;
    }
    Ok(index)
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512vnni",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn product(a: &[i8], b: &[i8]) -> i32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sum = 0i32;
    for at in 0..length {
        sum = sum.wrapping_add(i32::from(a[at]) * i32::from(b[at]));
    }
    sum
}

/// An empty index of the library as it comes, except for its product: the library's is compiled for
/// the oldest CPUs.
fn empty(dimension: usize) -> Outcome<Index> {
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
        let (a, b) = unsafe {
            (std::slice::from_raw_parts(a, dimension), std::slice::from_raw_parts(b, dimension))
        };
        // The library scales vectors to a length of 127.
        1.0 - product(a, b) as f32 / (127.0 * 127.0)
    };
    i8::change_metric(&mut index, Box::new(distance))?;
    Ok(index)
}
