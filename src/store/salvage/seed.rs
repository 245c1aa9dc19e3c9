//! The seed of a segment's checksums, found again where its header is lost.
//!
//! A crc32c is a linear map of its seed. So an entry that is whole says which seed it was written
//! with: the checksum's register is turned back byte by byte. One entry gives a candidate, and the
//! entry behind it confirms it.

use super::scan::patience;
use crate::format::{COMMIT_ENTRY, CommitBody, ENTRY_HEADER, Entry, Seed};

/// The polynomial of crc32c (Castagnoli), bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const TABLE: [u32; 256] = table();

/// By the highest byte of a table's value: which value that is. No two have the same.
const fn inverse() -> [u8; 256] {
    let mut inverse = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        inverse[(TABLE[byte] >> 24) as usize] = byte as u8;
        byte += 1;
    }
    inverse
}

const INVERSE: [u8; 256] = inverse();

/// The register before it took in this byte.
fn back(after: u32, byte: u8) -> u32 {
    let index = INVERSE[(after >> 24) as usize];
    (after ^ TABLE[usize::from(index)]) << 8 | u32::from(index ^ byte)
}

/// The seed with which the checksum of the entry at the start of `bytes` holds. `None` where they
/// are shorter than they say.
fn seed_of(bytes: &[u8]) -> Option<Seed> {
    let entry = Entry::parse_without_crc(bytes)?;
    let end = ENTRY_HEADER + entry.body.len();
    let behind = bytes[8..end].iter().rev().chain(bytes[..4].iter().rev());
    Some(Seed::from_crc(!behind.fold(!entry.crc, |register, byte| back(register, *byte))))
}

/// The seed of a segment in whose `bytes` a commit of this shard begins at a multiple of `block`,
/// behind the header, with a whole entry behind its Commit entry. Gives up where too many seem to.
pub(super) fn find(bytes: &[u8], first: usize, block: usize, shard: u16) -> Option<Seed> {
    let mut patience = patience(bytes.len());
    (first..bytes.len()).step_by(block).find_map(|at| {
        let commit = bytes.get(at..)?;
        let head = Entry::parse_without_crc(commit)?;
        CommitBody::of(&head).filter(|_| head.header.owner == shard)?;
        let seed = seed_of(commit)?;
        let behind = commit.get(COMMIT_ENTRY..)?;
        patience = patience.checked_sub(Entry::parse_without_crc(behind)?.bytes())?;
        Entry::parse(seed, behind).ok().map(|_| seed)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::{EntryHeader, KIND_CONCEPT, SegmentHeader, entry_bytes};

    #[test]
    fn a_whole_entry_tells_the_seed_it_was_written_with() {
        for generation in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let header = SegmentHeader {
                block: 512,
                store: 1,
                generation,
                number: 0,
                shard: 1,
                capacity: 65536,
            };
            for length in [0, 1, 17, 300] {
                let mut bytes = vec![0x5a; entry_bytes(length)];
                let entry = EntryHeader {
                    length: length as u32,
                    kind: KIND_CONCEPT,
                    owner: 1,
                    commit: 7,
                    sequence: 8,
                    time: 9,
                };
                entry.write(header.seed(), &mut bytes);
                assert_eq!(seed_of(&bytes), Some(header.seed()));
            }
        }
        assert_eq!(seed_of(&[0xff; 40]), None);
    }
}
