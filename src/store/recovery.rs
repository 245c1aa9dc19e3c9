//! From the segment files to a shard: every crc checked, every archive validated, a torn tail cut, anything else refused.
//!
//! A log ends where no whole commit stands. What is there instead is a *torn tail* when it was never acknowledged: no later commit says that
//! it was on stable storage when that later one was sealed. A torn tail is overwritten with zeros on disk before anything new is
//! written, so it can't become half valid later. If a later commit does say so, the log is *damaged* and the start is refused: repair
//! is a decision for people.
//!
//! Damage to the last commit of all can't be told from a write that was interrupted, in this or any log without a second copy: it is cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_runtime::{DataFile, RegionWriter};
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptRecord, CoreLayout, Payload};

use crate::StoreError;
use crate::commit::{self, Commit, Expected, Fault};
use crate::disk::{Disk, SegmentName};
use crate::exchange::Exchange;
use crate::format::{Entry, HeaderFault, KIND_ASSOCIATION, KIND_CONCEPT, SEGMENT_HEADER, SegmentHeader, is_zero};
use crate::graph::Graph;
use crate::log::LogEnd;
use crate::namespaces::Namespaces;
use crate::prepare::FIRST_STEP;
use crate::segment::Segment;
use crate::segments::{Location, Segments};

/// What recovery found in one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Concepts and associations in the log, old versions among them.
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
    pub(crate) store: u64,
    pub(crate) layout: CoreLayout,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) segment_bytes: usize,
}

/// A recovered shard, before it serves.
pub(crate) struct Recovered {
    pub(crate) graph: Graph,
    pub(crate) segments: Segments,
    pub(crate) end: LogEnd,
    pub(crate) sequence: u64,
    pub(crate) active: Segment,
    pub(crate) spare: Option<Segment>,
    pub(crate) report: ShardReport,
}

/// A segment file in memory, nothing of it believed yet.
struct Loaded {
    name: SegmentName,
    file: Arc<DataFile>,
    writer: RegionWriter,
    /// Bytes of the file.
    bytes: usize,
    header: Result<SegmentHeader, HeaderFault>,
}

impl Loaded {
    fn rest(&mut self) -> &[u8] {
        let end = self.bytes - self.writer.frozen().min(self.bytes);
        &self.writer.writable()[..end]
    }
}

/// The sequences above this are never reached: at a billion writes a second it would take 146 years.
const MAX_SEQUENCE: u64 = 1 << 62;

struct Recovery {
    source: Source,
    exchange: Exchange,
    graph: Graph,
    segments: Segments,
    expected: Expected,
    report: ShardReport,
}

/// Recovers one shard. Blocks until those that it exchanges edges with are done too.
pub(crate) fn recover(source: Source, exchange: Exchange) -> Result<Recovered, StoreError> {
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
    fn run(mut self) -> Result<Recovered, StoreError> {
        let started = Instant::now();
        let names = self.names()?;
        // The segment that the log ends in so far, and the fault that was met there.
        let mut tail: Option<(Loaded, SegmentHeader, Fault)> = None;
        let mut beyond = Vec::new();
        for name in &names {
            let mut loaded = self.load(*name)?;
            let header = match loaded.header.clone() {
                Ok(header) => header,
                Err(_) if Some(name) == names.last() && is_half_made(&mut loaded) => {
                    beyond.push(*name);
                    break;
                }
                Err(fault) => return Err(self.header_fault(*name, &fault)),
            };
            self.check_header(*name, &header, &loaded)?;
            loaded.writer.freeze(header.first_commit());
            if let Some((before, _, fault)) = &mut tail {
                if commit::verify(loaded.rest(), header.seed(), header.block as usize, &self.expected).is_err() {
                    // The log does not go on here: then nothing later may stand here either.
                    self.check_nothing_lost(&mut loaded, &header, (before.name, before.writer.frozen(), *fault))?;
                    beyond.push(*name);
                    continue;
                }
                if !beyond.is_empty() || !is_zero(before.rest()) {
                    return Err(self.damage(before.name, before.writer.frozen(), fault));
                }
            }
            self.segments.push(Arc::clone(loaded.writer.region()), loaded.bytes);
            let fault = self.replay(&mut loaded, &header)?;
            let frozen = loaded.writer.frozen();
            self.check_nothing_lost(&mut loaded, &header, (*name, frozen, fault))?;
            tail = Some((loaded, header, fault));
        }
        let spare = self.clear(beyond, tail.as_ref().map(|(loaded, ..)| loaded.name))?;
        let active = match tail {
            Some((loaded, header, _)) => self.cut(loaded, &header)?,
            None => self.first_segment()?,
        };
        self.report.bytes = self.segments.bytes();
        self.report.elapsed = started.elapsed();
        self.exchange.finish(&mut self.graph);
        let end = LogEnd { shard: self.expected.shard, number: self.expected.number - 1, crc: self.expected.previous };
        Ok(Recovered {
            graph: self.graph,
            segments: self.segments,
            end,
            sequence: self.expected.sequence,
            active,
            spare,
            report: self.report,
        })
    }

    /// The shard's segments in order, none missing.
    fn names(&self) -> Result<Vec<SegmentName>, StoreError> {
        let shard = self.source.shard;
        let files = self.source.disk.list(shard)?.unwrap_or_default();
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            match SegmentName::parse(shard, &file) {
                Some(name) => names.push(name),
                None => tracing::warn!(shard, file, "ignoring a file that is not the store's"),
            }
        }
        names.sort_unstable();
        let expected = (0..).map(|number| SegmentName { shard, number });
        let found = expected
            .zip(names.iter().copied().map(Some).chain([None]))
            .find(|(expected, name)| *name != Some(*expected));
        match found {
            Some((missing, Some(_))) => Err(missing_segment(self.path(missing))),
            Some((missing, None)) if missing.number == 0 => Err(missing_segment(self.path(missing))),
            _ => Ok(names),
        }
    }

    fn path(&self, name: SegmentName) -> PathBuf {
        self.source.disk.folder().join(name.to_string())
    }

    fn damaged(&self, name: SegmentName, offset: usize, what: impl Into<String>) -> StoreError {
        StoreError::Damage { file: self.path(name), offset: offset as u64, what: what.into() }
    }

    fn damage(&self, name: SegmentName, commit: usize, fault: &Fault) -> StoreError {
        self.damaged(name, commit + fault.at, fault.what)
    }

    fn header_fault(&self, name: SegmentName, fault: &HeaderFault) -> StoreError {
        match fault {
            HeaderFault::Invalid(what) => self.damaged(name, 0, *what),
            HeaderFault::Format(version) => {
                StoreError::Version { file: self.path(name), what: format!("its format is {version}") }
            }
        }
    }

    /// Reads a segment into the memory that will serve it. What is read may not be on the disk yet, so it is synced first.
    fn load(&self, name: SegmentName) -> Result<Loaded, StoreError> {
        let disk = &*self.source.disk;
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
        Err(self.damaged(name, 0, what))
    }

    /// Applies every commit from the watermark on, and moves it behind them; returns why there are no more.
    fn replay(&mut self, loaded: &mut Loaded, header: &SegmentHeader) -> Result<Fault, StoreError> {
        loop {
            let start = loaded.writer.frozen();
            let commit = match commit::verify(loaded.rest(), header.seed(), header.block as usize, &self.expected) {
                Ok(commit) => commit,
                Err(fault) if fault.certain => return Err(self.damage(loaded.name, start, &fault)),
                Err(fault) => return Ok(fault),
            };
            if commit.sequence >= MAX_SEQUENCE {
                return Err(self.damaged(loaded.name, start, "its sequences can't be that high"));
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
                let namespace = self.namespace(name, at, &record.namespace)?;
                self.check_owner(name, at, &ConceptId(record.id))?;
                // SAFETY: `validated` accepted exactly these bytes, which lie at a multiple of 16 of this segment and below
                // its watermark.
                let location = unsafe { Location::new(name.number, at, body.len()) };
                self.graph.learn(namespace, &record, location, header.sequence);
            }
            KIND_ASSOCIATION => {
                let record = self.validated::<AssociationRecord>(name, at, body)?;
                let namespace = self.namespace(name, at, &record.namespace)?;
                self.check_owner(name, at, &ConceptId(record.source))?;
                let edge = self.graph.associate(namespace, &record, header.sequence);
                match self.source.layout.owner(&edge.target) {
                    owner if owner == self.source.shard => self.graph.apply_in_edge(&edge),
                    owner => self.exchange.tell(usize::from(owner), edge),
                }
            }
            kind => {
                let what = format!("it has an entry of kind {kind} at byte {offset}, which this version does not know");
                return Err(StoreError::Version { file: self.path(name), what });
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
        Checked::new(body).map_err(|error| self.damaged(name, at, format!("an entry's record is not valid: {error}")))
    }

    fn namespace(&self, name: SegmentName, at: usize, namespace: &str) -> Result<crate::NamespaceId, StoreError> {
        let number = self.source.namespaces.lookup(namespace);
        number.ok_or_else(|| self.damaged(name, at, format!("the manifest does not name the namespace {namespace:?}")))
    }

    fn check_owner(&self, name: SegmentName, at: usize, id: &ConceptId) -> Result<(), StoreError> {
        match self.source.layout.owner(id) {
            owner if owner == self.source.shard => Ok(()),
            owner => Err(self.damaged(name, at, format!("this record belongs to shard {owner}"))),
        }
    }

    /// Refuses the log if the rest of a segment proves that the commit which `fault` stands in place of was durable once.
    fn check_nothing_lost(
        &self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
        (name, commit, fault): (SegmentName, usize, Fault),
    ) -> Result<(), StoreError> {
        let start = loaded.writer.frozen();
        let proof = commit::proof_of_loss(loaded.rest(), header.seed(), header.block as usize, self.expected.number);
        let Some(proof) = proof else { return Ok(()) };
        let what = format!(
            "{}; a later commit, at byte {} of {}, shows that it was whole once",
            fault.what,
            start + proof,
            loaded.name
        );
        Err(self.damaged(name, commit + fault.at, what))
    }
}

fn missing_segment(file: PathBuf) -> StoreError {
    StoreError::Damage { file, offset: 0, what: "the file is missing".to_owned() }
}

/// Whether a segment is one that was being made when the server was stopped: nothing follows its header.
fn is_half_made(loaded: &mut Loaded) -> bool {
    let bytes = loaded.bytes;
    let rest = &loaded.writer.writable()[SEGMENT_HEADER.min(bytes)..bytes];
    is_zero(rest)
}

/// Making the end of the log fit to be written on.
impl Recovery {
    /// Removes the segments behind the log's end; the first of them stays as the spare if it is fit for that.
    fn clear(&self, beyond: Vec<SegmentName>, tail: Option<SegmentName>) -> Result<Option<Segment>, StoreError> {
        let disk = &*self.source.disk;
        let mut spare = None;
        // From the end, so that after a crash in between none is missing in the middle.
        for name in beyond.into_iter().rev() {
            if tail.is_some_and(|tail| tail.number + 1 == name.number) {
                spare = self.spare(name)?;
            }
            if spare.is_none() {
                tracing::warn!(file = %self.path(name).display(), "removing a segment that holds nothing acknowledged");
                disk.remove(name)?;
                disk.sync_shard(name.shard)?;
            }
        }
        Ok(spare)
    }

    /// The segment as the spare, if it is empty and such as would be made now.
    fn spare(&self, name: SegmentName) -> Result<Option<Segment>, StoreError> {
        let mut loaded = self.load(name)?;
        let (Ok(header), block) = (loaded.header.clone(), loaded.file.alignment()) else { return Ok(None) };
        let first = header.first_commit();
        if header.block != block || header.capacity < self.source.segment_bytes as u64 || loaded.bytes < first {
            return Ok(None);
        }
        let prepared = loaded.bytes - loaded.bytes % block as usize;
        if !is_zero(&loaded.writer.writable()[first..prepared]) {
            return Ok(None);
        }
        // Memory of its own: that into which it was read is in use to its end.
        let capacity = usize::try_from(header.capacity).expect("loading checked it");
        let mut writer = RegionWriter::new(capacity)?;
        writer.writable()[..SEGMENT_HEADER].copy_from_slice(&loaded.writer.writable()[..SEGMENT_HEADER]);
        writer.freeze(first);
        Ok(Some(segment(name, loaded.file, writer, &header, prepared, capacity)))
    }

    /// Overwrites what stands behind the last commit, and makes the segment the active one.
    fn cut(&mut self, mut loaded: Loaded, header: &SegmentHeader) -> Result<Segment, StoreError> {
        let block = header.block as usize;
        let end = loaded.writer.frozen();
        let torn = loaded.rest().iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if torn > 0 {
            let path = self.path(loaded.name);
            tracing::warn!(file = %path.display(), offset = end, bytes = torn, "cutting a torn tail: it was never acknowledged");
            self.source.disk.zero_fill(&loaded.file, end as u64..(end + torn.next_multiple_of(block)) as u64)?;
            self.report.cut = torn as u64;
        }
        let filled = loaded.bytes.max(end + torn.next_multiple_of(block));
        let capacity = usize::try_from(header.capacity).expect("loading checked it").min(loaded.writer.len());
        // Where the file now asks for larger blocks than it did, nothing more can be put into this segment.
        let capacity = if loaded.file.alignment() > header.block { end } else { capacity - capacity % block };
        let prepared = (filled - filled % block).clamp(end, capacity.max(end));
        Ok(segment(loaded.name, loaded.file, loaded.writer, header, prepared, capacity))
    }

    /// A shard whose first segment was only half made.
    fn first_segment(&mut self) -> Result<Segment, StoreError> {
        let active = create_first(&*self.source.disk, self.source.shard, self.source.store, self.source.segment_bytes)?;
        self.segments.push(Arc::clone(active.writer.region()), 0);
        Ok(active)
    }
}

/// Makes a shard's first segment.
pub(crate) fn create_first(
    disk: &dyn Disk,
    shard: u16,
    store: u64,
    segment_bytes: usize,
) -> Result<Segment, StoreError> {
    let name = SegmentName { shard, number: 0 };
    Ok(Segment::create(disk, name, store, FIRST_STEP.min(segment_bytes), segment_bytes)?)
}

fn segment(
    name: SegmentName,
    file: Arc<DataFile>,
    writer: RegionWriter,
    header: &SegmentHeader,
    prepared: usize,
    capacity: usize,
) -> Segment {
    Segment { number: name.number, file, writer, seed: header.seed(), block: header.block as usize, prepared, capacity }
}
