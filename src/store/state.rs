//! Segments of state, as they are written: entries of another log, or of several, as they stood.
//!
//! Nothing that a store consists of is written to: whoever has them written names them in the
//! manifest when all are there. Until a segment's header is written, which is last, its file is no
//! segment. Everything here blocks on the disk.

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionWriter};

use crate::disk::{Disk, SegmentName};
use crate::format::{
    COMMIT_ENTRY, CommitBody, Covered, ENTRY_HEADER, Entry, EntryHeader, KIND_COMMIT,
    SEGMENT_HEADER, SegmentHeader, entry_bytes,
};

/// The most bytes of a commit of several entries: what is written at a time.
const COMMIT_BYTES: usize = 4 << 20;

/// Writes one shard's state.
pub(crate) struct StateWriter<'a> {
    disk: &'a dyn Disk,
    store: u64,
    /// How large a segment becomes, unless one entry is longer.
    segment_bytes: usize,
    covered: Covered,
    /// The segment that is next.
    next: SegmentName,
    open: Option<Open>,
    entries: u64,
    bytes: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateEnd {
    /// The segment behind it.
    pub(crate) next: SegmentName,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The segment that is being written.
struct Open {
    file: Arc<DataFile>,
    writer: RegionWriter,
    /// Its header, but for its capacity, which is known at its end.
    header: SegmentHeader,
    /// The number of the commit that gathers, its start, where its next entry goes, and how many
    /// it has.
    number: u64,
    start: usize,
    tail: usize,
    entries: u32,
    /// The sequence and the time of its last entry.
    last: (u64, u64),
    /// The crc of the Commit entry before.
    previous: u32,
}

impl<'a> StateWriter<'a> {
    /// Begins with the segment `next`, whose shard's folder is there.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        store: u64,
        segment_bytes: usize,
        covered: Covered,
        next: SegmentName,
    ) -> Self {
        Self { disk, store, segment_bytes, covered, next, open: None, entries: 0, bytes: 0 }
    }

    /// Writes an entry as it stands: its sequence, its time and its body.
    pub(crate) fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| !open.has_room(entry.bytes())) {
            self.end_segment()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(
                self.disk,
                self.next,
                self.store,
                self.segment_bytes,
                entry.bytes(),
            )?),
        };
        if open.entries > 0 && open.tail + entry.bytes() - open.start > COMMIT_BYTES {
            open.end_commit(self.disk)?;
        }
        open.append(entry);
        self.entries += 1;
        Ok(())
    }

    /// Writes the rest. There is a segment then even where there is no entry: it says what the
    /// state covers.
    pub(crate) fn finish(mut self) -> io::Result<StateEnd> {
        if self.open.is_none() && self.entries == 0 {
            self.open = Some(Open::new(self.disk, self.next, self.store, self.segment_bytes, 0)?);
        }
        self.end_segment()?;
        Ok(StateEnd { next: self.next, entries: self.entries, bytes: self.bytes })
    }

    fn end_segment(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.end_commit(self.disk)?;
        self.bytes += open.end(self.disk, self.covered)? as u64;
        self.next = SegmentName { number: self.next.number + 1, ..self.next };
        Ok(())
    }
}

impl Open {
    /// Makes the file of a segment with room for an entry of so many bytes.
    fn new(
        disk: &dyn Disk,
        name: SegmentName,
        store: u64,
        segment_bytes: usize,
        entry: usize,
    ) -> io::Result<Self> {
        let file = disk.create(name)?;
        disk.sync_shard(name.shard)?;
        let header = SegmentHeader {
            block: file.alignment(),
            store,
            generation: disk.random(),
            number: name.number,
            shard: name.shard,
            capacity: 0,
        };
        let start = header.first_commit();
        let least = start + COMMIT_ENTRY + entry;
        let block = header.block as usize;
        let writer = RegionWriter::new(segment_bytes.max(least).next_multiple_of(block))?;
        let tail = start + COMMIT_ENTRY;
        let (number, previous) = (1, 0);
        Ok(Self { file, writer, header, number, start, tail, entries: 0, last: (0, 0), previous })
    }

    /// Whether an entry of so many bytes fits behind the others.
    fn has_room(&self, bytes: usize) -> bool {
        // As if it opened a commit of its own.
        let start = self.tail.next_multiple_of(self.header.block as usize);
        start + COMMIT_ENTRY + bytes <= self.writer.len()
    }

    fn space(&mut self, at: usize) -> &mut [u8] {
        let frozen = self.writer.frozen();
        &mut self.writer.writable()[at - frozen..]
    }

    fn append(&mut self, entry: &Entry<'_>) {
        let seed = self.header.seed();
        let header =
            EntryHeader { owner: self.header.shard, commit: self.number as u32, ..entry.header };
        let at = self.tail;
        let space = &mut self.space(at)[..entry.bytes()];
        space[ENTRY_HEADER..][..entry.body.len()].copy_from_slice(entry.body);
        header.write(seed, space);
        self.tail += entry_bytes(entry.body.len());
        self.last = (entry.header.sequence, entry.header.time);
        self.entries += 1;
    }

    /// Writes the commit that gathers, if anything has.
    fn end_commit(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.entries == 0 {
            return Ok(());
        }
        let (start, bytes, seed) = (self.start, self.tail - self.start, self.header.seed());
        let padded = bytes.next_multiple_of(self.header.block as usize);
        let fits = |number: usize| u32::try_from(number).expect("a segment is shorter than 4 GiB");
        let body = CommitBody {
            bytes: fits(bytes),
            entries: self.entries,
            number: self.number,
            durable: self.number - 1,
            previous: self.previous,
        };
        let body = body.encode();
        let header = EntryHeader {
            length: fits(body.len()),
            kind: KIND_COMMIT,
            owner: self.header.shard,
            commit: self.number as u32,
            sequence: self.last.0,
            time: self.last.1,
        };
        let file = Arc::clone(&self.file);
        let space = &mut self.space(start)[..padded];
        space[bytes..].fill(0);
        space[ENTRY_HEADER..COMMIT_ENTRY].copy_from_slice(&body);
        let previous = header.write(seed, &mut space[..COMMIT_ENTRY]);
        disk.write(&file, start as u64, space)?;
        self.previous = previous;
        self.number += 1;
        self.start += padded;
        self.tail = self.start + COMMIT_ENTRY;
        self.entries = 0;
        Ok(())
    }

    /// Writes the header, and makes all of it durable. Returns its length.
    fn end(&mut self, disk: &dyn Disk, covered: Covered) -> io::Result<usize> {
        let (end, first) = (self.start, self.header.first_commit());
        let header = SegmentHeader { capacity: end as u64, ..self.header };
        let file = Arc::clone(&self.file);
        let space = &mut self.space(0)[..first];
        space.fill(0);
        space[..SEGMENT_HEADER].copy_from_slice(&header.encode_state(covered));
        disk.write(&file, 0, space)?;
        disk.sync(&file)?;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use sutra_wire::Durability;

    use super::*;
    use crate::file_disk::FileDisk;
    use crate::format::KIND_CONCEPT;
    use crate::{LogCheck, LogPlace};

    const SEGMENT: usize = 64 << 10;

    /// Writes entries of such bodies, and reads them back: their bodies' lengths, sequences and
    /// times, in order, and where the log goes on.
    fn written(lengths: &[usize], covered: Covered) -> (Vec<(usize, u64, u64)>, LogPlace) {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let disk = FileDisk::open(folder.path(), Durability::Always, "").unwrap();
        disk.create_shard(3).unwrap();
        let first = SegmentName { shard: 3, number: 9 };
        let mut writer = StateWriter::new(&disk, 77, SEGMENT, covered, first);
        let body = vec![0xa5; lengths.iter().copied().max().unwrap_or(0)];
        for (number, length) in (0_u64..).zip(lengths) {
            let header = EntryHeader {
                length: *length as u32,
                kind: KIND_CONCEPT,
                owner: 0,
                commit: 5,
                // In no order.
                sequence: covered.sequence - number * 7 % 11,
                time: 1_000_000 + number,
            };
            writer.append(&Entry { header, body: &body[..*length], crc: 0 }).unwrap();
        }
        let end = writer.finish().unwrap();
        assert_eq!((end.entries, end.next.shard), (lengths.len() as u64, 3));
        let (mut found, mut place) = (Vec::new(), LogPlace::default());
        for number in 9..end.next.number {
            let file = disk.open(SegmentName { number, ..first }).unwrap();
            let mut bytes = vec![0; disk.len(&file).unwrap() as usize];
            disk.read(&file, 0, &mut bytes).unwrap();
            let header = SegmentHeader::decode(&bytes).unwrap();
            assert_eq!((header.number, header.capacity), (number, bytes.len() as u64));
            assert_eq!(SegmentHeader::covered(&bytes), Some(covered));
            let mut check = LogCheck::new(header, 0, place);
            check.pass(&bytes).unwrap();
            place = check.finish().unwrap();
            let mut at = header.first_commit();
            while at < bytes.len() {
                let entry = Entry::parse(header.seed(), &bytes[at..]).unwrap();
                at += entry.bytes();
                match CommitBody::of(&entry) {
                    Some(_) => {}
                    None => {
                        let EntryHeader { sequence, time, .. } = entry.header;
                        found.push((entry.body.len(), sequence, time));
                    }
                }
                // What pads a commit is zero, which no entry begins with.
                while at < bytes.len() && bytes[at..at + 16].iter().all(|byte| *byte == 0) {
                    at += 16;
                }
            }
        }
        (found, place)
    }

    #[test]
    fn state_without_entries_says_what_it_covers() {
        let covered = Covered { commit: 4, sequence: 50 };
        let (found, place) = written(&[], covered);
        assert_eq!((found.len(), place.commit, place.crc32c, place.sequence), (0, 4, 0, 50));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn entries_of_any_length_are_read_as_they_were_written(
            lengths in prop::collection::vec(
                prop_oneof![1_usize..200, 1_usize..9_000, 60_000_usize..200_000],
                0..60,
            )
        ) {
            let covered = Covered { commit: 1 << 40, sequence: 1 << 50 };
            let (found, place) = written(&lengths, covered);
            let expected: Vec<_> = (0_u64..).zip(&lengths).map(|(number, length)| {
                (*length, covered.sequence - number * 7 % 11, 1_000_000 + number)
            }).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!((place.commit, place.sequence), (1 << 40, 1 << 50));
        }
    }
}
