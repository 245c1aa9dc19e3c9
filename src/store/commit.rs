//! Reading commits back: whether one stands whole at a place, and what stands behind a place where
//! none does.
//!
//! Pure functions over bytes that nobody vouches for: they never panic, allocate nothing, and look
//! at each byte a bounded number of times.

use crate::format::{
    COMMIT_ENTRY, CommitBody, Covered, ENTRY_HEADER, Entry, KIND_COMMIT, Seed, is_zero,
};

/// What the next commit of a log must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) shard: u16,
    /// The commit's number in its log.
    pub(crate) number: u64,
    /// The crc of the Commit entry before it.
    pub(crate) previous: u32,
    /// The highest sequence before the commit: its entries' are higher, where it is the log's.
    pub(crate) sequence: u64,
    /// Whether it is one of a segment of state, whose sequences are in no order.
    pub(crate) is_state: bool,
}

impl Expected {
    /// The first commit of a log that begins with it.
    pub(crate) fn first(shard: u16) -> Self {
        Self { shard, number: 1, previous: 0, sequence: 0, is_state: false }
    }

    /// The first commit of a segment of state.
    pub(crate) fn first_of_state(shard: u16) -> Self {
        Self { is_state: true, ..Self::first(shard) }
    }

    /// The first commit of the log behind such a segment.
    pub(crate) fn behind_state(self, covered: Covered) -> Self {
        let number = covered.commit.saturating_add(1);
        let sequence = self.sequence.max(covered.sequence);
        Self { number, sequence, ..Self::first(self.shard) }
    }

    /// The commit behind this one.
    pub(crate) fn behind(self, commit: &Commit) -> Self {
        let number = commit.body.number.saturating_add(1);
        Self { number, previous: commit.crc, sequence: commit.sequence, ..self }
    }
}

/// A commit that stands whole in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Bytes with block padding.
    pub(crate) padded: usize,
    pub(crate) body: CommitBody,
    /// The Commit entry's crc.
    pub(crate) crc: u32,
    /// The highest sequence of the commit's entries.
    pub(crate) sequence: u64,
}

/// Why no whole commit stands at a place, and how far from it (in bytes) that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
    /// Whether all that is there passes its checksums and still can't be: no interrupted write
    /// leaves this behind.
    pub(crate) certain: bool,
}

fn torn(at: usize, what: &'static str) -> Fault {
    Fault { at, what, certain: false }
}

fn certain(at: usize, what: &'static str) -> Fault {
    Fault { at, what, certain: true }
}

/// Checks that the expected commit stands whole at the start of `bytes`.
pub(crate) fn verify(
    bytes: &[u8],
    seed: Seed,
    block: usize,
    expected: &Expected,
) -> Result<Commit, Fault> {
    let first = Entry::parse(seed, bytes).map_err(|what| torn(0, what))?;
    let Some(body) = CommitBody::of(&first) else {
        return Err(torn(0, "this is not the start of a commit"));
    };
    if body.number != expected.number {
        return Err(torn(0, "this commit does not have the number that comes next"));
    }
    if first.header.owner != expected.shard {
        return Err(certain(0, "this commit belongs to another shard"));
    }
    if body.previous != expected.previous {
        return Err(certain(0, "this commit does not follow the one before it"));
    }
    let length = body.bytes as usize;
    let padded = length.next_multiple_of(block);
    let Some(whole) = bytes.get(..padded) else {
        return Err(torn(0, "this commit reaches beyond the end of the file"));
    };
    let mut at = COMMIT_ENTRY;
    let mut sequence = expected.sequence;
    let mut entries = 0u32;
    while at < length {
        let entry = Entry::parse(seed, &whole[at..]).map_err(|what| torn(at, what))?;
        if entry.header.commit != body.number as u32 {
            return Err(torn(at, "an entry belongs to another commit"));
        }
        if entry.header.owner != expected.shard {
            return Err(certain(at, "an entry belongs to another shard"));
        }
        if entry.header.sequence <= sequence && !expected.is_state {
            return Err(certain(at, "sequences do not rise"));
        }
        sequence = sequence.max(entry.header.sequence);
        entries = entries.saturating_add(1);
        at += entry.bytes();
    }
    if at != length || entries != body.entries || entries == 0 {
        return Err(torn(0, "this commit's entries do not add up"));
    }
    if !is_zero(&whole[length..]) {
        return Err(torn(length, "the space behind this commit is not zero"));
    }
    Ok(Commit { padded, body, crc: first.crc, sequence })
}

/// Where a commit begins in `bytes` (at a multiple of `block`) that proves that commit `missing`
/// was on stable storage: one that was sealed when `missing` was durable already. `None`: whatever
/// is missing was never promised.
pub(crate) fn proof_of_loss(bytes: &[u8], seed: Seed, block: usize, missing: u64) -> Option<usize> {
    (0..bytes.len()).step_by(block).find(|at| {
        let rest = &bytes[*at..];
        // Most blocks fail here, before a checksum is computed.
        if rest.len() < COMMIT_ENTRY
            || rest[8] != KIND_COMMIT
            || rest[0] as usize != COMMIT_ENTRY - ENTRY_HEADER
        {
            return false;
        }
        let commit = Entry::parse(seed, rest).ok().and_then(|entry| CommitBody::of(&entry));
        commit.is_some_and(|commit| commit.number > missing && commit.durable >= missing)
    })
}

/// The entries of a commit that was verified, each with its offset from the commit's start.
pub(crate) fn entries<'a>(
    whole: &'a [u8],
    commit: &Commit,
) -> impl Iterator<Item = (usize, Entry<'a>)> {
    let bytes = &whole[..commit.body.bytes as usize];
    let mut at = COMMIT_ENTRY;
    std::iter::from_fn(move || {
        let entry = Entry::parse_without_crc(bytes.get(at..)?)?;
        let offset = at;
        at += entry.bytes();
        Some((offset, entry))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::{EntryHeader, KIND_CONCEPT, SegmentHeader, entry_bytes};

    const BLOCK: usize = 512;
    const EXPECTED: Expected =
        Expected { shard: 1, number: 5, previous: 77, sequence: 100, is_state: false };

    fn seed() -> Seed {
        SegmentHeader { block: 512, store: 1, generation: 2, number: 0, shard: 1, capacity: 65536 }
            .seed()
    }

    /// A commit of two entries as the log would write it.
    fn commit(number: u64, durable: u64, sequences: [u64; 2]) -> Vec<u8> {
        let mut bytes = vec![0; COMMIT_ENTRY];
        let header = EntryHeader {
            length: 0,
            kind: KIND_CONCEPT,
            owner: 1,
            commit: number as u32,
            sequence: 0,
            time: 9,
        };
        for (sequence, length) in sequences.into_iter().zip([20, 300]) {
            let mut entry = vec![0xab; entry_bytes(length)];
            EntryHeader { length: length as u32, sequence, ..header }.write(seed(), &mut entry);
            bytes.extend(entry);
        }
        let body =
            CommitBody { bytes: bytes.len() as u32, entries: 2, number, durable, previous: 77 };
        bytes[ENTRY_HEADER..COMMIT_ENTRY].copy_from_slice(&body.encode());
        EntryHeader { length: 32, kind: KIND_COMMIT, ..header }
            .write(seed(), &mut bytes[..COMMIT_ENTRY]);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    #[test]
    fn a_whole_commit_is_read_with_its_entries() {
        let bytes = commit(5, 4, [101, 103]);
        let commit = verify(&bytes, seed(), BLOCK, &EXPECTED).unwrap();
        assert_eq!((commit.padded, commit.sequence, commit.body.entries), (512, 103, 2));
        let found: Vec<_> = entries(&bytes, &commit)
            .map(|(at, entry)| (at, entry.header.sequence, entry.body.len()))
            .collect();
        assert_eq!(found, [(64, 101, 20), (128, 103, 300)]);
    }

    #[test]
    fn every_flipped_bit_breaks_the_commit() {
        let bytes = commit(5, 4, [101, 103]);
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes, seed(), BLOCK, &EXPECTED).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_commit_that_is_cut_anywhere_is_not_whole() {
        let bytes = commit(5, 4, [101, 103]);
        for end in 0..bytes.len() {
            assert!(verify(&bytes[..end], seed(), BLOCK, &EXPECTED).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn what_no_interrupted_write_leaves_behind_is_certain_damage() {
        let bytes = commit(5, 4, [101, 103]);
        for expected in [
            Expected { shard: 2, ..EXPECTED },
            Expected { previous: 78, ..EXPECTED },
            Expected { sequence: 101, ..EXPECTED },
        ] {
            assert!(verify(&bytes, seed(), BLOCK, &expected).unwrap_err().certain, "{expected:?}");
        }
        let state = Expected { sequence: 0, is_state: true, ..EXPECTED };
        let unordered = commit(5, 4, [103, 101]);
        assert_eq!(verify(&unordered, seed(), BLOCK, &state).unwrap().sequence, 103);
        assert!(verify(&unordered, seed(), BLOCK, &EXPECTED).unwrap_err().certain);
        let other = Expected { number: 6, ..EXPECTED };
        assert!(!verify(&bytes, seed(), BLOCK, &other).unwrap_err().certain);
    }

    #[test]
    fn only_a_later_commit_that_calls_the_missing_one_durable_proves_a_loss() {
        let mut bytes = vec![0; BLOCK];
        bytes.extend(commit(7, 6, [101, 103]));
        assert_eq!(proof_of_loss(&bytes, seed(), BLOCK, 5), Some(BLOCK));
        assert_eq!(proof_of_loss(&bytes, seed(), BLOCK, 6), Some(BLOCK));
        assert_eq!(proof_of_loss(&bytes, seed(), BLOCK, 7), None, "not later");
        let relaxed = [vec![0; BLOCK], commit(7, 4, [101, 103])].concat();
        assert_eq!(
            proof_of_loss(&relaxed, seed(), BLOCK, 5),
            None,
            "written before anything was synced"
        );
        assert_eq!(proof_of_loss(&bytes[..BLOCK + 63], seed(), BLOCK, 5), None, "not whole");
    }
}
