//! Log space made ready ahead of the tail, by background jobs: zeros in the active segment's file
//! and memory behind it, and the spare segment after it.
//!
//! A store begins small: its first segment is filled as it is used. From then on a fixed stretch is
//! kept ready. One job of a shard runs at a time. One that failed is tried again after a while;
//! until then writes are refused only once the space that is ready is used up.
//!
//! A job syncs the file that it makes longer. Where commits go through the page cache, that sync
//! covers theirs, too. One that fails may have lost them, and nobody else may be told. So the log
//! can't be trusted then ([`Preparation::take_lost`]).

use std::io;
use std::ops::Range;
use std::sync::Arc;

use sutra_runtime::{DataFile, RegionSlice, WriteMode, is_out_of_space};

use crate::StoreError;
use crate::disk::{Clock, Disk, SegmentName};
use crate::format::SEGMENT_HEADER;
use crate::lost_commits::LostCommits;
use crate::outcome::Refusal;
use crate::pages::Pages;
use crate::segment::Segment;

/// What is made ready at first: small, so that an empty store starts at once.
pub(crate) const FIRST_STEP: usize = 1 << 20;
/// What one job makes ready: some milliseconds of work, so that the jobs of other shards get their
/// turn.
const STEP: usize = 4 << 20;
/// What is kept ready ahead of the tail: a tenth of a second of writing at 160 MB/s, and the
/// longest record.
const AHEAD: usize = 16 << 20;
/// How long after a failure the next attempt is made, in µs: soon enough for whoever has just freed
/// space.
const RETRY_AFTER: u64 = 900_000;

/// Why an entry can't be appended now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There will be room when the commit in flight has landed or log space is ready.
    Yet,
    /// Log space could not be made ready ([`Preparation::failure`] says why).
    Space,
    /// The write would not fit an empty segment.
    Ever { limit: usize },
}

/// Why log space could not be made ready.
struct Failure {
    /// What a write is told that needs it.
    refusal: Refusal,
    /// By the monotonic clock.
    retry_at: u64,
}

/// A stretch of a segment's file that must be written before the log goes on.
#[derive(Clone, Debug)]
pub(crate) struct Overdue {
    pub(crate) file: Arc<DataFile>,
    pub(crate) what: Over,
}

/// What is to stand in such a stretch.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    /// Zeros: it may hold what a failed write has left of a commit.
    Zeros(Range<u64>),
    /// What was read from there, and may be in the page cache alone.
    Bytes(u64, RegionSlice),
}

impl Overdue {
    /// Writes it. Blocks; durable on return.
    pub(crate) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        match &self.what {
            Over::Zeros(range) => disk.zero_fill(&self.file, range.clone()),
            Over::Bytes(offset, bytes) => disk.write(&self.file, *offset, bytes),
        }
    }
}

/// What has to be written before the log goes on.
struct Spoiled {
    /// The last one is next.
    overdue: Vec<Overdue>,
    /// Up to where the active segment is ready then, if it is written to at all. Until then none of
    /// it counts.
    ready: usize,
}

/// What is ready, what is wanted, and what is being done about it.
pub(crate) struct Preparation {
    disk: Arc<dyn Disk>,
    shard: u16,
    store: u64,
    /// Size of new segments; a multiple of `block`.
    segment_bytes: usize,
    block: usize,
    spare: Option<Segment>,
    running: bool,
    /// The active segment should be ready up to here: a write waits for it.
    wanted: usize,
    /// The spare should have room for a commit of this size: a write waits for it.
    wanted_spare: usize,
    failure: Option<Failure>,
    /// What is to be written first.
    spoiled: Option<Spoiled>,
    /// Whether commits that were written may be lost. Set by a job, as soon as it is known.
    lost: LostCommits,
}

impl Preparation {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        shard: u16,
        store: u64,
        segment_bytes: usize,
        block: usize,
        spare: Option<Segment>,
    ) -> Self {
        let segment_bytes = segment_bytes.next_multiple_of(block);
        Self {
            disk,
            shard,
            store,
            segment_bytes,
            block,
            spare,
            running: false,
            wanted: 0,
            wanted_spare: 0,
            failure: None,
            spoiled: None,
            lost: LostCommits::default(),
        }
    }

    /// Whether something is to be written before the log goes on.
    pub(crate) fn is_behind(&self) -> bool {
        self.spoiled.is_some()
    }

    /// Why commits that were written may be lost, which is told once.
    pub(crate) fn take_lost(&self) -> Option<io::Error> {
        self.lost.take()
    }

    /// The disk refused a write: what it may have left in this range of a file is overwritten
    /// before anything else is written. Where that lies in the active segment, the log goes on in
    /// the next one, as sealed memory never changes.
    pub(crate) fn spoil(
        &mut self,
        active: &mut Segment,
        file: Arc<DataFile>,
        range: Range<u64>,
        error: io::Error,
        now: u64,
    ) {
        let is_active = Arc::ptr_eq(&file, active.file());
        self.write_first(active, vec![Overdue { file, what: Over::Zeros(range) }], error, now);
        if is_active {
            active.close();
        }
    }

    /// For lack of space this could not be written: it is, before anything else.
    pub(crate) fn write_first(
        &mut self,
        active: &mut Segment,
        overdue: Vec<Overdue>,
        error: io::Error,
        now: u64,
    ) {
        let ready = active.suspend();
        let spoiled = self.spoiled.get_or_insert(Spoiled { overdue: Vec::new(), ready });
        spoiled.overdue.extend(overdue);
        self.failed(&error.into(), now);
    }

    fn failed(&mut self, error: &StoreError, now: u64) {
        let refusal = match error.is_of_disk() {
            true => Refusal::Failed { reason: error.to_string().into() },
            false => Refusal::Full {
                reason: format!("no log space could be made ready: {error}").into(),
            },
        };
        self.failure = Some(Failure { refusal, retry_at: now.saturating_add(RETRY_AFTER) });
    }

    /// Where a segment's first commit begins.
    pub(crate) fn first_commit(&self) -> usize {
        SEGMENT_HEADER.max(self.block)
    }

    /// The longest commit that an empty segment takes.
    pub(crate) fn largest_commit(&self) -> usize {
        self.segment_bytes - self.first_commit()
    }

    /// Takes the spare, if a commit of `bytes` fits what is ready of it.
    pub(crate) fn take_spare(&mut self, bytes: usize) -> Option<Segment> {
        if self.spoiled.is_some() {
            return None;
        }
        let spare =
            self.spare.take_if(|spare| spare.is_ready_up_to(spare.end() + spare.padded(bytes)))?;
        (self.wanted, self.wanted_spare) = (0, 0);
        Some(spare)
    }

    /// Notes that a write waits for the active segment to be ready up to `end`.
    pub(crate) fn want_active(&mut self, end: usize) -> NoRoom {
        self.wanted = self.wanted.max(end);
        self.no_room()
    }

    /// Notes that a write waits for a spare with room for a commit of `bytes`.
    pub(crate) fn want_spare(&mut self, bytes: usize) -> NoRoom {
        self.wanted_spare = self.wanted_spare.max(bytes);
        self.no_room()
    }

    fn no_room(&self) -> NoRoom {
        if self.failure.is_some() { NoRoom::Space } else { NoRoom::Yet }
    }

    /// Whether nothing that was read at the start is yet to be written again.
    pub(crate) fn is_proven(&self) -> bool {
        let overdue = self.spoiled.iter().flat_map(|spoiled| &spoiled.overdue);
        !overdue.into_iter().any(|overdue| matches!(overdue.what, Over::Bytes(..)))
    }

    /// Why log space could not be made ready, if it could not: what writes are told.
    pub(crate) fn failure(&self) -> Option<&Refusal> {
        self.failure.as_ref().map(|failure| &failure.refusal)
    }

    /// The job to run now, if any. Cost: a few comparisons; after a failure one look at the clock.
    pub(crate) fn next_job(
        &mut self,
        active: &mut Segment,
        tail: usize,
        clock: &dyn Clock,
    ) -> Option<PrepareJob> {
        if self.running
            || self.failure.as_ref().is_some_and(|failure| clock.monotonic() < failure.retry_at)
        {
            return None;
        }
        let task = self.next_task(active, tail)?;
        self.running = true;
        let lost = self.lost.clone();
        Some(PrepareJob { disk: Arc::clone(&self.disk), task, lost })
    }

    fn next_task(&mut self, active: &mut Segment, tail: usize) -> Option<PrepareTask> {
        if let Some(next) = self.spoiled.as_ref().and_then(|spoiled| spoiled.overdue.last()) {
            return Some(PrepareTask::Write(next.clone()));
        }
        // The first segment grows with its store. A store that has later ones writes much.
        let ahead = if active.number() == 0 { tail.clamp(FIRST_STEP, AHEAD) } else { AHEAD };
        if let Some(task) = extend(active, self.wanted.max(tail + ahead)) {
            return Some(task);
        }
        let room = SEGMENT_HEADER.max(self.block) + self.wanted_spare.next_multiple_of(self.block);
        match &mut self.spare {
            None if self.wanted_spare > 0 || active.is_nearly_full(tail, AHEAD) => {
                Some(PrepareTask::Create {
                    name: SegmentName { shard: self.shard, number: active.number() + 1 },
                    store: self.store,
                    prepared: STEP.min(self.segment_bytes),
                    capacity: self.segment_bytes,
                })
            }
            None => None,
            Some(spare) => extend(spare, room.max(AHEAD)),
        }
    }

    /// A job has ended.
    pub(crate) fn ended(
        &mut self,
        active: &mut Segment,
        prepared: Prepared,
        now: u64,
    ) -> Result<(), StoreError> {
        self.running = false;
        match prepared.outcome {
            Ok(PrepareDone::Created(segment)) => self.spare = Some(segment),
            Ok(PrepareDone::Written) => {
                if let Some(spoiled) = &mut self.spoiled {
                    spoiled.overdue.pop();
                }
                if let Some(spoiled) = self.spoiled.take_if(|spoiled| spoiled.overdue.is_empty()) {
                    active.set_ready(spoiled.ready);
                }
            }
            Ok(PrepareDone::Extended { number, to }) => {
                if let (Some(spoiled), true) = (&mut self.spoiled, number == active.number()) {
                    // Ready, but for what has to be written first.
                    spoiled.ready = to;
                    return Ok(());
                }
                // The segment may have been rolled into or out of meanwhile.
                let segments = [Some(active), self.spare.as_mut()];
                for segment in
                    segments.into_iter().flatten().filter(|segment| segment.number() == number)
                {
                    segment.set_ready(to);
                }
            }
            Err(error) => {
                let error = StoreError::from(error);
                self.failed(&error, now);
                return Err(error);
            }
        }
        self.failure = None;
        Ok(())
    }
}

/// The task that brings a segment's ready part a step nearer to `end`.
fn extend(segment: &mut Segment, end: usize) -> Option<PrepareTask> {
    let (range, pages) = segment.next_step(end, FIRST_STEP..=STEP)?;
    let range = range.start as u64..range.end as u64;
    Some(PrepareTask::Extend {
        file: Arc::clone(segment.file()),
        number: segment.number(),
        range,
        pages,
    })
}

/// What a job is to do.
enum PrepareTask {
    Create { name: SegmentName, store: u64, prepared: usize, capacity: usize },
    Extend { file: Arc<DataFile>, number: u32, range: Range<u64>, pages: Pages },
    Write(Overdue),
}

impl PrepareTask {
    /// Whether its sync makes commits durable that others have written.
    fn covers_commits(&self) -> bool {
        let file = match self {
            PrepareTask::Create { .. } => return false,
            PrepareTask::Extend { file, .. } => file,
            PrepareTask::Write(overdue) => &overdue.file,
        };
        !matches!(file.mode(), WriteMode::Direct { .. })
    }
}

/// What a job has done.
enum PrepareDone {
    Created(Segment),
    Extended { number: u32, to: usize },
    Written,
}

/// Log space to be made ready. Blocks on the disk: for a background thread.
#[must_use = "the shard waits for its end"]
pub struct PrepareJob {
    disk: Arc<dyn Disk>,
    task: PrepareTask,
    lost: LostCommits,
}

/// The end of a [`PrepareJob`], for [`crate::Shard::prepared`].
#[must_use = "the shard waits for it"]
pub struct Prepared {
    outcome: io::Result<PrepareDone>,
}

impl PrepareJob {
    /// Does it.
    pub fn run(self) -> Prepared {
        let disk = &*self.disk;
        let covers_commits = self.task.covers_commits();
        let outcome = match self.task {
            PrepareTask::Create { name, store, prepared, capacity } => is_here(disk)
                .and_then(|()| Segment::create(disk, name, store, prepared, capacity))
                .map(PrepareDone::Created),
            PrepareTask::Write(overdue) => overdue.write(disk).map(|()| PrepareDone::Written),
            PrepareTask::Extend { file, number, range, pages } => {
                pages.populate();
                let to = usize::try_from(range.end).expect("a segment fits memory");
                disk.zero_fill(&file, range).map(|()| PrepareDone::Extended { number, to })
            }
        };
        if let Err(error) = &outcome
            && covers_commits
            && !is_out_of_space(error)
        {
            self.lost.tell(error);
        }
        Prepared { outcome }
    }
}

/// Refuses to go on in a folder that is not the store's any more: the log must not roll into
/// another's.
fn is_here(disk: &dyn Disk) -> io::Result<()> {
    match disk.look()? {
        None => Ok(()),
        Some(change) => Err(io::Error::other(change.what().to_owned())),
    }
}
