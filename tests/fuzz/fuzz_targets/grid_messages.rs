//! Any bytes as a message of the old grid: an error that can be told, or a request or reply that is
//! written and read again as the same.

#![no_main]

#[path = "../../../compat/tests/support/grid_golden.rs"]
mod grid_golden;
#[path = "../../../compat/tests/support/grid_hold.rs"]
mod grid_hold;

use grid_golden::golden;
use grid_hold::{hold_reply, hold_request};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    hold_request(data);
    hold_reply(data);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(16) {
        return fuzzer_mutate(data, size, max_size);
    }
    let golden = golden();
    let (_, message) = &golden[(seed / 16) as usize % golden.len()];
    let size = message.len().min(max_size);
    data[..size].copy_from_slice(&message[..size]);
    fuzzer_mutate(data, size, max_size)
});
