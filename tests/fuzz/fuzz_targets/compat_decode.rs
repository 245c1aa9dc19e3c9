//! Any bytes as a message of the old protocol: an error that can be told, or the archive of a
//! native request.

#![no_main]

#[path = "../../../compat/tests/support/hold.rs"]
mod hold;

use hold::{DIALECTS, judge};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use sutra_compat::decode;
use sutra_wire::FrameBuffer;

fuzz_target!(|data: &[u8]| {
    for dialect in DIALECTS {
        let mut out = FrameBuffer::new();
        judge(decode(data, dialect, &mut out), &out);
    }
});

/// The messages of the golden file, as hexadecimal digits.
fn golden() -> Vec<&'static str> {
    let lines = include_str!("../../golden/compat.txt").lines();
    lines
        .filter_map(|line| line.strip_prefix("  ")?.split_once(' '))
        .map(|(_, digits)| digits)
        .collect()
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(16) {
        return fuzzer_mutate(data, size, max_size);
    }
    let golden = golden();
    let digits = golden[(seed / 16) as usize % golden.len()].as_bytes();
    let size = (digits.len() / 2).min(max_size);
    for (byte, pair) in data[..size].iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).expect("the golden file is ASCII");
        *byte = u8::from_str_radix(pair, 16).expect("the golden file holds hexadecimal digits");
    }
    fuzzer_mutate(data, size, max_size)
});
