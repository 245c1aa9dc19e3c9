//! A shard: what one core keeps. It knows no sockets and does no I/O: it says what to write, and is
//! told how that went.
//!
//! A write goes into the log's memory when it is accepted, becomes visible and is acknowledged when
//! its commit has landed, and not before. `T` is the caller's note of whom to tell.
//!
//! The caller writes what [`Shard::next_commit`] gives after a round of writes, and reports to
//! [`Shard::commit_finished`]. It runs the jobs of [`Shard::next_preparation`] and
//! [`Shard::next_mark`] on a background thread and brings back their ends. It tells
//! [`Shard::observe`] of sequences seen elsewhere, and passes each in-edge to its target's shard.

mod apply;
mod cut;
mod marking;
mod reads;
mod search;

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, is_out_of_space};
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, Payload};

pub use self::cut::NoCut;
use self::marking::{Known, Marking};
pub use self::marking::{MarkJob, Marked};
use crate::disk::Clock;
use crate::format::{KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE};
use crate::graph::{EdgeKey, Graph, InEdge};
use crate::keeper::Keeper;
use crate::log::{CommitWrite, Landed, Log, NewEntry, Pending, Write};
use crate::log_memory::{Location, LogMemory};
use crate::namespaces::NamespaceId;
use crate::outcome::{Acknowledged, Refusal};
use crate::prepare::{NoRoom, Preparation, PrepareJob, Prepared};
use crate::recovery::{Recovered, ShardReport};
use crate::vectors::Vectors;
use crate::{ShardStats, StoreError};

/// How long after a failure what a failed sync covered is written again, in µs.
const REPAIR_AFTER: u64 = 900_000;

/// A failed sync.
struct Failed {
    /// What the operating system said last.
    reason: Arc<str>,
    /// When it is tried to write what it covered again, by the monotonic clock.
    retry_at: u64,
}

/// One core's part of a store.
pub struct Shard<T> {
    log: Log<T>,
    memory: LogMemory,
    graph: Graph,
    vectors: Vectors,
    clock: Arc<dyn Clock>,
    last_sequence: u64,
    /// A sync failed, and what it covered is not written again yet.
    failed: Option<Failed>,
    /// What has become of the folder, while it is not what it was.
    lost: Option<Arc<str>>,
    /// Whether it takes no writes, as was asked for.
    is_read_only: bool,
    written: u64,
    commits: u64,
    marking: Marking,
}

impl<T> Shard<T> {
    pub(crate) fn new(
        recovered: Recovered,
        vectors: Vectors,
        preparation: Preparation,
        keeper: Arc<Keeper>,
        clock: Arc<dyn Clock>,
        relaxed: bool,
    ) -> (Self, ShardReport) {
        let Recovered { graph, mut memory, end, durable, sequence, active, report, .. } = recovered;
        memory.settle();
        let marking = Marking::new(keeper, end.shard, end.reached, durable, relaxed, &memory);
        let shard = Self {
            log: Log::new(end, active, preparation),
            memory,
            graph,
            vectors,
            clock,
            last_sequence: sequence,
            failed: None,
            lost: None,
            is_read_only: false,
            written: 0,
            commits: 0,
            marking,
        };
        (shard, report)
    }

    /// Accepts a concept. Times that are 0 become now, and `created` that of the version it
    /// replaces, if one is visible. The first embedding of a namespace fixes the length of all.
    /// Returns its sequence. Cost: one copy of the archive into the log, one checksum over it, one
    /// table lookup; no allocation in steady state.
    pub fn learn(
        &mut self,
        record: Checked<'_, ConceptRecord>,
        namespace: NamespaceId,
        ticket: T,
    ) -> Result<u64, Refusal> {
        self.check()?;
        let has_embedding = !record.embedding.is_empty();
        if has_embedding {
            self.check_dimension(namespace, record.embedding.len())?;
        }
        let now = self.clock.now();
        let created = match record.created.to_native() {
            0 => self
                .record(namespace, &ConceptId(record.id))
                .map_or(now, |previous| previous.created.to_native()),
            created => created,
        };
        let updated = or(record.updated.to_native(), now);
        let stamp = |copy: &mut [u8]| record.write_times(copy, created, updated);
        let logged =
            self.log_write(KIND_CONCEPT, now, &record, stamp, Write::Concept, namespace, ticket);
        if has_embedding && logged.is_err() {
            self.vectors.landed(namespace);
        }
        logged
    }

    /// Accepts an association. Times that are 0 become now, and `created` that of the version it
    /// replaces, if one is visible. Returns its sequence. Cost: as [`Shard::learn`], with three
    /// probes in place of the lookup.
    pub fn associate(
        &mut self,
        record: Checked<'_, AssociationRecord>,
        namespace: NamespaceId,
        ticket: T,
    ) -> Result<u64, Refusal> {
        self.check()?;
        let now = self.clock.now();
        let created = match record.created.to_native() {
            0 => self
                .association_record(namespace, &record)
                .map_or(now, |previous| previous.created.to_native()),
            created => created,
        };
        let updated = or(record.updated.to_native(), now);
        let stamp = |copy: &mut [u8]| record.write_times(copy, created, updated);
        self.log_write(KIND_ASSOCIATION, now, &record, stamp, Write::Association, namespace, ticket)
    }

    /// Accepts the removal of an association whose source belongs to this shard. `None`, and
    /// nothing is to be done, where it is not visible.
    /// Cost: three or four probes, one validation and one copy of its record into the log.
    pub fn dissociate(&mut self, key: &EdgeKey, ticket: T) -> Result<Option<u64>, Refusal> {
        self.check()?;
        let &EdgeKey { namespace, ref source, ref target, kind } = key;
        let Some(stored) = self.association(namespace, source, target, Some(kind)) else {
            return Ok(None);
        };
        let record =
            Checked::<AssociationRecord>::new(&stored).expect("the log holds what was validated");
        let now = self.clock.now();
        self.log_write(KIND_REMOVAL, now, &record, |_| {}, Write::Removal, namespace, ticket)
            .map(Some)
    }

    /// Accepts a concept's deletion; its associations are to be removed before
    /// ([`Shard::dissociate`]), at both ends. Returns its sequence.
    /// Cost: one copy of the key into the log.
    pub fn delete(
        &mut self,
        key: Checked<'_, ConceptKey>,
        namespace: NamespaceId,
        ticket: T,
    ) -> Result<u64, Refusal> {
        self.check()?;
        let now = self.clock.now();
        self.log_write(KIND_TOMBSTONE, now, &key, |_| {}, Write::Tombstone, namespace, ticket)
    }

    /// Appends an entry to the commit that gathers. `stamp` may set the times in its copy.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that an entry is made of, in one place for every kind"
    )]
    fn log_write<R: Payload>(
        &mut self,
        kind: u8,
        time: u64,
        record: &Checked<'_, R>,
        stamp: impl FnOnce(&mut [u8]),
        write: fn(Location<R>) -> Write,
        namespace: NamespaceId,
        ticket: T,
    ) -> Result<u64, Refusal> {
        let sequence = self.last_sequence + 1;
        let entry = NewEntry { kind, sequence, time };
        let location = self
            .log
            .append(&mut self.memory, record, &entry, stamp)
            .map_err(|no_room| self.refusal(no_room, record.bytes().len()))?;
        self.last_sequence = sequence;
        self.log.note(Pending { write: write(location), namespace, sequence, ticket });
        Ok(sequence)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.is_read_only { Err(Refusal::ReadOnly) } else { self.check_log() }
    }

    /// Whether the log can be written.
    fn check_log(&self) -> Result<(), Refusal> {
        match (&self.failed, &self.lost) {
            (None, None) => Ok(()),
            (Some(Failed { reason, .. }), _) => Err(Refusal::Failed { reason: Arc::clone(reason) }),
            (None, Some(reason)) => Err(Refusal::Lost { reason: Arc::clone(reason) }),
        }
    }

    fn check_dimension(&mut self, namespace: NamespaceId, numbers: usize) -> Result<(), Refusal> {
        let got = u32::try_from(numbers).expect("the wire takes at most 65,536");
        self.vectors.accept(namespace, got).map_err(|expected| Refusal::Dimension { expected, got })
    }

    fn refusal(&self, no_room: NoRoom, length: usize) -> Refusal {
        match (no_room, self.log.failure()) {
            (NoRoom::Space, Some(refusal)) => refusal.clone(),
            (NoRoom::Ever { limit }, _) => Refusal::TooLarge { length, limit },
            (NoRoom::Yet | NoRoom::Space, _) => Refusal::Stalled,
        }
    }

    /// What is to be written now; `None` while a commit is in flight or nothing has gathered. Cost:
    /// some 100 bytes filled in; no allocation in steady state.
    pub fn next_commit(&mut self) -> Option<CommitWrite> {
        if self.log.is_idle() {
            return None;
        }
        self.log.next_commit(self.clock.now())
    }

    /// The commit in flight has landed: makes its writes visible, in order, and hands back their
    /// tickets. After an error all writes that have not landed are refused, and so are all that
    /// follow, until a job of [`Shard::next_preparation`] has overwritten what the disk may hold of
    /// them.
    pub fn commit_finished(
        &mut self,
        result: io::Result<()>,
        mut acknowledge: impl FnMut(Acknowledged<T>),
    ) {
        self.check_lost();
        if let Some((refusal, error)) = self.refused(result) {
            for Pending { ticket, sequence, .. } in self.log.give_up(error, self.clock.monotonic())
            {
                acknowledge(Acknowledged { ticket, sequence, effect: Err(refusal.clone()) });
            }
            self.vectors.give_up();
            return;
        }
        let before = self.log.finished();
        let Some(Landed { file, mut writes, reached }) =
            self.log.landed(self.marking.is_durable_at_once())
        else {
            return;
        };
        self.marking.landed(before, reached, file);
        self.memory.note_landed(reached.position);
        self.commits += 1;
        self.written += writes.len() as u64;
        for Pending { write, namespace, sequence, ticket } in writes.drain(..) {
            let effect = Ok(self.apply(&write, namespace, sequence));
            acknowledge(Acknowledged { ticket, sequence, effect });
        }
        self.log.recycle(writes);
    }

    /// Why a commit that ended like this does not count, and what the disk said.
    fn refused(&self, result: io::Result<()>) -> Option<(Refusal, io::Error)> {
        match (result, &self.failed) {
            (Ok(()), None) => None,
            // It stands behind what may not be there.
            (Ok(()), Some(Failed { reason, .. })) => {
                let refusal = Refusal::Failed { reason: Arc::clone(reason) };
                Some((refusal, io::Error::other(reason.to_string())))
            }
            (Err(error), _) => {
                let reason = StoreError::from(io::Error::new(error.kind(), error.to_string()));
                let reason = reason.to_string().into();
                // What the log is written to was filled with zeros; a filesystem that writes
                // nothing in place (btrfs) wants space all the same.
                let refusal = match is_out_of_space(&error) {
                    true => Refusal::Full { reason },
                    false => Refusal::Failed { reason },
                };
                Some((refusal, error))
            }
        }
    }

    /// A sync of what was acknowledged failed: refuses writes until a job of [`Shard::next_mark`]
    /// has written that again. Those that wait get their refusal with the next
    /// [`Shard::commit_finished`].
    pub fn fail(&mut self, error: &io::Error) {
        let retry_at = self.clock.monotonic().saturating_add(REPAIR_AFTER);
        self.failed = Some(Failed { reason: error.to_string().into(), retry_at });
        self.marking.failed();
    }

    /// A job's sync may have failed, and commits be lost, before the shard hears of its end.
    fn check_lost(&mut self) {
        let what = match (self.log.take_lost(), self.marking.take_lost()) {
            (Some(error), _) => format!("a sync failed while log space was made ready: {error}"),
            (None, Some(error)) => format!("a sync of a full segment failed: {error}"),
            (None, None) => return,
        };
        self.fail(&io::Error::other(what));
    }

    /// What a [`crate::LookJob`] has found: while the folder, or something in it, is not what it
    /// was, no further writes are taken.
    pub fn set_lost(&mut self, what: Option<Arc<str>>) {
        self.lost = what;
    }

    /// From here on it takes no writes, and has nothing written.
    pub(crate) fn set_read_only(&mut self) {
        self.is_read_only = true;
    }

    /// Learns of an association, or its removal, whose target belongs to this shard, from the shard
    /// of its source. Again or late changes nothing.
    pub fn apply_in_edge(&mut self, edge: InEdge) {
        self.observe(edge.sequence);
        self.graph.apply_in_edge(&edge);
    }

    /// A sequence was seen elsewhere: those given from now on are higher (Lamport 1978).
    pub fn observe(&mut self, sequence: u64) {
        self.last_sequence = self.last_sequence.max(sequence);
    }

    /// The highest sequence given or seen.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Every write of this shard up to this sequence has landed.
    pub fn committed_sequence(&self) -> u64 {
        self.log.first_pending().map_or(self.last_sequence, |first| first - 1)
    }

    /// Writes accepted and not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.log.pending()
    }

    /// The next job that makes log space ready ahead of the tail, if there is one. One runs at a
    /// time; its end goes to [`Shard::prepared`].
    pub fn next_preparation(&mut self) -> Option<PrepareJob> {
        if self.is_read_only {
            return None;
        }
        self.log.next_preparation(&*self.clock)
    }

    /// The end of such a job. After an error [`Shard::next_preparation`] gives it again, about a
    /// second later.
    pub fn prepared(&mut self, prepared: Prepared) -> Result<(), StoreError> {
        let prepared = self.log.prepared(prepared, self.clock.monotonic());
        self.check_lost();
        let finished = self.log.finished();
        if prepared.is_ok() && !self.log.is_behind() && self.marking.caught_up(finished) {
            self.log.synced(finished.number);
        }
        prepared
    }

    /// The next job for a full segment, if there is one. The end of that segment is made durable,
    /// where it is not, and then marked in the manifest. After a failed sync it is the job that
    /// writes again what was not durable; after an error it comes again, about a second later. One
    /// job runs at a time; its end goes to [`Shard::marked`].
    pub fn next_mark(&mut self) -> Option<MarkJob> {
        let Some(Failed { retry_at, .. }) = &self.failed else { return self.marking.next_mark() };
        let is_due = self.log.pending() == 0 && self.clock.monotonic() >= *retry_at;
        let (finished, active) = (self.log.finished(), Arc::clone(self.log.active_file()));
        is_due.then(|| self.marking.next_repair(&self.memory, finished, active)).flatten()
    }

    /// The end of a [`MarkJob`].
    pub fn marked(&mut self, marked: Marked) {
        self.check_lost();
        match self.marking.marked(marked) {
            Ok(Known::Durable(number)) => self.log.synced(number),
            Ok(Known::WrittenAgain(number)) => {
                self.failed = None;
                self.log.synced(number);
            }
            Ok(Known::Nothing) => {}
            Err(error) => self.fail(&io::Error::other(error)),
        }
    }

    /// The files to be synced so that all commits finished so far are on stable storage; none where
    /// commits are durable when they land, or where syncs prove nothing ([`Shard::is_proven`]). To
    /// be called only when the syncs of the last call have ended ([`Shard::syncs_ended`]).
    pub fn next_sync(&mut self) -> Vec<Arc<DataFile>> {
        self.syncs_ended();
        if !self.is_proven() {
            return Vec::new();
        }
        self.marking.next_sync(self.log.finished())
    }

    /// The syncs of the last [`Shard::next_sync`] have ended; if one failed, [`Shard::fail`] comes
    /// first.
    pub fn syncs_ended(&mut self) {
        self.check_lost();
        match self.failed {
            None => self.log.synced(self.marking.synced()),
            Some(_) => self.marking.syncs_failed(),
        }
    }

    /// Whether writes are taken, or why they are refused.
    pub fn health(&self) -> Result<(), Refusal> {
        self.check_log()?;
        self.log.failure().map_or(Ok(()), |refusal| Err(refusal.clone()))
    }

    /// How the log reaches the disk, in words.
    pub fn write_path(&self) -> String {
        if self.is_read_only {
            return "read-only".to_owned();
        }
        self.log.write_path()
    }

    /// What the shard has and has done.
    pub fn stats(&self) -> ShardStats {
        let (vectors_indexed, vectors_tail, vector_memory) = self.vectors.stats();
        ShardStats {
            concepts: self.graph.table().concepts(),
            associations: self.graph.associations(),
            vectors: self.graph.table().vectors(),
            vectors_indexed,
            vectors_tail,
            written: self.written,
            pending: self.pending() as u64,
            commits: self.commits,
            log_bytes: self.memory.bytes(),
            segments: self.memory.count() as u64,
            segment_memory: self.memory.memory(),
            table_memory: self.graph.memory() + self.log.memory(),
            vector_memory,
        }
    }
}

fn or(time: u64, now: u64) -> u64 {
    if time == 0 { now } else { time }
}
