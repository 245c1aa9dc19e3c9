//! Mutations that start anew from published bytes: one in sixteen takes a golden section in place
//! of the input, so that a target reaches valid archives without a corpus of its own.

use libfuzzer_sys::fuzzer_mutate;

use crate::sections::{GOLDEN, sections};

/// libFuzzer's own mutation, now and then of a golden section whose title starts with one of
/// `titles`.
pub(crate) fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    titles: &[&str],
) -> usize {
    if !seed.is_multiple_of(16) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut golden = sections(GOLDEN);
    golden.retain(|(title, _)| titles.iter().any(|wanted| title.starts_with(wanted)));
    let (_, bytes) = &golden[(seed / 16) as usize % golden.len()];
    let size = bytes.len().min(max_size);
    data[..size].copy_from_slice(&bytes[..size]);
    fuzzer_mutate(data, size, max_size)
}
