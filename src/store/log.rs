//! The log of a shard while it is written: gathering entries into a commit, sealing it, rolling to
//! the next segment.
//!
//! One commit is in flight; behind it the next gathers in the memory of the active segment, above
//! the watermark of its region. When an entry does not fit the segment any more, what has gathered
//! is closed there. The log goes on in the spare segment, which the background thread has made
//! ready (`prepare`). Entries are copied once, into the segment. Nothing here allocates in steady
//! state.
//!
//! Bounds: a commit has at most [`MAX_COMMIT`] bytes (or one entry); at most one closed commit
//! waits behind the one in flight.

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionSlice};
use sutra_wire::{AssociationRecord, Checked, ConceptKey, ConceptRecord, Payload};

use crate::StoreError;
use crate::disk::Clock;
use crate::format::{
    COMMIT_ENTRY, CommitBody, ENTRY_HEADER, EntryHeader, KIND_COMMIT, entry_bytes,
};
use crate::log_memory::{Location, LogMemory};
use crate::marks::Position;
use crate::namespaces::NamespaceId;
use crate::outcome::Refusal;
use crate::prepare::{NoRoom, Preparation, PrepareJob, Prepared};
use crate::segment::Segment;

/// The most bytes of a commit of several entries: a disk that writes 1 GB/s has it in 8 ms, and a
/// larger write gains nothing.
pub(crate) const MAX_COMMIT: usize = 8 << 20;

/// A record in the log that is not durable yet.
pub(crate) enum Write {
    Concept(Location<ConceptRecord>),
    Association(Location<AssociationRecord>),
    Removal(Location<AssociationRecord>),
    Tombstone(Location<ConceptKey>),
}

/// A write that waits for its commit, and whom to tell.
pub(crate) struct Pending<T> {
    pub(crate) write: Write,
    pub(crate) namespace: NamespaceId,
    pub(crate) sequence: u64,
    pub(crate) ticket: T,
}

/// A commit that gathers, waits or is in flight.
struct Batch<T> {
    number: u64,
    start: usize,
    /// Where the next entry goes.
    tail: usize,
    pending: Vec<Pending<T>>,
}

impl<T> Batch<T> {
    fn new(number: u64, start: usize, pending: Vec<Pending<T>>) -> Self {
        Self { number, start, tail: start + COMMIT_ENTRY, pending }
    }
}

/// What is to be written to disk, and then told to [`crate::Shard::commit_finished`].
#[derive(Debug)]
pub struct CommitWrite {
    /// The segment's file.
    pub file: Arc<DataFile>,
    /// Where the bytes go; a multiple of the file's alignment, as their number is.
    pub offset: u64,
    /// The commit.
    pub bytes: RegionSlice,
}

/// What to write into an entry's header.
pub(crate) struct NewEntry {
    pub(crate) kind: u8,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
}

/// A commit, and where the log goes on behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    /// The commit's number, 0 for none.
    pub(crate) number: u64,
    pub(crate) position: Position,
}

/// A commit that is being written.
struct InFlight<T> {
    file: Arc<DataFile>,
    batch: Batch<T>,
    reached: Reached,
}

/// A commit that has landed: its file, its writes in order, and its end.
pub(crate) struct Landed<T> {
    pub(crate) file: Arc<DataFile>,
    pub(crate) writes: Vec<Pending<T>>,
    pub(crate) reached: Reached,
}

/// Where recovery found the end of the log.
pub(crate) struct LogEnd {
    pub(crate) shard: u16,
    /// The last commit.
    pub(crate) reached: Reached,
    /// The crc of its Commit entry.
    pub(crate) crc: u32,
}

pub(crate) struct Log<T> {
    active: Segment,
    batch: Batch<T>,
    closed: Option<(Segment, Batch<T>)>,
    in_flight: Option<InFlight<T>>,
    preparation: Preparation,
    chain: Chain,
    /// Of the commit that was finished last.
    finished: Reached,
    /// Emptied vectors of finished commits.
    recycled: Vec<Vec<Pending<T>>>,
}

impl<T> Log<T> {
    pub(crate) fn new(end: LogEnd, active: Segment, preparation: Preparation) -> Self {
        let start = active.end();
        Self {
            batch: Batch::new(end.reached.number + 1, start, Vec::new()),
            active,
            closed: None,
            in_flight: None,
            preparation,
            chain: Chain {
                shard: end.shard,
                previous: end.crc,
                before: end.crc,
                durable: end.reached.number,
            },
            finished: end.reached,
            recycled: Vec::new(),
        }
    }

    /// Appends a copy of a validated archive to the commit that gathers. `stamp` may set the times
    /// in the copy.
    /// Cost: one copy and one checksum over it.
    pub(crate) fn append<R: Payload>(
        &mut self,
        memory: &mut LogMemory,
        record: &Checked<'_, R>,
        entry: &NewEntry,
        stamp: impl FnOnce(&mut [u8]),
    ) -> Result<Location<R>, NoRoom> {
        let length = record.bytes().len();
        self.make_room(memory, entry_bytes(length))?;
        let body = self.batch.tail + ENTRY_HEADER;
        let seed = self.active.seed();
        let space = self.active.space(self.batch.tail, entry_bytes(length));
        space[ENTRY_HEADER..][..length].copy_from_slice(record.bytes());
        stamp(&mut space[ENTRY_HEADER..][..length]);
        let header = EntryHeader {
            length: u32::try_from(length).expect("it fits a segment, which is shorter than 4 GiB"),
            kind: entry.kind,
            owner: self.chain.shard,
            commit: self.batch.number as u32,
            sequence: entry.sequence,
            time: entry.time,
        };
        header.write(seed, space);
        self.batch.tail += space.len();
        // SAFETY: the archive that `record` vouches for was just copied there, with nothing but its
        // times changed (what `stamp` is for), behind headers whose lengths are multiples of 16 in
        // page-aligned memory; the watermark passes it when the commit is sealed, and until then
        // nobody else writes to the batch.
        Ok(unsafe { Location::new(self.active.number(), body, length) })
    }

    /// Notes a write that was appended, until its commit is finished.
    pub(crate) fn note(&mut self, pending: Pending<T>) {
        self.batch.pending.push(pending);
    }

    /// Sees to it that `bytes` more fit the commit that gathers, rolling to the spare segment if
    /// that helps.
    fn make_room(&mut self, memory: &mut LogMemory, bytes: usize) -> Result<(), NoRoom> {
        let end = self.batch.tail + bytes;
        if !self.batch.pending.is_empty() && end - self.batch.start > MAX_COMMIT {
            return Err(NoRoom::Yet);
        }
        let padded = self.active.padded(end);
        if self.active.is_ready_up_to(padded) {
            return Ok(());
        }
        if self.active.can_reach(padded) {
            return Err(self.preparation.want_active(padded));
        }
        let alone = COMMIT_ENTRY + bytes;
        let limit = self.preparation.largest_commit();
        if alone > limit {
            return Err(NoRoom::Ever { limit: limit - COMMIT_ENTRY - ENTRY_HEADER });
        }
        if self.closed.is_some() {
            return Err(NoRoom::Yet);
        }
        let Some(spare) = self.preparation.take_spare(alone) else {
            return Err(self.preparation.want_spare(alone));
        };
        self.roll(memory, spare);
        Ok(())
    }

    fn roll(&mut self, memory: &mut LogMemory, spare: Segment) {
        memory.push(spare.number(), Arc::clone(spare.region()), 0);
        let start = spare.end();
        let full = std::mem::replace(&mut self.active, spare);
        if self.batch.pending.is_empty() {
            self.batch =
                Batch::new(self.batch.number, start, std::mem::take(&mut self.batch.pending));
        } else {
            let next =
                Batch::new(self.batch.number + 1, start, self.recycled.pop().unwrap_or_default());
            self.closed = Some((full, std::mem::replace(&mut self.batch, next)));
        }
    }

    /// Whether there is nothing to write now.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_some() || (self.closed.is_none() && self.batch.pending.is_empty())
    }

    /// Seals the commit that is next, if none is in flight. Cost: a checksum over 64 bytes; no
    /// allocation in steady state.
    pub(crate) fn next_commit(&mut self, time: u64) -> Option<CommitWrite> {
        if self.is_idle() {
            return None;
        }
        let (write, segment, batch) = if let Some((mut segment, batch)) = self.closed.take() {
            (self.chain.seal(&mut segment, &batch, time), segment.number(), batch)
        } else {
            let start = self.active.padded(self.batch.tail);
            let next =
                Batch::new(self.batch.number + 1, start, self.recycled.pop().unwrap_or_default());
            let batch = std::mem::replace(&mut self.batch, next);
            (self.chain.seal(&mut self.active, &batch, time), self.active.number(), batch)
        };
        let end = batch.start + write.bytes.len();
        let reached = Reached { number: batch.number, position: Position::new(segment, end) };
        self.in_flight = Some(InFlight { file: Arc::clone(&write.file), batch, reached });
        Some(write)
    }

    /// The commit in flight has landed: takes it. `durable`: it is on stable storage now.
    pub(crate) fn landed(&mut self, durable: bool) -> Option<Landed<T>> {
        let InFlight { file, batch, reached } = self.in_flight.take()?;
        self.finished = reached;
        if durable {
            self.chain.durable = self.finished.number;
        }
        Some(Landed { file, writes: batch.pending, reached })
    }

    /// The disk has refused the commit in flight, or what it has of the log is not known: takes
    /// every write that has not landed, in order, as none of them will. The log goes on where it
    /// was, when what the disk may hold of that commit is overwritten.
    pub(crate) fn give_up(
        &mut self,
        error: io::Error,
        now: u64,
    ) -> impl Iterator<Item = Pending<T>> + use<T> {
        if let Some(InFlight { file, batch, reached }) = &self.in_flight {
            let range = batch.start as u64..u64::from(reached.position.offset);
            self.preparation.spoil(&mut self.active, Arc::clone(file), range, error, now);
            self.chain.previous = self.chain.before;
        }
        let number = self.batches().map(|batch| batch.number).min();
        let pending = self.take_pending();
        let number = number.expect("there is always one that gathers");
        self.batch = Batch::new(number, self.active.end(), Vec::new());
        pending
    }

    fn take_pending(&mut self) -> impl Iterator<Item = Pending<T>> + use<T> {
        let in_flight = self.in_flight.take().map(|in_flight| in_flight.batch.pending);
        let closed = self.closed.take().map(|(_, batch)| batch.pending);
        let gathering = std::mem::take(&mut self.batch.pending);
        in_flight.into_iter().chain(closed).chain([gathering]).flatten()
    }

    /// Takes back the emptied vector of a commit that has landed.
    pub(crate) fn recycle(&mut self, writes: Vec<Pending<T>>) {
        debug_assert!(writes.is_empty());
        self.recycled.push(writes);
    }

    /// Whether a commit is in flight.
    pub(crate) fn is_committing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The commit that was finished last.
    pub(crate) fn finished(&self) -> Reached {
        self.finished
    }

    /// The crc of the Commit entry that was sealed last, 0 for none.
    pub(crate) fn last_crc(&self) -> u32 {
        self.chain.previous
    }

    /// Every commit up to this one is known to be on stable storage.
    pub(crate) fn synced(&mut self, number: u64) {
        self.chain.durable = self.chain.durable.max(number);
    }

    fn batches(&self) -> impl Iterator<Item = &Batch<T>> {
        let in_flight = self.in_flight.as_ref().map(|in_flight| &in_flight.batch);
        let closed = self.closed.as_ref().map(|(_, batch)| batch);
        in_flight.into_iter().chain(closed).chain([&self.batch])
    }

    /// Writes that have not landed.
    pub(crate) fn pending(&self) -> usize {
        self.batches().map(|batch| batch.pending.len()).sum()
    }

    /// The sequence of the first write that has not landed.
    pub(crate) fn first_pending(&self) -> Option<u64> {
        self.batches().find_map(|batch| batch.pending.first()).map(|pending| pending.sequence)
    }

    /// Bytes of memory that the queues of writes hold.
    pub(crate) fn memory(&self) -> u64 {
        let used: usize = self.batches().map(|batch| batch.pending.capacity()).sum();
        let recycled: usize = self.recycled.iter().map(Vec::capacity).sum();
        ((used + recycled) * size_of::<Pending<T>>()) as u64
    }

    /// The job that makes ready what the log will need.
    pub(crate) fn next_preparation(&mut self, clock: &dyn Clock) -> Option<PrepareJob> {
        self.preparation.next_job(&mut self.active, self.batch.tail, clock)
    }

    /// That job has ended.
    pub(crate) fn prepared(&mut self, prepared: Prepared, now: u64) -> Result<(), StoreError> {
        self.preparation.ended(&mut self.active, prepared, now)
    }

    /// Whether nothing that was read at the start is yet to be written again.
    pub(crate) fn is_proven(&self) -> bool {
        self.preparation.is_proven()
    }

    /// Whether something is to be written before the log goes on.
    pub(crate) fn is_behind(&self) -> bool {
        self.preparation.is_behind()
    }

    /// Why commits that were written may be lost, which is told once.
    pub(crate) fn take_lost(&self) -> Option<io::Error> {
        self.preparation.take_lost()
    }

    /// Why log space could not be made ready, if it could not: what writes are told.
    pub(crate) fn failure(&self) -> Option<&Refusal> {
        self.preparation.failure()
    }

    /// The file that the next commit goes to.
    pub(crate) fn active_file(&self) -> &Arc<DataFile> {
        self.active.file()
    }

    /// How the active segment is written, in words.
    pub(crate) fn write_path(&self) -> String {
        self.active.file().mode().to_string()
    }
}

/// What links a commit to those before it.
struct Chain {
    shard: u16,
    /// The crc of the Commit entry that was sealed last.
    previous: u32,
    /// The crc of the one before that.
    before: u32,
    /// Every commit up to this one is on stable storage.
    durable: u64,
}

impl Chain {
    /// Fills in the Commit entry and the padding, and freezes the commit.
    fn seal<T>(&mut self, segment: &mut Segment, batch: &Batch<T>, time: u64) -> CommitWrite {
        let fits = |number: usize| u32::try_from(number).expect("a segment is shorter than 4 GiB");
        let bytes = batch.tail - batch.start;
        let (padded, seed) = (segment.padded(bytes), segment.seed());
        debug_assert_eq!(segment.end(), batch.start);
        let space = segment.space(batch.start, padded);
        space[bytes..].fill(0);
        let body = CommitBody {
            bytes: fits(bytes),
            entries: fits(batch.pending.len()),
            number: batch.number,
            durable: self.durable,
            previous: self.previous,
        };
        let body = body.encode();
        space[ENTRY_HEADER..COMMIT_ENTRY].copy_from_slice(&body);
        let header = EntryHeader {
            length: fits(body.len()),
            kind: KIND_COMMIT,
            owner: self.shard,
            commit: batch.number as u32,
            sequence: batch.pending.last().map_or(0, |pending| pending.sequence),
            time,
        };
        self.before =
            std::mem::replace(&mut self.previous, header.write(seed, &mut space[..COMMIT_ENTRY]));
        let bytes = segment.seal(batch.start + padded);
        CommitWrite { file: Arc::clone(segment.file()), offset: batch.start as u64, bytes }
    }
}
