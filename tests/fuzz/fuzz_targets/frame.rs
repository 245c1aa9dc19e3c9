//! Any bytes as a run of frames: each is found whole, or the run ends with how much is missing or
//! what is wrong.

#![no_main]

#[path = "../../../src/wire/tests/support/sections.rs"]
mod sections;
#[path = "support/seeds.rs"]
mod seeds;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use sutra_wire::{HEADER_BYTES, Parsed, parse};

/// Small enough that lengths on either side of it are reached.
const LIMIT: u32 = 512;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    loop {
        match parse(rest, LIMIT) {
            Ok(Parsed::Frame(frame, used)) => {
                assert_eq!(&frame.header.encode(), &rest[..HEADER_BYTES]);
                assert_eq!(
                    frame.payload,
                    &rest[HEADER_BYTES..HEADER_BYTES + frame.header.length as usize]
                );
                rest = &rest[used..];
            }
            Ok(Parsed::Partial(needed)) => {
                assert!(needed > rest.len() && needed <= HEADER_BYTES + LIMIT as usize);
                break;
            }
            Err(error) => {
                assert!(error.status().is_error() && !error.to_string().is_empty());
                break;
            }
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeds::mutate(data, size, max_size, seed, &["Frame, "])
});
