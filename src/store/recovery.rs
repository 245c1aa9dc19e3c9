//! From the segment files to a shard: every crc checked, every archive validated, damage refused.
//!
//! A log ends where no whole commit stands. What is there instead is a *torn tail* when it was
//! never acknowledged: no later commit says that it was on stable storage when that later one was
//! sealed. If a later commit does say so, the log is *damaged* and the start is refused: repair is
//! a decision for people. Reading changes nothing on the disk; a torn tail is cut afterwards
//! (`settle`).
//!
//! The manifest's mark says up to where a shard's log was whole once. Whatever is missing before it
//! is damage, too. Behind the mark, damage to the last commit of all can't be told from a write
//! that was interrupted, and it is cut. Any log without a second copy has this limit.
//!
//! The log may have passed over a segment, as the first commit in it found no space. Such a segment
//! holds nothing, and the commits around it chain.

mod ahead;
mod as_it_is;
mod load;
mod replay;
mod settle;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sutra_runtime::{DataFile, RegionWriter};
use sutra_wire::CoreLayout;

pub(crate) use self::as_it_is::recover_salvaged;
pub(crate) use self::replay::MAX_SEQUENCE;
pub(crate) use self::settle::{Recovered, Uncut, Unwritten};
use crate::StoreError;
use crate::commit::{self, Commit, Expected, Fault};
use crate::disk::{CheckpointName, Clock, Disk, SegmentName};
use crate::exchange::{Exchange, Rest};
use crate::format::{HeaderFault, SegmentHeader, is_zero};
use crate::graph::Graph;
use crate::log_memory::LogMemory;
use crate::marks::Position;
use crate::namespaces::Namespaces;
use crate::vectors::Vectors;

/// A shard whose log was read, and not changed yet.
pub(crate) struct Replayed {
    source: Source,
    /// In-edges that other shards have found.
    rest: Option<Rest>,
    graph: Graph,
    memory: LogMemory,
    /// Its vectors, where they were found while it was read ahead.
    vectors: Option<Vectors>,
    /// What the next commit will look like.
    expected: Expected,
    report: ShardReport,
    /// The segment that the log ends in.
    tail: Loaded,
    header: SegmentHeader,
    /// Segments behind it, in order: none belongs to the log.
    beyond: Vec<SegmentName>,
}

/// A shard that was read while another process still writes it: what it had by then.
pub(crate) struct ReadAhead {
    recovery: Recovery,
    /// The segment that the log ended in.
    tail: (Loaded, SegmentHeader),
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
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    shard: u16,
    /// The log must be whole up to here.
    mark: Position,
    store: u64,
    layout: CoreLayout,
    namespaces: Arc<Namespaces>,
    segment_bytes: usize,
    /// Whether another process still writes it.
    is_ahead: bool,
    /// Whether all that can be read is on stable storage.
    is_stable: bool,
}

impl Source {
    /// What all shards of a store are recovered with; [`Source::of`] names one.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        store: u64,
        layout: CoreLayout,
        namespaces: Arc<Namespaces>,
        segment_bytes: usize,
    ) -> Self {
        Self {
            disk,
            clock,
            shard: 0,
            mark: Position::default(),
            store,
            layout,
            namespaces,
            segment_bytes,
            is_ahead: false,
            is_stable: false,
        }
    }

    /// The same of a store that another process still writes.
    pub(crate) fn ahead(self) -> Self {
        Self { is_ahead: true, ..self }
    }

    /// The same for one shard, whose log must be whole up to `mark`.
    pub(crate) fn of(&self, shard: u16, mark: Position) -> Self {
        Self { shard, mark, ..self.clone() }
    }

    fn path(&self, name: SegmentName) -> PathBuf {
        self.disk.folder().join(name.to_string())
    }

    fn damaged(&self, name: SegmentName, offset: usize, what: impl Into<String>) -> StoreError {
        StoreError::Damage { file: self.path(name), offset: offset as u64, what: what.into() }
    }
}

/// A segment file in memory, nothing of it believed yet.
pub(crate) struct Loaded {
    name: SegmentName,
    file: Arc<DataFile>,
    writer: RegionWriter,
    /// Bytes of the file.
    bytes: usize,
    header: Result<SegmentHeader, HeaderFault>,
}

/// What is behind the end of the log, so far.
#[derive(Default)]
struct Behind {
    /// Segments that do not continue it.
    beyond: Vec<Beyond>,
    broken: Option<Broken>,
    /// The error to return if no later segment continues it.
    short: Option<StoreError>,
}

/// A segment behind the end of the log.
struct Beyond {
    name: SegmentName,
    /// What was read of it, where it holds nothing but its header.
    empty: Option<Loaded>,
}

/// The first segment behind the end of the log that holds something: where the next commit should
/// stand in it, and why it does not.
struct Broken {
    name: SegmentName,
    commit: usize,
    fault: Fault,
}

struct Recovery {
    source: Source,
    exchange: Exchange,
    graph: Graph,
    memory: LogMemory,
    /// Those of what was read before, where that was ahead of the lock: what follows is made
    /// visible among them, too.
    vectors: Option<Vectors>,
    /// Whether these may not be what a start would find.
    is_doubtful: bool,
    expected: Expected,
    report: ShardReport,
}

/// Reads one shard back. What others find for it meanwhile is left to [`Replayed::complete`].
/// Changes nothing on the disk: that is for [`Replayed::settle`], when all of them are known to be
/// whole.
pub(crate) fn recover(source: Source, exchange: Exchange) -> Result<Replayed, StoreError> {
    Recovery::new(source, exchange).run(None)
}

impl Replayed {
    /// Takes in what other shards have found for this one. Blocks until all of them were read.
    pub(crate) fn complete(mut self) -> Self {
        if let Some(rest) = self.rest.take() {
            rest.take_in(&mut self.graph);
        }
        self
    }
}

impl Recovery {
    fn new(source: Source, exchange: Exchange) -> Self {
        let expected = Expected { shard: source.shard, number: 1, previous: 0, sequence: 0 };
        Recovery {
            source,
            exchange,
            graph: Graph::default(),
            memory: LogMemory::default(),
            vectors: None,
            is_doubtful: false,
            expected,
            report: ShardReport::default(),
        }
    }

    /// Goes on from the segment that the log ended in when it was read ahead, or begins.
    fn run(mut self, ahead: Option<(Loaded, SegmentHeader)>) -> Result<Replayed, StoreError> {
        let started = self.source.clock.monotonic();
        let mut names = self.names()?;
        // The segment that the log ends in so far, and the fault that was met there.
        let mut tail: Option<(Loaded, SegmentHeader, Fault)> = None;
        if let Some((mut loaded, header)) = ahead {
            names.retain(|name| name.number > loaded.name.number);
            self.refresh(&mut loaded)?;
            let fault = self.go_through(&mut loaded, &header)?;
            tail = Some((loaded, header, fault));
        }
        let mut behind = Behind::default();
        for name in &names {
            let mut loaded = self.source.load(*name)?;
            let header = match loaded.header.clone() {
                Ok(header) => header,
                // A store's first segments were durable before its manifest: they are never half
                // made.
                Err(_)
                    if name.number > self.source.mark.segment
                        && Some(name) == names.last()
                        && loaded.is_half_made() =>
                {
                    behind.beyond.push(Beyond { name: *name, empty: None });
                    break;
                }
                Err(fault) => return Err(self.header_fault(*name, &fault)),
            };
            self.check_header(*name, &header, &loaded)?;
            loaded.writer.freeze(header.first_commit());
            if let Some((before, _, fault)) = &mut tail {
                if let Err(here) = self.verify(&mut loaded, &header) {
                    self.pass_over((before, fault), &mut behind, loaded, &header, here)?;
                    continue;
                }
                self.go_on_after((before, fault), &mut behind)?;
            }
            self.memory.push(Arc::clone(loaded.writer.region()), loaded.bytes);
            let fault = self.go_through(&mut loaded, &header)?;
            tail = Some((loaded, header, fault));
        }
        if let Some(error) = behind.short {
            return Err(error);
        }
        let (tail, header, _) = tail.expect("the first segment is there, and was read or refused");
        let beyond = behind.beyond.into_iter().map(|segment| segment.name).collect();
        let Self { source, exchange, graph, memory, expected, mut report, .. } = self;
        report.bytes = memory.bytes();
        report.elapsed = Duration::from_micros(source.clock.monotonic().saturating_sub(started));
        let (rest, vectors) =
            (Some(exchange.tell_rest()), self.vectors.filter(|_| !self.is_doubtful));
        Ok(Replayed {
            source,
            rest,
            graph,
            memory,
            vectors,
            expected,
            report,
            tail,
            header,
            beyond,
        })
    }

    /// The log has ended, and does not go on in this segment, for the reason `here`.
    fn pass_over(
        &mut self,
        (before, fault): (&mut Loaded, &Fault),
        behind: &mut Behind,
        mut loaded: Loaded,
        header: &SegmentHeader,
        here: Fault,
    ) -> Result<(), StoreError> {
        let broken = behind.broken.as_ref();
        let short = self.check_beyond(before, fault, broken, &mut loaded, header, &here)?;
        behind.short = behind.short.take().or(short);
        let (name, used) = (loaded.name, loaded.used());
        self.report.cut += used as u64;
        if used > 0 && behind.broken.is_none() {
            behind.broken = Some(Broken { name, commit: loaded.writer.frozen(), fault: here });
        }
        behind.beyond.push(Beyond { name, empty: (used == 0).then_some(loaded) });
        Ok(())
    }

    /// The log goes on in a segment behind these, which hold nothing then: their first commits
    /// found no space.
    fn go_on_after(
        &mut self,
        (before, fault): (&mut Loaded, &Fault),
        behind: &mut Behind,
    ) -> Result<(), StoreError> {
        if !is_zero(before.rest()) {
            return Err(self.damage(before.name, before.writer.frozen(), fault));
        }
        let Behind { beyond, broken, .. } = std::mem::take(behind);
        if let Some(Broken { name, commit, fault }) = broken {
            return Err(self.damage(name, commit, &fault));
        }
        for passed in beyond.into_iter().filter_map(|segment| segment.empty) {
            self.memory.push(Arc::clone(passed.writer.region()), passed.bytes);
        }
        Ok(())
    }

    /// Applies the commits of a segment; returns why there are no more. Nothing that was durable
    /// once is missing behind them.
    fn go_through(
        &mut self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
    ) -> Result<Fault, StoreError> {
        let fault = self.replay(loaded, header)?;
        let (name, mark) = (loaded.name, self.source.mark);
        if let Some(proof) = self.proof_of_loss(loaded, header) {
            return Err(self.lost(name, loaded.writer.frozen(), &fault, name, proof));
        }
        let end = loaded.writer.frozen();
        if name.number == mark.segment && end < mark.offset as usize {
            return Err(self.short_of_mark(name, end, &fault));
        }
        Ok(fault)
    }

    /// Reads what has come to a segment since it was read.
    fn refresh(&mut self, loaded: &mut Loaded) -> Result<(), StoreError> {
        self.source.refresh(loaded)?;
        self.memory.note_loaded(loaded.name.number, loaded.bytes);
        Ok(())
    }

    /// The shard's segments in order, none missing.
    fn names(&self) -> Result<Vec<SegmentName>, StoreError> {
        let shard = self.source.shard;
        let files = match self.source.disk.list(shard)? {
            // A segment may have been made just before a kill: its name is not on the disk yet, and
            // a power cut would take with it what is written to it from now on.
            Some(files) => {
                self.source.disk.sync_shard(shard)?;
                files
            }
            None => Vec::new(),
        };
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
            Some((missing, later))
                if later.is_some() || missing.number <= self.source.mark.segment =>
            {
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
            HeaderFault::Format(version) => StoreError::Version {
                file: self.source.path(name),
                what: format!("its format is {version}"),
            },
        }
    }

    fn check_header(
        &self,
        name: SegmentName,
        header: &SegmentHeader,
        loaded: &Loaded,
    ) -> Result<(), StoreError> {
        let what = if (header.number, header.shard) != (name.number, name.shard) {
            format!(
                "this is segment {} of shard {}, under another's name",
                header.number, header.shard
            )
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

    /// Whether the commit that comes next stands at the watermark.
    fn verify(&self, loaded: &mut Loaded, header: &SegmentHeader) -> Result<Commit, Fault> {
        commit::verify(loaded.rest(), header.seed(), header.block as usize, &self.expected)
    }

    /// Where behind the watermark a commit proves that the one that comes next was durable once.
    fn proof_of_loss(&self, loaded: &mut Loaded, header: &SegmentHeader) -> Option<usize> {
        let start = loaded.writer.frozen();
        let proof = commit::proof_of_loss(
            loaded.rest(),
            header.seed(),
            header.block as usize,
            self.expected.number,
        );
        proof.map(|proof| start + proof)
    }

    /// The log has ended in the segment `before` with `fault`, and does not go on in this one for
    /// the reason `here`, nor in one that is `broken` in between: then nothing of it may stand
    /// behind that. Returns the error that holds
    /// unless the log goes on later, where a mark says that it was whole here once.
    fn check_beyond(
        &self,
        before: &mut Loaded,
        fault: &Fault,
        broken: Option<&Broken>,
        loaded: &mut Loaded,
        header: &SegmentHeader,
        here: &Fault,
    ) -> Result<Option<StoreError>, StoreError> {
        let start = loaded.writer.frozen();
        if let Some(proof) = self.proof_of_loss(loaded, header) {
            // Something broken closes the segment before, or stands in one in between: the lost one
            // stood there. Where a later commit opens this segment, it closed the one before.
            let (name, commit, fault) = match broken {
                Some(broken) if is_zero(before.rest()) => {
                    (broken.name, broken.commit, &broken.fault)
                }
                _ if proof == start || !is_zero(before.rest()) => {
                    (before.name, before.writer.frozen(), fault)
                }
                _ => (loaded.name, start, here),
            };
            return Err(self.lost(name, commit, fault, loaded.name, proof));
        }
        if here.certain {
            return Err(self.damage(loaded.name, start, here));
        }
        if loaded.name.number > self.source.mark.segment {
            return Ok(None);
        }
        // The missing commit was the last of the segment before, or the first of this one.
        Ok(Some(match is_zero(before.rest()) {
            true => self.short_of_mark(loaded.name, start, here),
            false => self.short_of_mark(before.name, before.writer.frozen(), fault),
        }))
    }

    /// The log ends before the place up to which it was whole once.
    fn short_of_mark(&self, name: SegmentName, commit: usize, fault: &Fault) -> StoreError {
        let Position { segment, offset } = self.source.mark;
        let marked = SegmentName { number: segment, ..name };
        let what = format!(
            "{}; the manifest says that the log was whole once up to byte {offset} of {marked}",
            fault.what
        );
        self.source.damaged(name, commit + fault.at, what)
    }

    /// A commit that was durable once does not stand whole where it should.
    fn lost(
        &self,
        name: SegmentName,
        commit: usize,
        fault: &Fault,
        later: SegmentName,
        proof: usize,
    ) -> StoreError {
        let what = format!(
            "{}; a later commit, at byte {proof} of {later}, shows that it was whole once",
            fault.what
        );
        self.source.damaged(name, commit + fault.at, what)
    }
}
