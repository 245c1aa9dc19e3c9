//! Any bytes as a snapshot of an old server: an error that can be told, or entries that are written
//! again as the same bytes.

#![no_main]

#[path = "../../../compat/files/tests/support/hold.rs"]
mod hold;

use hold::judge;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// A snapshot that an old server wrote.
const SAMPLE: &[u8] = include_bytes!("../../data/old-server/after-flush/storage.dat");

fuzz_target!(|data: &[u8]| {
    judge(data);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(16) || max_size < SAMPLE.len() {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..SAMPLE.len()].copy_from_slice(SAMPLE);
    fuzzer_mutate(data, SAMPLE.len(), max_size)
});
