//! From the segment files to a shard: every crc checked, every archive validated, damage refused.
//!
//! A log ends where no whole commit stands. What is there instead is a *torn tail* when it was
//! never acknowledged: no later commit says that it was on stable storage when that later one was
//! sealed. If a later commit does say so, the log is *damaged* and the start is refused: repair is
//! a decision for people. Reading changes nothing on the disk; a torn tail is cut afterwards
//! (`settle`).
//!
//! The manifest's mark says up to where a shard's log was whole once: anything that does not stand
//! before it is damage, too. Behind it, damage to the last commit of all can't be told from a write
//! that was interrupted, in this or any log without a second copy: it is cut.
//!
//! The log may have passed over a segment, as its first commit found no space: it holds nothing,
//! and the commits around it chain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{DataFile, RegionWriter};
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, CoreLayout, Payload};

use crate::StoreError;
use crate::commit::{self, Commit, Expected, Fault};
use crate::disk::{CheckpointName, Disk, SegmentName};
use crate::exchange::Exchange;
use crate::format::{
    Entry, EntryHeader, HeaderFault, KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE, SEGMENT_HEADER,
    SegmentHeader, is_zero,
};
use crate::graph::Graph;
use crate::marks::Position;
use crate::namespaces::{NamespaceId, Namespaces};
use crate::segments::{Location, Segments};

/// A shard whose log was read, and not changed yet.
pub(crate) struct Replayed {
    pub(crate) source: Source,
    pub(crate) graph: Graph,
    pub(crate) segments: Segments,
    /// What the next commit will look like.
    pub(crate) expected: Expected,
    pub(crate) report: ShardReport,
    /// The segment that the log ends in.
    pub(crate) tail: Loaded,
    pub(crate) header: SegmentHeader,
    /// Segments behind it, in order: none belongs to the log.
    pub(crate) beyond: Vec<SegmentName>,
}

/// What recovery found in one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Entries of the log: concepts, associations and their removals, old versions among them.
    pub entries: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Bytes of a torn tail that were cut.
    pub cut: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a shard is recovered from and with.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shard: u16,
    /// The log must be whole up to here.
    pub(crate) mark: Position,
    pub(crate) store: u64,
    pub(crate) layout: CoreLayout,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) segment_bytes: usize,
}

impl Source {
    pub(crate) fn path(&self, name: SegmentName) -> PathBuf {
        self.disk.folder().join(name.to_string())
    }

    fn damaged(&self, name: SegmentName, offset: usize, what: impl Into<String>) -> StoreError {
        StoreError::Damage { file: self.path(name), offset: offset as u64, what: what.into() }
    }

    /// Reads a segment into the memory that will serve it. What is read may not be on the disk yet,
    /// so it is synced first.
    pub(crate) fn load(&self, name: SegmentName) -> Result<Loaded, StoreError> {
        let disk = &*self.disk;
        let file = disk.open(name)?;
        disk.sync(&file)?;
        let length = disk.len(&file)?;
        let bytes = usize::try_from(length).ok().filter(|bytes| u32::try_from(*bytes).is_ok());
        let bytes = bytes.ok_or_else(|| self.damaged(name, 0, format!("a segment can't be {length} bytes long")))?;
        // The header says how long the segment may become; until then a block is enough.
        let mut block = [0; SEGMENT_HEADER];
        let first = bytes.min(SEGMENT_HEADER);
        disk.read(&file, 0, &mut block[..first])?;
        let header = SegmentHeader::decode(&block[..first]);
        let capacity = header.as_ref().map_or(0, |header| header.capacity);
        let capacity = usize::try_from(capacity).ok().filter(|capacity| u32::try_from(*capacity).is_ok());
        let capacity = capacity.ok_or_else(|| self.damaged(name, 0, "the segment's size makes no sense"))?;
        let mut writer = RegionWriter::new(capacity.max(bytes).max(SEGMENT_HEADER))?;
        disk.read(&file, 0, &mut writer.writable()[..bytes])?;
        Ok(Loaded { name, file, writer, bytes, header })
    }
}

/// A segment file in memory, nothing of it believed yet.
pub(crate) struct Loaded {
    pub(crate) name: SegmentName,
    pub(crate) file: Arc<DataFile>,
    pub(crate) writer: RegionWriter,
    /// Bytes of the file.
    pub(crate) bytes: usize,
    pub(crate) header: Result<SegmentHeader, HeaderFault>,
}

impl Loaded {
    /// What the file holds above the watermark.
    pub(crate) fn rest(&mut self) -> &[u8] {
        let end = self.bytes - self.writer.frozen().min(self.bytes);
        &self.writer.writable()[..end]
    }
}

/// A segment behind the end of the log.
struct Beyond {
    name: SegmentName,
    /// What was read of it, where it holds nothing but its header.
    empty: Option<Loaded>,
}

/// The sequences above this are never reached: at a billion writes a second it would take 146
/// years.
const MAX_SEQUENCE: u64 = 1 << 62;

struct Recovery {
    source: Source,
    exchange: Exchange,
    graph: Graph,
    segments: Segments,
    expected: Expected,
    report: ShardReport,
}

/// Reads one shard back. Blocks until those that it exchanges edges with are done too. Changes
/// nothing on the disk: that is for [`Replayed::settle`], when all of them are known to be whole.
pub(crate) fn recover(source: Source, exchange: Exchange) -> Result<Replayed, StoreError> {
    let expected = Expected { shard: source.shard, number: 1, previous: 0, sequence: 0 };
    let recovery = Recovery {
        source,
        exchange,
        graph: Graph::default(),
        segments: Segments::default(),
        expected,
        report: ShardReport::default(),
    };
    recovery.run()
}

impl Recovery {
    fn run(mut self) -> Result<Replayed, StoreError> {
        let started = Instant::now();
        let names = self.names()?;
        // The segment that the log ends in so far, and the fault that was met there.
        let mut tail: Option<(Loaded, SegmentHeader, Fault)> = None;
        // Segments behind it in which the log has not gone on so far, and why it may not end before
        // them.
        let mut beyond: Vec<Beyond> = Vec::new();
        let mut short = None;
        for name in &names {
            let mut loaded = self.source.load(*name)?;
            let header = match loaded.header.clone() {
                Ok(header) => header,
                // A store's first segments were durable before its manifest: they are never half
                // made.
                Err(_)
                    if name.number > self.source.mark.segment
                        && Some(name) == names.last()
                        && is_half_made(&mut loaded) =>
                {
                    beyond.push(Beyond { name: *name, empty: None });
                    break;
                }
                Err(fault) => return Err(self.header_fault(*name, &fault)),
            };
            self.check_header(*name, &header, &loaded)?;
            loaded.writer.freeze(header.first_commit());
            if let Some((before, _, fault)) = &mut tail {
                if let Err(here) = self.verify(&mut loaded, &header) {
                    // The log does not go on here: then nothing later may stand here either.
                    if let Some(proof) = self.proof_of_loss(&mut loaded, &header) {
                        let start = loaded.writer.frozen();
                        // Where a later commit opens this segment, or something broken closes the
                        // one before, the lost one stood there.
                        let (name, commit, fault) = match proof == start || !is_zero(before.rest()) {
                            true => (before.name, before.writer.frozen(), *fault),
                            false => (*name, start, here),
                        };
                        return Err(self.lost(name, commit, &fault, loaded.name, proof));
                    }
                    if here.certain {
                        return Err(self.damage(*name, loaded.writer.frozen(), &here));
                    }
                    if name.number <= self.source.mark.segment && short.is_none() {
                        // What was marked closed the segment before, or opens this one.
                        short = Some(match is_zero(before.rest()) {
                            true => self.short_of_mark(*name, loaded.writer.frozen(), &here),
                            false => self.short_of_mark(before.name, before.writer.frozen(), fault),
                        });
                    }
                    let used = used(loaded.rest());
                    self.report.cut += used as u64;
                    beyond.push(Beyond { name: *name, empty: (used == 0).then_some(loaded) });
                    continue;
                }
                if !is_zero(before.rest()) || beyond.iter().any(|segment| segment.empty.is_none()) {
                    return Err(self.damage(before.name, before.writer.frozen(), fault));
                }
                // The log passed over them, as their first commit found no space.
                for passed in beyond.drain(..).filter_map(|segment| segment.empty) {
                    self.segments.push(Arc::clone(passed.writer.region()), passed.bytes);
                }
                short = None;
            }
            self.segments.push(Arc::clone(loaded.writer.region()), loaded.bytes);
            let fault = self.replay(&mut loaded, &header)?;
            if let Some(proof) = self.proof_of_loss(&mut loaded, &header) {
                return Err(self.lost(*name, loaded.writer.frozen(), &fault, *name, proof));
            }
            let end = loaded.writer.frozen();
            if name.number == self.source.mark.segment && end < self.source.mark.offset as usize {
                return Err(self.short_of_mark(*name, end, &fault));
            }
            tail = Some((loaded, header, fault));
        }
        if let Some(error) = short {
            return Err(error);
        }
        let (tail, header, _) = tail.expect("the first segment is there, and was read or refused");
        let beyond = beyond.into_iter().map(|segment| segment.name).collect();
        let Self { source, exchange, mut graph, segments, expected, mut report } = self;
        report.bytes = segments.bytes();
        report.elapsed = started.elapsed();
        exchange.finish(&mut graph);
        Ok(Replayed { source, graph, segments, expected, report, tail, header, beyond })
    }

    /// The shard's segments in order, none missing.
    fn names(&self) -> Result<Vec<SegmentName>, StoreError> {
        let shard = self.source.shard;
        let files = self.source.disk.list(shard)?.unwrap_or_default();
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            match SegmentName::parse(shard, &file) {
                Some(name) => names.push(name),
                None if CheckpointName::is_one(&file) => {}
                None => tracing::warn!(shard, file, "ignoring a file that is not the store's"),
            }
        }
        names.sort_unstable();
        let expected = (0..).map(|number| SegmentName { shard, number });
        let found = expected
            .zip(names.iter().copied().map(Some).chain([None]))
            .find(|(expected, name)| *name != Some(*expected));
        match found {
            // One in the middle, or one that the log had reached.
            Some((missing, later)) if later.is_some() || missing.number <= self.source.mark.segment => {
                Err(StoreError::Missing { file: self.source.path(missing) })
            }
            _ => Ok(names),
        }
    }

    fn damage(&self, name: SegmentName, commit: usize, fault: &Fault) -> StoreError {
        self.source.damaged(name, commit + fault.at, fault.what)
    }

    fn header_fault(&self, name: SegmentName, fault: &HeaderFault) -> StoreError {
        match fault {
            HeaderFault::Invalid(what) => self.source.damaged(name, 0, *what),
            HeaderFault::Format(version) => {
                StoreError::Version { file: self.source.path(name), what: format!("its format is {version}") }
            }
        }
    }

    fn check_header(&self, name: SegmentName, header: &SegmentHeader, loaded: &Loaded) -> Result<(), StoreError> {
        let what = if (header.number, header.shard) != (name.number, name.shard) {
            format!("this is segment {} of shard {}, under another's name", header.number, header.shard)
        } else if header.store != self.source.store {
            "this segment belongs to another store".to_owned()
        } else if loaded.bytes as u64 > header.capacity {
            format!("the file has {} bytes, its segment {}", loaded.bytes, header.capacity)
        } else if loaded.bytes < header.first_commit() {
            "the file ends before its first commit".to_owned()
        } else {
            return Ok(());
        };
        Err(self.source.damaged(name, 0, what))
    }

    /// Applies every commit from the watermark on, and moves it behind them; returns why there are
    /// no more.
    fn replay(&mut self, loaded: &mut Loaded, header: &SegmentHeader) -> Result<Fault, StoreError> {
        loop {
            let start = loaded.writer.frozen();
            let commit = match self.verify(loaded, header) {
                Ok(commit) => commit,
                Err(fault) if fault.certain => return Err(self.damage(loaded.name, start, &fault)),
                Err(fault) => return Ok(fault),
            };
            if commit.sequence >= MAX_SEQUENCE {
                return Err(self.source.damaged(loaded.name, start, "its sequences can't be that high"));
            }
            loaded.writer.freeze(start + commit.padded);
            let region = Arc::clone(loaded.writer.region());
            let whole = region.bytes(start..start + commit.padded).expect("the watermark was just moved behind it");
            for (at, entry) in commit::entries(whole, &commit) {
                self.apply(loaded.name, start + at, &entry)?;
            }
            self.passed(&commit);
            self.exchange.take_in(&mut self.graph);
        }
    }

    fn passed(&mut self, commit: &Commit) {
        self.expected.number += 1;
        self.expected.previous = commit.crc;
        self.expected.sequence = commit.sequence;
        self.report.entries += u64::from(commit.body.entries);
    }

    fn apply(&mut self, name: SegmentName, offset: usize, entry: &Entry<'_>) -> Result<(), StoreError> {
        let (header, body) = (&entry.header, entry.body);
        let at = offset + crate::format::ENTRY_HEADER;
        match header.kind {
            KIND_CONCEPT => {
                let record = self.validated::<ConceptRecord>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &record.namespace)? else { return Ok(()) };
                self.check_owner(name, at, &ConceptId(record.id))?;
                // SAFETY: `validated` accepted exactly these bytes, which lie at a multiple of 16
                // of this segment and below its watermark.
                let location = unsafe { Location::new(name.number, at, body.len()) };
                self.graph.learn(namespace, &record, location, header.sequence);
            }
            KIND_ASSOCIATION | KIND_REMOVAL => {
                let record = self.validated::<AssociationRecord>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &record.namespace)? else { return Ok(()) };
                self.check_owner(name, at, &ConceptId(record.source))?;
                // SAFETY: as for a concept.
                let location = unsafe { Location::new(name.number, at, body.len()) };
                let edge = match header.kind {
                    KIND_REMOVAL => self.graph.dissociate(namespace, &record, location, header.sequence).0,
                    _ => self.graph.associate(namespace, &record, location, header.sequence),
                };
                match self.source.layout.owner(&edge.key.target) {
                    owner if owner == self.source.shard => self.graph.apply_in_edge(&edge),
                    owner => self.exchange.tell(usize::from(owner), edge),
                }
            }
            KIND_TOMBSTONE => {
                let key = self.validated::<ConceptKey>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &key.namespace)? else { return Ok(()) };
                self.check_owner(name, at, &ConceptId(key.id))?;
                self.graph.delete(namespace, &ConceptId(key.id), header.sequence);
            }
            kind => {
                let what = format!("it has an entry of kind {kind} at byte {offset}, which this version does not know");
                return Err(StoreError::Version { file: self.source.path(name), what });
            }
        }
        Ok(())
    }

    fn validated<'a, R: Payload>(
        &self,
        name: SegmentName,
        at: usize,
        body: &'a [u8],
    ) -> Result<Checked<'a, R>, StoreError> {
        Checked::new(body)
            .map_err(|error| self.source.damaged(name, at, format!("an entry's record is not valid: {error}")))
    }

    /// The number of an entry's namespace; `None` where that one gave its place back after the
    /// entry was written.
    fn namespace(
        &self,
        name: SegmentName,
        at: usize,
        header: &EntryHeader,
        namespace: &str,
    ) -> Result<Option<NamespaceId>, StoreError> {
        let namespaces = &self.source.namespaces;
        match namespaces.lookup(namespace) {
            None if !namespaces.is_given_back(header.sequence) => {
                let what = format!("the manifest does not name the namespace {namespace:?}");
                Err(self.source.damaged(name, at, what))
            }
            number => Ok(number),
        }
    }

    fn check_owner(&self, name: SegmentName, at: usize, id: &ConceptId) -> Result<(), StoreError> {
        match self.source.layout.owner(id) {
            owner if owner == self.source.shard => Ok(()),
            owner => Err(self.source.damaged(name, at, format!("this record belongs to shard {owner}"))),
        }
    }

    /// Whether the commit that comes next stands at the watermark.
    fn verify(&self, loaded: &mut Loaded, header: &SegmentHeader) -> Result<Commit, Fault> {
        commit::verify(loaded.rest(), header.seed(), header.block as usize, &self.expected)
    }

    /// Where behind the watermark a commit proves that the one that comes next was durable once.
    fn proof_of_loss(&self, loaded: &mut Loaded, header: &SegmentHeader) -> Option<usize> {
        let start = loaded.writer.frozen();
        let proof = commit::proof_of_loss(loaded.rest(), header.seed(), header.block as usize, self.expected.number);
        proof.map(|proof| start + proof)
    }

    /// The log ends before the place up to which it was whole once.
    fn short_of_mark(&self, name: SegmentName, commit: usize, fault: &Fault) -> StoreError {
        let Position { segment, offset } = self.source.mark;
        let marked = SegmentName { number: segment, ..name };
        let what =
            format!("{}; the manifest says that the log was whole once up to byte {offset} of {marked}", fault.what);
        self.source.damaged(name, commit + fault.at, what)
    }

    /// A commit that was durable once does not stand whole where it should.
    fn lost(&self, name: SegmentName, commit: usize, fault: &Fault, later: SegmentName, proof: usize) -> StoreError {
        let what = format!("{}; a later commit, at byte {proof} of {later}, shows that it was whole once", fault.what);
        self.source.damaged(name, commit + fault.at, what)
    }
}

/// Bytes up to the last one that is not zero.
pub(crate) fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Whether a segment is one that was being made when the server was stopped: nothing follows its
/// header.
fn is_half_made(loaded: &mut Loaded) -> bool {
    let bytes = loaded.bytes;
    let rest = &loaded.writer.writable()[SEGMENT_HEADER.min(bytes)..bytes];
    is_zero(rest)
}
