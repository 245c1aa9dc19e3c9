//! The log of one shard of the new store, written by the store's own writer.

use std::sync::Arc;

use sutra_wire::{AssociationRecord, Checked, ConceptKey, ConceptRecord, Payload};

use crate::StoreError;
use crate::disk::{Clock, Disk, SegmentName, SystemClock};
use crate::format::{Covered, Entry, KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL};
use crate::log::{Log, LogEnd, NewEntry, Pending, Reached, Write};
use crate::log_memory::{Location, LogMemory};
use crate::marks::Position;
use crate::namespaces::NamespaceId;
use crate::prepare::{FIRST_STEP, NoRoom, Preparation};
use crate::segment::Segment;

/// What was written.
pub(super) struct Written {
    pub(super) end: Position,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// What a log is written behind.
pub(super) struct Behind {
    /// Its first segment.
    pub(super) segment: SegmentName,
    /// What the state in front of it covers, where there is any.
    pub(super) covered: Option<Covered>,
    /// Entries and bytes of that.
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// A shard's log that is being written.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    log: Log<()>,
    memory: LogMemory,
    /// The last entry's sequence, and when it was written in the old log.
    sequence: u64,
    time: u64,
    entries: u64,
    /// Bytes of what stands in front.
    before: u64,
}

impl Writer {
    /// Makes the log's first segment.
    pub(super) fn begin(
        disk: Arc<dyn Disk>,
        store: u64,
        segment_bytes: usize,
        behind: Behind,
    ) -> Result<Self, StoreError> {
        let Behind { segment: first, covered, entries, bytes: before } = behind;
        let shard = first.shard;
        let step = FIRST_STEP.min(segment_bytes);
        let segment = Segment::create(&*disk, first, store, step, segment_bytes)?;
        let mut memory = LogMemory::default();
        memory.push(first.number, Arc::clone(segment.region()), 0);
        let block = segment.file().alignment() as usize;
        let preparation =
            Preparation::new(Arc::clone(&disk), shard, store, segment_bytes, block, None);
        let reached = covered.map(|covered| Reached {
            number: covered.commit,
            position: Position::new(first.number, segment.end()),
        });
        let end = LogEnd { shard, reached: reached.unwrap_or_default(), crc: 0 };
        let log = Log::new(end, segment, preparation);
        let sequence = covered.unwrap_or_default().sequence;
        Ok(Self { disk, log, memory, sequence, time: 0, entries, before })
    }

    /// Writes an entry as it stands, behind the others.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> Result<(), StoreError> {
        match entry.header.kind {
            KIND_CONCEPT => self.append_as::<ConceptRecord>(entry, Write::Concept),
            KIND_ASSOCIATION => self.append_as::<AssociationRecord>(entry, Write::Association),
            KIND_REMOVAL => self.append_as::<AssociationRecord>(entry, Write::Removal),
            _ => self.append_as::<ConceptKey>(entry, Write::Tombstone),
        }
    }

    fn append_as<R: Payload>(
        &mut self,
        entry: &Entry<'_>,
        write: fn(Location<R>) -> Write,
    ) -> Result<(), StoreError> {
        if entry.header.sequence <= self.sequence {
            // It can't be: nothing that follows it in the log would be taken by a start.
            return Ok(());
        }
        let record =
            Checked::<R>::new(entry.body).expect("only entries that were validated are taken");
        let header = entry.header;
        let new = NewEntry { kind: header.kind, sequence: header.sequence, time: header.time };
        loop {
            match self.log.append(&mut self.memory, &record, &new, |_| {}) {
                Ok(location) => {
                    let (namespace, sequence) = (NamespaceId::DEFAULT, header.sequence);
                    self.log.note(Pending {
                        write: write(location),
                        namespace,
                        sequence,
                        ticket: (),
                    });
                    (self.sequence, self.time) = (header.sequence, header.time);
                    self.entries += 1;
                    return Ok(());
                }
                Err(NoRoom::Ever { limit }) => {
                    let what = format!(
                        "a record of {} bytes does not fit a segment, which takes {limit}",
                        entry.body.len()
                    );
                    return Err(StoreError::Option(what));
                }
                Err(NoRoom::Yet | NoRoom::Space) => {
                    self.commit()?;
                    self.prepare()?;
                }
            }
        }
    }

    /// Writes what has gathered.
    fn commit(&mut self) -> Result<(), StoreError> {
        while let Some(commit) = self.log.next_commit(self.time) {
            self.disk.write(&commit.file, commit.offset, &commit.bytes)?;
            if let Some(mut landed) = self.log.landed(true) {
                landed.writes.clear();
                self.log.recycle(landed.writes);
            }
        }
        Ok(())
    }

    /// Makes log space ready.
    fn prepare(&mut self) -> Result<(), StoreError> {
        while let Some(job) = self.log.next_preparation(&SystemClock) {
            self.log.prepared(job.run(), SystemClock.monotonic())?;
        }
        Ok(())
    }

    /// Writes the rest; all of it is on stable storage then.
    pub(super) fn finish(mut self) -> Result<Written, StoreError> {
        self.commit()?;
        let Reached { position, .. } = self.log.finished();
        Ok(Written {
            end: position,
            entries: self.entries,
            bytes: self.before + self.memory.bytes(),
        })
    }
}
