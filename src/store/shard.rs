//! A shard: what one core keeps. It knows no sockets and does no I/O: it says what to write, and is
//! told how that went.
//!
//! A write goes into the log's memory when it is accepted, becomes visible and is acknowledged when
//! its commit has landed, and not before. `T` is whatever the caller needs to find back to whom to
//! tell.
//!
//! The caller's part: after a round of writes take [`Shard::next_commit`], write it, and report to
//! [`Shard::commit_finished`]; run what [`Shard::work`] gives on a background thread and bring back
//! the result; tell [`Shard::observe`] of sequences seen elsewhere; pass each in-edge to its
//! target's shard.

mod search;

use std::io;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionSlice, is_out_of_space};
use sutra_wire::{
    ArchivedAssociationRecord, AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, Direction, Neighbor,
    Payload,
};

use crate::disk::Clock;
use crate::format::{KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE};
use crate::graph::{EdgeKey, Graph, InEdge, NeighborQuery};
use crate::log::{CommitWrite, Landed, Log, NewEntry, Pending, Reached, Write};
use crate::marks::Progress;
use crate::namespaces::NamespaceId;
use crate::open_manifest::{MarkJob, Marked, OpenManifest};
use crate::outcome::{Acknowledged, Effect, Refusal};
use crate::prepare::{NoRoom, Preparation, PrepareJob, Prepared};
use crate::recovery::ShardReport;
use crate::segments::{Location, Segments};
use crate::settle::Recovered;
use crate::vectors::Vectors;
use crate::walk::{NodeNumber, Step, Walk};
use crate::{ShardStats, StoreError};

/// One core's part of a store.
pub struct Shard<T> {
    log: Log<T>,
    segments: Segments,
    graph: Graph,
    vectors: Vectors,
    clock: Arc<dyn Clock>,
    /// Whether writes are acknowledged before they are on stable storage.
    relaxed: bool,
    last_sequence: u64,
    failed: Option<Arc<str>>,
    /// What has become of the folder, while it is not what it was.
    lost: Option<Arc<str>>,
    written: u64,
    commits: u64,
    /// Files with commits that no sync has covered.
    unsynced: Vec<Arc<DataFile>>,
    /// The commit up to which the last [`Shard::next_sync`] covers.
    syncing: Reached,
    /// Where the marks are kept, and this shard's number there.
    manifest: Arc<OpenManifest>,
    number: u16,
    /// The last commit of segments that are full, where it is to be marked.
    full: Option<Reached>,
    /// Whether a [`MarkJob`] is under way.
    marking: bool,
}

impl<T> Shard<T> {
    pub(crate) fn new(
        recovered: Recovered,
        vectors: Vectors,
        preparation: Preparation,
        manifest: Arc<OpenManifest>,
        clock: Arc<dyn Clock>,
        relaxed: bool,
    ) -> (Self, ShardReport) {
        let Recovered { graph, segments, end, sequence, active, report, .. } = recovered;
        let (syncing, number) = (end.reached, end.shard);
        let shard = Self {
            log: Log::new(end, active, preparation),
            segments,
            graph,
            vectors,
            clock,
            relaxed,
            last_sequence: sequence,
            failed: None,
            lost: None,
            written: 0,
            commits: 0,
            unsynced: Vec::new(),
            syncing,
            manifest,
            number,
            full: None,
            marking: false,
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
            0 => self.record(namespace, &ConceptId(record.id)).map_or(now, |previous| previous.created.to_native()),
            created => created,
        };
        let updated = or(record.updated.to_native(), now);
        let stamp = |copy: &mut [u8]| record.write_times(copy, created, updated);
        let logged = self.log_write(KIND_CONCEPT, now, &record, stamp, Write::Concept, namespace, ticket);
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
            0 => self.association_record(namespace, &record).map_or(now, |previous| previous.created.to_native()),
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
        let Some(stored) = self.association(namespace, source, target, Some(kind)) else { return Ok(None) };
        let record = Checked::<AssociationRecord>::new(&stored).expect("the log holds what was validated");
        let now = self.clock.now();
        self.log_write(KIND_REMOVAL, now, &record, |_| {}, Write::Removal, namespace, ticket).map(Some)
    }

    /// Accepts a concept's deletion; its associations are to be removed before
    /// ([`Shard::dissociate`]), at both ends. Returns its sequence.
    /// Cost: one copy of the key into the log.
    pub fn delete(&mut self, key: Checked<'_, ConceptKey>, namespace: NamespaceId, ticket: T) -> Result<u64, Refusal> {
        self.check()?;
        let now = self.clock.now();
        self.log_write(KIND_TOMBSTONE, now, &key, |_| {}, Write::Tombstone, namespace, ticket)
    }

    /// Appends an entry to the commit that gathers. `stamp` may set the times in its copy.
    #[expect(clippy::too_many_arguments, reason = "all that an entry is made of, in one place for every kind")]
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
            .append(&mut self.segments, record, &entry, stamp)
            .map_err(|no_room| self.refusal(no_room, record.bytes().len()))?;
        self.last_sequence = sequence;
        self.log.note(Pending { write: write(location), namespace, sequence, ticket });
        Ok(sequence)
    }

    fn check(&self) -> Result<(), Refusal> {
        match (&self.failed, &self.lost) {
            (None, None) => Ok(()),
            (Some(reason), _) => Err(Refusal::Failed { reason: Arc::clone(reason) }),
            (None, Some(reason)) => Err(Refusal::Lost { reason: Arc::clone(reason) }),
        }
    }

    fn check_dimension(&mut self, namespace: NamespaceId, numbers: usize) -> Result<(), Refusal> {
        let got = u32::try_from(numbers).expect("the wire takes at most 65,536");
        self.vectors.accept(namespace, got).map_err(|expected| Refusal::Dimension { expected, got })
    }

    fn refusal(&self, no_room: NoRoom, length: usize) -> Refusal {
        match (no_room, self.log.space_failure()) {
            (NoRoom::Space, Some(failure)) => Refusal::Full { reason: Arc::clone(&failure.reason) },
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
    /// tickets. After an error all writes that have not landed are refused, and ever after, but
    /// where the disk had no space: then until [`Shard::work`] has found some.
    pub fn commit_finished(&mut self, result: io::Result<()>, mut acknowledge: impl FnMut(Acknowledged<T>)) {
        match result {
            Err(error) if self.failed.is_none() && is_out_of_space(&error) => {
                // What the log is written to was filled with zeros; a filesystem that writes
                // nothing in place (btrfs) wants space all the same.
                let reason: Arc<str> =
                    StoreError::from(io::Error::new(error.kind(), error.to_string())).to_string().into();
                for Pending { ticket, sequence, .. } in self.log.out_of_space(error, self.clock.monotonic()) {
                    let effect = Err(Refusal::Full { reason: Arc::clone(&reason) });
                    acknowledge(Acknowledged { ticket, sequence, effect });
                }
                return;
            }
            Err(error) => self.fail(&error),
            Ok(()) => {}
        }
        if let Some(reason) = &self.failed {
            for Pending { ticket, sequence, .. } in self.log.give_up() {
                let effect = Err(Refusal::Failed { reason: Arc::clone(reason) });
                acknowledge(Acknowledged { ticket, sequence, effect });
            }
            self.vectors.give_up();
            return;
        }
        let before = self.log.finished();
        let Some(Landed { file, mut batch, reached }) = self.log.landed(!self.relaxed) else { return };
        if before.number > 0 && before.position.segment < reached.position.segment {
            self.full = Some(before);
        }
        self.progress().set_landed(reached.position);
        if !self.relaxed {
            self.progress().set_durable(reached.position);
        }
        self.commits += 1;
        self.written += batch.pending.len() as u64;
        for Pending { write, namespace, sequence, ticket } in batch.pending.drain(..) {
            let effect = Ok(self.apply(&write, namespace, sequence));
            acknowledge(Acknowledged { ticket, sequence, effect });
        }
        self.log.recycle(batch);
        if self.relaxed && self.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, &file)) {
            self.unsynced.push(file);
        }
    }

    fn apply(&mut self, write: &Write, namespace: NamespaceId, sequence: u64) -> Effect {
        const SEALED: &str = "sealing the commit moved the watermark behind its entries";
        match *write {
            Write::Concept(location) => {
                let record = self.segments.record(location).expect(SEALED);
                let id = ConceptId(record.id);
                let table = &self.graph.table;
                let previous = table.location(namespace, &id).and_then(|location| self.segments.record(location));
                self.graph.learn(namespace, &record, location, sequence);
                if (!record.embedding.is_empty() || previous.is_some_and(|previous| !previous.embedding.is_empty()))
                    && let Some(node) = self.graph.table.find(namespace, &id)
                {
                    self.vectors.learned(namespace, node, &record, previous);
                }
                if !record.embedding.is_empty() {
                    self.vectors.landed(namespace);
                }
                Effect::Concept
            }
            Write::Association(location) => {
                let record = self.segments.record(location).expect(SEALED);
                Effect::Association(self.graph.associate(namespace, &record, location, sequence))
            }
            Write::Removal(location) => {
                let record = self.segments.record(location).expect(SEALED);
                let (edge, was_there) = self.graph.dissociate(namespace, &record, location, sequence);
                Effect::Removal(edge, was_there)
            }
            Write::Tombstone(location) => {
                let key = self.segments.record(location).expect(SEALED);
                let id = ConceptId(key.id);
                if let Some(node) = self.graph.table.find(namespace, &id) {
                    self.vectors.deleted(namespace, node);
                }
                Effect::Deleted(self.graph.delete(namespace, &id, sequence))
            }
        }
    }

    /// The log can't be trusted any more (a sync failed): refuses writes from now on. Those that
    /// wait get their refusal with the next [`Shard::commit_finished`].
    pub fn fail(&mut self, error: &io::Error) {
        self.failed.get_or_insert_with(|| error.to_string().into());
        self.progress().give_up_unsynced();
    }

    /// What a [`crate::LookJob`] has found: while the folder, or something in it, is not what it
    /// was, no further writes are taken.
    pub fn set_lost(&mut self, what: Option<Arc<str>>) {
        self.lost = what;
    }

    fn progress(&self) -> &Progress {
        self.manifest.progress(self.number)
    }

    /// A concept's stored archive. Cost: one table lookup, one count on the segment; no copy.
    pub fn concept(&self, namespace: NamespaceId, id: &ConceptId) -> Option<RegionSlice> {
        self.segments.slice(self.graph.table.location(namespace, id)?)
    }

    /// A concept's record, read in place. Cost: one table lookup.
    pub fn record(&self, namespace: NamespaceId, id: &ConceptId) -> Option<Checked<'_, ConceptRecord>> {
        self.segments.record(self.graph.table.location(namespace, id)?)
    }

    /// The stored archive of an association whose source belongs to this shard: of this kind, or of
    /// the lowest that there is between the two.
    /// Cost: three or four probes, without a kind one look at each association between the two; one
    /// count on the segment; no copy.
    pub fn association(
        &self,
        namespace: NamespaceId,
        source: &ConceptId,
        target: &ConceptId,
        kind: Option<u32>,
    ) -> Option<RegionSlice> {
        self.segments.slice(self.graph.association(namespace, source, target, kind)?)
    }

    /// Appends the ids of a namespace's concepts to `out`, at most `limit`; returns where to go on
    /// (0 is the beginning), `None` at the end. Concepts that are there throughout come exactly
    /// once. A call looks at a bounded number of concepts, so it may return fewer than asked for,
    /// even none.
    pub fn concepts(&self, namespace: NamespaceId, from: u32, limit: u32, out: &mut Vec<[u8; 16]>) -> Option<u32> {
        self.graph.concepts(namespace, from, limit, out)
    }

    /// The visible version of an association, read in place.
    fn association_record(
        &self,
        namespace: NamespaceId,
        of: &ArchivedAssociationRecord,
    ) -> Option<Checked<'_, AssociationRecord>> {
        let (source, target) = (ConceptId(of.source), ConceptId(of.target));
        self.segments.record(self.graph.association(namespace, &source, &target, Some(of.kind.to_native()))?)
    }

    /// Appends a concept's neighbours to `out`; returns the cursor to go on with, 0 at the end.
    /// Edges that are there throughout come exactly once; ones that are added meanwhile may be
    /// missed. A call looks at a bounded number of edges, so it may return fewer than asked for,
    /// even none, and a cursor.
    pub fn neighbors(&self, query: &NeighborQuery<'_>, out: &mut Vec<Neighbor>) -> u64 {
        self.graph.neighbors(query, out)
    }

    /// Whether anything is known of a concept that belongs to this shard: that it is learned, or
    /// that an association leads from it or to it. Cost: one probe.
    pub fn knows(&self, namespace: NamespaceId, id: &ConceptId) -> bool {
        self.graph.knows(namespace, id)
    }

    /// How many ids the shard has heard of: the numbers of its nodes are those below.
    pub fn nodes(&self) -> NodeNumber {
        u32::try_from(self.graph.table.len()).expect("nodes are numbered by 32 bits")
    }

    /// The node of an id, if the shard has heard of it. Cost: one hash, one probe.
    pub fn node(&self, namespace: NamespaceId, id: &ConceptId) -> Option<NodeNumber> {
        self.graph.table.find(namespace, id)
    }

    /// The id of a node, which must be one of this shard's.
    pub fn node_id(&self, node: NodeNumber) -> ConceptId {
        self.graph.table.node(node).id
    }

    /// Puts a node's associations of this direction into a walk; `from` is what steps will call it.
    /// Only nodes of concepts that belong to this shard have all of theirs.
    pub fn begin_walk(&self, walk: &mut Walk, from: u32, node: NodeNumber, direction: Direction) {
        self.graph.begin_walk(walk, from, node, direction);
    }

    /// Goes on with a walk until it is over or about `limit` associations were looked at (and no
    /// more than as many again as the walk has nodes, twice): appends those of the wanted kinds,
    /// all where none is named.
    pub fn continue_walk(&self, walk: &mut Walk, kinds: &[u32], limit: usize, out: &mut Vec<Step>) {
        self.graph.continue_walk(walk, kinds, limit, out);
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

    /// Background work to run, if there is any: log space ahead of the tail. One job at a time; its
    /// end goes to [`Shard::prepared`].
    pub fn work(&mut self) -> Option<PrepareJob> {
        self.log.work(&*self.clock)
    }

    /// The end of background work. After an error [`Shard::work`] gives it again, about a second
    /// later.
    pub fn prepared(&mut self, prepared: Prepared) -> Result<(), StoreError> {
        self.log.prepared(prepared, self.clock.monotonic())
    }

    /// Background work to run when the log has gone on in a new segment: what closed the old one is
    /// made durable, where it is not, and marked in the manifest. One job at a time; its end goes
    /// to [`Shard::marked`].
    pub fn next_mark(&mut self) -> Option<MarkJob> {
        if self.marking || self.failed.is_some() {
            return None;
        }
        let Reached { number, position } = self.full.take()?;
        self.marking = true;
        Some(MarkJob { manifest: Arc::clone(&self.manifest), shard: self.number, position, number })
    }

    /// The end of a [`MarkJob`].
    pub fn marked(&mut self, marked: Marked) {
        self.marking = false;
        match marked.outcome {
            Ok(number) if self.failed.is_none() => self.log.synced(number),
            Ok(_) => {}
            Err(error) => self.fail(&io::Error::other(error)),
        }
    }

    /// The files to be synced so that all commits finished so far are on stable storage; none where
    /// commits are durable when they land. To be called only when the syncs of the last call have
    /// ended; if one failed, [`Shard::fail`] comes first.
    pub fn next_sync(&mut self) -> Vec<Arc<DataFile>> {
        if self.failed.is_none() {
            self.log.synced(self.syncing.number);
            self.progress().set_durable(self.syncing.position);
        }
        self.syncing = self.log.finished();
        std::mem::take(&mut self.unsynced)
    }

    /// Whether writes are taken, or why they are refused.
    pub fn health(&self) -> Result<(), Refusal> {
        self.check()?;
        match self.log.space_failure() {
            Some(failure) => Err(Refusal::Full { reason: Arc::clone(&failure.reason) }),
            None => Ok(()),
        }
    }

    /// How the log reaches the disk, in words.
    pub fn write_path(&self) -> String {
        self.log.write_path()
    }

    /// What the shard has and has done.
    pub fn stats(&self) -> ShardStats {
        let (vectors_indexed, vectors_tail, vector_memory) = self.vectors.stats();
        ShardStats {
            concepts: self.graph.table.concepts(),
            associations: self.graph.associations(),
            vectors: self.graph.table.vectors(),
            vectors_indexed,
            vectors_tail,
            written: self.written,
            pending: self.pending() as u64,
            commits: self.commits,
            log_bytes: self.segments.bytes(),
            segments: self.segments.count() as u64,
            segment_memory: self.segments.memory(),
            table_memory: self.graph.memory() + self.log.memory(),
            vector_memory,
        }
    }
}

fn or(time: u64, now: u64) -> u64 {
    if time == 0 { now } else { time }
}
