//! Bytes that are made to look like many long entries are gone through a bounded number of times.

use super::super::scan::{Frame, scan};
use super::super::seed;
use crate::format::{
    COMMIT_ENTRY, CommitBody, ENTRY_HEADER, EntryHeader, KIND_COMMIT, KIND_CONCEPT, SEGMENT_HEADER,
    Seed,
};
use crate::work;

const BYTES: usize = 1 << 20;
const BLOCK: usize = 512;
const SHARD: u16 = 1;
/// How often each byte may be looked at: in search of commits, and again of what is in them.
const MOST: usize = 40;

fn header(kind: u8, length: usize) -> EntryHeader {
    EntryHeader { length: length as u32, kind, owner: SHARD, commit: 1, sequence: 1, time: 1 }
}

/// In each block what `write` puts there, which is told how many bytes follow.
fn filled(write: impl Fn(&mut [u8], usize)) -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    for at in (SEGMENT_HEADER..BYTES - 2 * BLOCK).step_by(BLOCK) {
        write(&mut bytes[at..at + BLOCK], BYTES - at);
    }
    work::take();
    bytes
}

/// The beginning of an entry that claims a body of so many bytes.
fn claim(into: &mut [u8], kind: u8, length: usize) {
    let mut whole = [0; ENTRY_HEADER];
    header(kind, 0).write(Seed::from_crc(0), &mut whole);
    into[..ENTRY_HEADER].copy_from_slice(&whole);
    into[..4].copy_from_slice(&(length as u32).to_le_bytes());
}

/// A Commit entry that is whole and claims so many bytes, and an entry behind it that claims them.
fn commit(into: &mut [u8], seed: Seed, bytes: usize) {
    let body = CommitBody { bytes: bytes as u32, entries: 1, number: 1, durable: 0, previous: 0 };
    into[ENTRY_HEADER..COMMIT_ENTRY].copy_from_slice(&body.encode());
    header(KIND_COMMIT, COMMIT_ENTRY - ENTRY_HEADER).write(seed, &mut into[..COMMIT_ENTRY]);
    claim(&mut into[COMMIT_ENTRY..], KIND_CONCEPT, bytes - COMMIT_ENTRY - ENTRY_HEADER);
}

fn assert_bounded(what: &str) {
    let work = work::take();
    assert!(work <= MOST * BYTES, "{what}: each byte {} times", work / BYTES);
}

#[test]
fn what_claims_to_be_long_is_gone_through_a_bounded_number_of_times() {
    let seed = Seed::from_crc(7);
    let (first, is_unordered) = (SEGMENT_HEADER, false);
    let frame = Frame { seed, block: BLOCK, first, shard: SHARD, layout: None, is_unordered };
    let bytes = filled(|into, follow| claim(into, KIND_COMMIT, follow - ENTRY_HEADER));
    scan(&bytes, &frame, &mut |_, _| {});
    assert_bounded("commits of a wrong length");
    let bytes = filled(|into, follow| commit(into, seed, follow));
    let pieces = scan(&bytes, &frame, &mut |_, _| {});
    assert!(pieces.len() > 1000, "each block begins with a Commit entry");
    assert_bounded("commits with an entry that is not whole");
    assert_eq!(seed::find(&bytes, SEGMENT_HEADER, BLOCK, SHARD), None);
    assert_bounded("the seed of a header that is lost");
}
