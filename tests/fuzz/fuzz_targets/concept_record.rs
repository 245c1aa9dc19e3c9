//! Any bytes as a concept record, the archive that goes from the socket to the disk and back to a
//! socket: refused, or read in full, and the server's times can be written into a copy of it
//! without harm.

#![no_main]

#[path = "../../../src/wire/tests/support/probe.rs"]
mod probe;
#[path = "../../../src/wire/tests/support/sections.rs"]
mod sections;
#[path = "support/seeds.rs"]
mod seeds;
#[path = "../../../src/wire/tests/support/walk.rs"]
mod walk;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use probe::{exact, probe};
use sutra_wire::{Checked, ConceptRecord};

fuzz_target!(|data: &[u8]| {
    if !probe::<ConceptRecord>(data) {
        return;
    }
    let original = exact(data);
    let record = Checked::<ConceptRecord>::new(&original).expect("accepted above");
    let mut copy = exact(data);
    record.write_times(&mut copy, 1, u64::MAX);
    let timed = Checked::<ConceptRecord>::new(&copy).expect("times are no part of what is checked");
    assert_eq!((timed.created.to_native(), timed.updated.to_native()), (1, u64::MAX));
    let (created, updated) = (record.created.to_native(), record.updated.to_native());
    let mut back = exact(&copy);
    timed.write_times(&mut back, created, updated);
    assert_eq!(back.as_slice(), data, "nothing but the times was written");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeds::mutate(data, size, max_size, seed, &["ConceptRecord, "])
});
