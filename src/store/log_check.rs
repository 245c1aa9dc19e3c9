//! A log that is checked while its bytes pass: on the way to a backup, and on the way back.
//!
//! It is what a start checks before it looks into records: the header, each commit's checksums, and
//! that it follows the one before (`commit.rs`). What it keeps is the commit that has not passed
//! whole yet. No bytes make it panic or keep more than a segment.

use serde::{Deserialize, Serialize};

use crate::commit::{self, Expected};
use crate::format::{
    COMMIT_ENTRY, CommitBody, Covered, Entry, SEGMENT_HEADER, SegmentHeader, is_zero,
};

/// Up to which commit a log was checked. The default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlace {
    /// Number of the last commit, 0 for none.
    pub commit: u64,
    /// The crc32c of its Commit entry.
    pub crc32c: u32,
    /// The highest sequence so far.
    pub sequence: u64,
}

/// What is wrong with a segment, and how many bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct LogFault {
    /// Where.
    pub offset: u64,
    /// What.
    pub what: String,
}

/// Checks one segment, or a stretch of it that begins with a commit.
#[derive(Debug)]
pub struct LogCheck {
    header: SegmentHeader,
    expected: Expected,
    /// The Commit entry's crc and all else behind the last commit that was checked.
    place: LogPlace,
    /// What the segment covers, where it is one of state. Then the log begins behind it.
    covered: Option<Covered>,
    /// Where the bytes begin that are kept.
    at: usize,
    kept: Vec<u8>,
}

impl LogCheck {
    /// From byte `from` of the segment that has this header, behind the commit of `place`.
    pub fn new(header: SegmentHeader, from: usize, place: LogPlace) -> Self {
        let expected = Expected {
            number: place.commit.saturating_add(1),
            previous: place.crc32c,
            sequence: place.sequence,
            ..Expected::first(header.shard)
        };
        Self { header, expected, place, covered: None, at: from, kept: Vec::new() }
    }

    /// More bytes pass.
    ///
    /// # Errors
    /// They are not what stands there in a log that is whole.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Result<(), LogFault> {
        loop {
            // What is kept may say only now how much belongs to it.
            let missing = self.needed()?.saturating_sub(self.kept.len());
            if missing == 0 {
                self.take()?;
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            // One commit's bytes at a time, so that no more than that is copied.
            let (now, rest) = bytes.split_at(missing.min(bytes.len()));
            self.kept.extend_from_slice(now);
            bytes = rest;
        }
    }

    /// No more follow: where the log goes on.
    ///
    /// # Errors
    /// They end inside a commit.
    pub fn finish(self) -> Result<LogPlace, LogFault> {
        if !self.kept.is_empty() {
            return Err(self.fault(0, "the bytes end inside of a commit"));
        }
        let Some(Covered { commit, sequence }) = self.covered else { return Ok(self.place) };
        if (self.at as u64) < self.header.capacity {
            return Err(self.fault(0, "the bytes end inside of the state"));
        }
        let sequence = self.place.sequence.max(sequence);
        Ok(LogPlace { commit, crc32c: 0, sequence })
    }

    fn fault(&self, behind: usize, what: impl Into<String>) -> LogFault {
        LogFault { offset: (self.at + behind) as u64, what: what.into() }
    }

    /// How many bytes what stands next has, as far as those that are kept say.
    fn needed(&self) -> Result<usize, LogFault> {
        if self.at == 0 {
            return Ok(self.header.first_commit());
        }
        if self.kept.len() < COMMIT_ENTRY {
            return Ok(COMMIT_ENTRY);
        }
        let entry = Entry::parse(self.header.seed(), &self.kept[..COMMIT_ENTRY])
            .map_err(|what| self.fault(0, what))?;
        let body = CommitBody::of(&entry)
            .ok_or_else(|| self.fault(0, "this is not the start of a commit"))?;
        let padded = (body.bytes as usize).next_multiple_of(self.header.block as usize);
        if padded < COMMIT_ENTRY || (self.at + padded) as u64 > self.header.capacity {
            return Err(self.fault(0, "this commit reaches beyond the segment"));
        }
        Ok(padded)
    }

    /// All that stands next is kept: checks it.
    fn take(&mut self) -> Result<(), LogFault> {
        if self.at == 0 {
            self.take_header()?;
        } else {
            let (seed, block) = (self.header.seed(), self.header.block as usize);
            let commit = commit::verify(&self.kept, seed, block, &self.expected)
                .map_err(|fault| self.fault(fault.at, fault.what))?;
            self.expected = self.expected.behind(&commit);
            match self.covered {
                None => {
                    self.place = LogPlace {
                        commit: commit.body.number,
                        crc32c: commit.crc,
                        sequence: commit.sequence,
                    };
                }
                Some(covered) if commit.sequence > covered.sequence => {
                    return Err(self.fault(0, "the state has more than it says that it covers"));
                }
                Some(_) => {}
            }
        }
        self.at += self.kept.len();
        self.kept.clear();
        Ok(())
    }

    fn take_header(&mut self) -> Result<(), LogFault> {
        let found =
            SegmentHeader::decode(&self.kept).map_err(|fault| self.fault(0, fault.to_string()))?;
        if found != self.header {
            return Err(self.fault(0, "this is the header of another segment"));
        }
        if !is_zero(&self.kept[SEGMENT_HEADER..]) {
            return Err(self.fault(SEGMENT_HEADER, "the segment header is not followed by zeros"));
        }
        self.covered = SegmentHeader::covered(&self.kept);
        if self.covered.is_some() {
            self.expected = Expected::first_of_state(self.header.shard);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt;

    use sutra_wire::Durability;

    use super::*;
    use crate::{OpenOptions, Store};

    /// The first segment of a store with two commits, and where they end.
    fn segment() -> (SegmentHeader, Vec<u8>, u64) {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let opened = store(folder.path(), 1);
        let cut = opened.shards[0].cut().unwrap();
        let [segment] = cut.segments[..] else { panic!("{cut:?}") };
        let bytes =
            opened.shards[0].log_bytes(0, segment.header.generation, 0..segment.end).unwrap();
        (segment.header, bytes.to_vec(), cut.commit)
    }

    /// A store with two concepts, opened on so many cores.
    fn store(folder: &std::path::Path, cores: usize) -> crate::Opened<()> {
        let options = OpenOptions {
            cores,
            durability: Durability::Always,
            segment_bytes: 64 << 10,
            id_rule: None,
            listening: String::new(),
        };
        let mut opened = Store::open::<()>(folder, options).unwrap();
        if opened.shards.len() > 1 {
            return opened;
        }
        let shard = &mut opened.shards[0];
        let layout = sutra_wire::CoreLayout::new(2);
        let ids = (1..u8::MAX).map(|number| [number; 16]);
        let ids = ids.filter(|id| layout.owner(&sutra_wire::ConceptId(*id)) == 0).take(2);
        for id in ids {
            let record = sutra_wire::ConceptRecord {
                id,
                content: "content".repeat(900),
                ..sutra_wire::ConceptRecord::default()
            };
            let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap();
            let checked = sutra_wire::Checked::new(&bytes).unwrap();
            shard.learn(checked, crate::NamespaceId::DEFAULT, ()).unwrap();
            let commit = shard.next_commit().unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(commit.file.path()).unwrap();
            file.write_all_at(&commit.bytes, commit.offset).unwrap();
            shard.commit_finished(Ok(()), |_| {});
        }
        opened
    }

    /// The same segment when the store was made over for two cores: of state.
    fn state() -> (SegmentHeader, Vec<u8>, u64) {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        store(folder.path(), 1);
        let opened = store(folder.path(), 2);
        let cut = opened.shards[0].cut().unwrap();
        let [state, log] = cut.segments[..] else { panic!("{cut:?}") };
        assert_eq!((state.header.number + 1, log.end), (log.header.number, 4096));
        let generation = state.header.generation;
        let bytes =
            opened.shards[0].log_bytes(state.header.number, generation, 0..state.end).unwrap();
        assert!(bytes.len() > 8192, "both concepts are this shard's");
        (state.header, bytes.to_vec(), cut.commit)
    }

    fn check(header: SegmentHeader, bytes: &[u8], pieces: usize) -> Result<LogPlace, LogFault> {
        let mut check = LogCheck::new(header, 0, LogPlace::default());
        bytes.chunks(pieces).try_for_each(|piece| check.pass(piece))?;
        check.finish()
    }

    #[test]
    fn a_segment_passes_in_pieces_of_any_size() {
        [segment(), state()].into_iter().for_each(passes_in_pieces);
    }

    fn passes_in_pieces((header, bytes, commit): (SegmentHeader, Vec<u8>, u64)) {
        let place = check(header, &bytes, bytes.len()).unwrap();
        assert_eq!(place.commit, commit);
        for pieces in [1, 31, 4096, 5000] {
            assert_eq!(check(header, &bytes, pieces), Ok(place), "{pieces} bytes at a time");
        }
    }

    #[test]
    fn a_stretch_goes_on_where_another_has_ended() {
        let (header, bytes, commit) = segment();
        let first = header.first_commit();
        let mut begin = LogCheck::new(header, 0, LogPlace::default());
        begin.pass(&bytes[..first]).unwrap();
        let place = begin.finish().unwrap();
        let mut rest = LogCheck::new(header, first, place);
        rest.pass(&bytes[first..]).unwrap();
        assert_eq!(rest.finish().unwrap().commit, commit);
        let elsewhere = LogPlace { commit: 1, ..place };
        let mut wrong = LogCheck::new(header, first, elsewhere);
        assert_eq!(wrong.pass(&bytes[first..]).unwrap_err().offset, first as u64);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_inside_of_a_commit_is_noticed() {
        [segment(), state()].into_iter().for_each(notices_all);
    }

    fn notices_all((header, bytes, commit): (SegmentHeader, Vec<u8>, u64)) {
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(check(header, &bytes, 4096).is_err(), "byte {at}");
        }
        let whole =
            |end: usize| check(header, &bytes[..end], 4096).is_ok_and(|at| at.commit == commit);
        assert!((0..bytes.len()).all(|end| !whole(end)));
    }
}
