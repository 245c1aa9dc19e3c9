//! Any bytes as every payload that a client sends: refused, or read in full.

#![no_main]

#[path = "../../../src/wire/tests/support/probe.rs"]
mod probe;
#[path = "../../../src/wire/tests/support/sections.rs"]
mod sections;
#[path = "support/seeds.rs"]
mod seeds;
#[macro_use]
#[path = "../../../src/wire/tests/support/walk.rs"]
mod walk;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use probe::probe;
use sutra_wire::grid::*;
use sutra_wire::*;

macro_rules! probe_all {
    (
        ($data:ident)
        requests { $($of:ident: $archived:ident $fields:tt)* }
        replies $replies:tt
        parts $parts:tt
    ) => {
        $(probe::<$of>($data);)*
    };
}

macro_rules! titles {
    (
        ()
        requests { $($of:ident: $archived:ident $fields:tt)* }
        replies $replies:tt
        parts $parts:tt
    ) => {
        [$(concat!(stringify!($of), ", ")),*]
    };
}

fuzz_target!(|data: &[u8]| {
    published!(probe_all!(data));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeds::mutate(data, size, max_size, seed, &published!(titles!()))
});
