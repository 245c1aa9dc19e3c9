//! How far a shard's log is on stable storage: what is to be synced, and what is to be marked in
//! the manifest.
//!
//! Where commits are durable when they land, only full segments are marked. Where they are not,
//! whoever drives the shard syncs the files that [`Marking::next_sync`] names, and a job syncs full
//! segments. What a job has found durable counts from when the shard hears of it.
//!
//! After a sync that failed the page cache may hold what the disk has not, and no later sync tells
//! (fsync(2)). So what was acknowledged since the last good one is written again, from the log's
//! memory, before any more is taken.

use std::io;
use std::sync::Arc;

use sutra_runtime::DataFile;

use crate::StoreError;
use crate::keeper::Keeper;
use crate::log::Reached;
use crate::log_memory::LogMemory;
use crate::lost_commits::LostCommits;
use crate::marks::{LogPart, Position};
use crate::progress::Progress;

/// A shard's syncs and marks.
pub(super) struct Marking {
    /// Who keeps the marks, and this shard's number there.
    keeper: Arc<Keeper>,
    shard: u16,
    /// Whether writes are acknowledged before they are on stable storage.
    relaxed: bool,
    /// Files with commits that no sync has covered.
    unsynced: Vec<Arc<DataFile>>,
    /// Where the last commit of each segment ends that is not known to be durable as a whole, and
    /// of the one that is written.
    ends: Vec<Position>,
    /// The commit up to which the last [`Marking::next_sync`] covers.
    syncing: Reached,
    /// Whether those syncs are under way.
    is_syncing: bool,
    /// Whether one failed, and what it covered is not written again yet.
    has_failed: bool,
    /// The last commit of a full segment that is to be made durable, and marked.
    full: Option<Reached>,
    /// Whether marks are to be raised: a full segment is durable by now.
    is_to_raise: bool,
    /// Whether a [`MarkJob`] is under way.
    is_marking: bool,
    /// Whether a job's sync failed. Set by the job, as soon as it is known.
    lost: LostCommits,
}

impl Marking {
    /// That of a shard whose log ended at `end` when it was recovered.
    pub(super) fn new(
        keeper: Arc<Keeper>,
        shard: u16,
        end: Reached,
        synced: Reached,
        relaxed: bool,
        memory: &LogMemory,
    ) -> Self {
        let durable = keeper.progress(shard).durable();
        // After a takeover some of it may not be durable yet.
        let segments = durable.segment..=end.position.segment;
        let ends = segments.map(|number| Position::new(number, memory.end(number)));
        Self {
            keeper,
            shard,
            relaxed,
            unsynced: Vec::new(),
            ends: ends.collect(),
            syncing: synced,
            is_syncing: false,
            has_failed: false,
            full: None,
            is_to_raise: false,
            is_marking: false,
            lost: LostCommits::default(),
        }
    }

    /// Why commits may be lost, as a job has found, which is told once. Its end may come only
    /// after a sync of the core's own that succeeds, as the kernel has let go of them.
    pub(super) fn take_lost(&self) -> Option<io::Error> {
        self.lost.take()
    }

    /// Whether commits are on stable storage when they land.
    pub(super) fn is_durable_at_once(&self) -> bool {
        !self.relaxed
    }

    /// Up to where the log is on stable storage.
    pub(super) fn durable(&self) -> Position {
        self.progress().durable()
    }

    fn progress(&self) -> &Progress {
        self.keeper.progress(self.shard)
    }

    /// A commit has landed in this file, up to `reached`; the one before it ended at `before`.
    pub(super) fn landed(&mut self, before: Reached, reached: Reached, file: Arc<DataFile>) {
        if before.number > 0 && before.position.segment < reached.position.segment {
            self.full = Some(before);
        }
        self.progress().set_landed(reached.position);
        if !self.relaxed {
            self.progress().set_durable(reached.position);
            return;
        }
        match self.ends.last_mut() {
            Some(end) if end.segment == reached.position.segment => *end = reached.position,
            _ => self.ends.push(reached.position),
        }
        if self.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, &file)) {
            self.unsynced.push(file);
        }
    }

    /// A sync failed: what was written and not synced may be gone.
    pub(super) fn failed(&mut self) {
        self.has_failed = true;
        self.progress().give_up_unsynced();
    }

    /// The syncs under way have ended, and one of them failed.
    pub(super) fn syncs_failed(&mut self) {
        self.is_syncing = false;
    }

    /// Nothing is left to be written before the log goes on: what a start had read from the page
    /// cache is on the disk as well by now, up to `finished`, where it had no space at first.
    pub(super) fn caught_up(&mut self, finished: Reached) -> bool {
        let is_news = !self.has_failed && self.progress().is_uncertain();
        if is_news {
            self.set_durable(finished.position);
            self.progress().written_again(finished.position);
        }
        is_news
    }

    /// The job that writes again what is not known to be durable up to `finished`, unless a sync is
    /// under way that may fail as well. `active` is the file that the core goes on to write and
    /// sync.
    pub(super) fn next_repair(
        &mut self,
        memory: &LogMemory,
        finished: Reached,
        active: Arc<DataFile>,
    ) -> Option<MarkJob> {
        if self.is_marking || self.is_syncing {
            return None;
        }
        let durable = self.progress().durable();
        let lost = |end: &&Position| **end > durable;
        let parts = self.ends.iter().filter(lost).filter_map(|end| {
            let from = if end.segment == durable.segment { durable.offset } else { 0 };
            let bytes = memory.sealed(end.segment, from as usize..end.offset as usize)?;
            Some(LogPart { segment: end.segment, offset: from.into(), bytes })
        });
        let task = MarkTask::WriteAgain { parts: parts.collect(), active, reached: finished };
        Some(self.job(task))
    }

    fn job(&mut self, task: MarkTask) -> MarkJob {
        self.is_marking = true;
        let lost = self.lost.clone();
        MarkJob { keeper: Arc::clone(&self.keeper), shard: self.shard, task, lost }
    }

    /// The next job for a full segment, if there is one and no other is under way.
    pub(super) fn next_mark(&mut self) -> Option<MarkJob> {
        if self.is_marking {
            return None;
        }
        let task = match std::mem::take(&mut self.is_to_raise) {
            true => MarkTask::Raise,
            false => MarkTask::Sync(self.full.take()?),
        };
        Some(self.job(task))
    }

    /// The end of a [`MarkJob`]: what is known by it.
    ///
    /// Of a sync that failed only one of those who sync a file is told: the kernel lets go of what
    /// it could not write, and the next sync succeeds. So while a sync of the core's own is under
    /// way, which may have failed, a job's success says nothing.
    pub(super) fn marked(&mut self, marked: Marked) -> Result<Known, StoreError> {
        self.is_marking = false;
        let done = marked.outcome?;
        let (MarkDone::Synced(reached) | MarkDone::WrittenAgain(reached)) = done else {
            return Ok(Known::Nothing);
        };
        let is_repaired = matches!(done, MarkDone::WrittenAgain(_));
        if self.is_syncing || self.has_failed && !is_repaired {
            return Ok(Known::Nothing);
        }
        self.set_durable(reached.position);
        self.is_to_raise = true;
        Ok(match is_repaired {
            true => {
                self.has_failed = false;
                self.progress().written_again(reached.position);
                self.unsynced.clear();
                Known::WrittenAgain(reached.number)
            }
            false => Known::Durable(reached.number),
        })
    }

    /// Everything up to here is on stable storage.
    pub(super) fn set_durable(&mut self, position: Position) {
        self.progress().set_durable(position);
        self.ends.retain(|end| end.segment >= position.segment);
    }

    /// The syncs that the last [`Marking::next_sync`] named have ended well; returns the number of
    /// the commit up to which all is on stable storage.
    pub(super) fn synced(&mut self) -> u64 {
        self.is_syncing = false;
        self.set_durable(self.syncing.position);
        self.syncing.number
    }

    /// The files to be synced so that everything up to `finished` is on stable storage.
    pub(super) fn next_sync(&mut self, finished: Reached) -> Vec<Arc<DataFile>> {
        if self.has_failed {
            // All of it is written again instead.
            return Vec::new();
        }
        self.syncing = finished;
        self.is_syncing = !self.unsynced.is_empty();
        std::mem::take(&mut self.unsynced)
    }
}

/// A log went on in a new segment: what closed the old one is to be made durable, or marked. Blocks
/// on the disk: for a background thread.
#[must_use = "the shard waits for its end"]
pub struct MarkJob {
    keeper: Arc<Keeper>,
    shard: u16,
    task: MarkTask,
    lost: LostCommits,
}

/// What is known by a job's end.
pub(super) enum Known {
    Nothing,
    /// All up to the commit of this number is on stable storage.
    Durable(u64),
    /// The same, after a sync had failed.
    WrittenAgain(u64),
}

/// What a [`MarkJob`] is to do.
enum MarkTask {
    /// Make the log durable up to here.
    Sync(Reached),
    /// Write these parts again, so that the log is durable up to `reached`.
    WriteAgain { parts: Vec<LogPart>, active: Arc<DataFile>, reached: Reached },
    /// Note in the manifest how far the logs are durable.
    Raise,
}

/// What a [`MarkJob`] has done.
enum MarkDone {
    Synced(Reached),
    WrittenAgain(Reached),
    Raised,
}

/// The end of a [`MarkJob`], for [`crate::Shard::marked`].
#[must_use = "the shard waits for it"]
pub struct Marked {
    outcome: Result<MarkDone, StoreError>,
}

impl MarkJob {
    /// Does it.
    pub fn run(self) -> Marked {
        let Self { keeper, shard, task, lost } = self;
        let outcome = match task {
            MarkTask::Sync(reached) if keeper.progress(shard).durable() < reached.position => {
                keeper.sync_files(shard, reached.position).map(|()| MarkDone::Synced(reached))
            }
            MarkTask::WriteAgain { parts, active, reached } => {
                let written = keeper.write_again(shard, &parts, &active);
                written.map(|()| MarkDone::WrittenAgain(reached))
            }
            // Commits are durable when they land, or a sync has covered it since.
            MarkTask::Sync(_) | MarkTask::Raise => {
                if let Err(error) = keeper.mark() {
                    // The old manifest is as true as it was.
                    tracing::warn!(%error, "the end of the log could not be noted in the manifest");
                }
                Ok(MarkDone::Raised)
            }
        };
        if let Err(error) = &outcome {
            match error {
                StoreError::Io { source } => lost.tell(source),
                other => lost.tell(&io::Error::other(other.to_string())),
            }
        }
        Marked { outcome }
    }
}
