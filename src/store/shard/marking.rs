//! How far a shard's log is on stable storage: what is to be synced, and what is to be marked in
//! the manifest.
//!
//! Where commits are durable when they land, only full segments are marked. Where they are not,
//! whoever drives the shard syncs the files that [`Marking::next_sync`] names, and a job syncs full
//! segments. What a job has found durable counts from when the shard hears of it.

use std::sync::Arc;

use sutra_runtime::DataFile;

use crate::StoreError;
use crate::keeper::Keeper;
use crate::log::Reached;
use crate::marks::{Position, Progress};

/// A shard's syncs and marks.
pub(super) struct Marking {
    /// Who keeps the marks, and this shard's number there.
    keeper: Arc<Keeper>,
    shard: u16,
    /// Whether writes are acknowledged before they are on stable storage.
    relaxed: bool,
    /// Files with commits that no sync has covered.
    unsynced: Vec<Arc<DataFile>>,
    /// The commit up to which the last [`Marking::next_sync`] covers.
    syncing: Reached,
    /// Whether those syncs are under way.
    is_syncing: bool,
    /// The last commit of a full segment that is to be made durable, and marked.
    full: Option<Reached>,
    /// Whether marks are to be raised: a full segment is durable by now.
    is_to_raise: bool,
    /// Whether a [`MarkJob`] is under way.
    is_marking: bool,
}

impl Marking {
    /// That of a shard whose log was on stable storage up to `end` when it was recovered.
    pub(super) fn new(keeper: Arc<Keeper>, shard: u16, end: Reached, relaxed: bool) -> Self {
        Self {
            keeper,
            shard,
            relaxed,
            unsynced: Vec::new(),
            syncing: end,
            is_syncing: false,
            full: None,
            is_to_raise: false,
            is_marking: false,
        }
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
        } else if self.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, &file)) {
            self.unsynced.push(file);
        }
    }

    /// The log failed: what was written and not synced may be gone.
    pub(super) fn failed(&self) {
        self.progress().give_up_unsynced();
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
        self.is_marking = true;
        Some(MarkJob { keeper: Arc::clone(&self.keeper), shard: self.shard, task })
    }

    /// The end of a [`MarkJob`]: the number of a commit up to which all is on stable storage, where
    /// that is known by it.
    ///
    /// Of a sync that failed only one of those who sync a file is told: the kernel lets go of what
    /// it could not write, and the next sync succeeds. So while a sync of the core's own is under
    /// way, which may have failed, a job's success says nothing.
    pub(super) fn marked(&mut self, marked: Marked) -> Result<Option<u64>, StoreError> {
        self.is_marking = false;
        let Some(Reached { number, position }) = marked.outcome? else { return Ok(None) };
        if self.is_syncing {
            return Ok(None);
        }
        self.progress().set_durable(position);
        self.is_to_raise = true;
        Ok(Some(number))
    }

    /// The syncs that the last [`Marking::next_sync`] named have ended well; returns the number of
    /// the commit up to which all is on stable storage.
    pub(super) fn synced(&mut self) -> u64 {
        self.is_syncing = false;
        self.progress().set_durable(self.syncing.position);
        self.syncing.number
    }

    /// The files to be synced so that everything up to `finished` is on stable storage.
    pub(super) fn next_sync(&mut self, finished: Reached) -> Vec<Arc<DataFile>> {
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
}

/// What a [`MarkJob`] is to do.
enum MarkTask {
    /// Make the log durable up to here.
    Sync(Reached),
    /// Note in the manifest how far the logs are durable.
    Raise,
}

/// The end of a [`MarkJob`], for [`crate::Shard::marked`].
#[must_use = "the shard waits for it"]
pub struct Marked {
    /// The commit up to which the log was synced, where it was.
    outcome: Result<Option<Reached>, StoreError>,
}

impl MarkJob {
    /// Does it.
    pub fn run(self) -> Marked {
        let Self { keeper, shard, task } = self;
        let outcome = match task {
            MarkTask::Sync(reached) if keeper.progress(shard).durable() < reached.position => {
                keeper.sync_files(shard, reached.position).map(|()| Some(reached))
            }
            // Commits are durable when they land, or a sync has covered it since.
            MarkTask::Sync(_) | MarkTask::Raise => {
                if let Err(error) = keeper.mark() {
                    // The old manifest is as true as it was.
                    tracing::warn!(%error, "the end of the log could not be noted in the manifest");
                }
                Ok(None)
            }
        };
        Marked { outcome }
    }
}
