//! How far a shard's log is on stable storage: what is to be synced, and what is to be marked in
//! the manifest.
//!
//! Where commits are durable when they land, only full segments are marked. Where they are not,
//! whoever drives the shard syncs the files that [`Marking::next_sync`] names.

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
    full: Full,
}

/// The end of a full segment, on its way to its mark.
#[derive(Clone, Copy)]
enum Full {
    /// All are marked.
    None,
    /// This is the last commit of one that is to be marked.
    Waits(Reached),
    /// A [`MarkJob`] is under way; another may be full meanwhile.
    Marking(Option<Reached>),
}

impl Marking {
    /// That of a shard whose log was on stable storage up to `end` when it was recovered.
    pub(super) fn new(keeper: Arc<Keeper>, shard: u16, end: Reached, relaxed: bool) -> Self {
        Self { keeper, shard, relaxed, unsynced: Vec::new(), syncing: end, full: Full::None }
    }

    /// Whether commits are on stable storage when they land.
    pub(super) fn is_durable_at_once(&self) -> bool {
        !self.relaxed
    }

    fn progress(&self) -> &Progress {
        self.keeper.progress(self.shard)
    }

    /// A commit has landed in this file, up to `reached`; the one before it ended at `before`.
    pub(super) fn landed(&mut self, before: Reached, reached: Reached, file: Arc<DataFile>) {
        if before.number > 0 && before.position.segment < reached.position.segment {
            self.full = match self.full {
                Full::None | Full::Waits(_) => Full::Waits(before),
                Full::Marking(_) => Full::Marking(Some(before)),
            };
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

    /// The job that marks a segment which is full, if there is one and no other is under way.
    pub(super) fn next_mark(&mut self) -> Option<MarkJob> {
        let Full::Waits(Reached { number, position }) = self.full else { return None };
        self.full = Full::Marking(None);
        Some(MarkJob { keeper: Arc::clone(&self.keeper), shard: self.shard, position, number })
    }

    /// The end of a [`MarkJob`]: the number of the commit up to which all is on stable storage.
    pub(super) fn marked(&mut self, marked: Marked) -> Result<u64, StoreError> {
        if let Full::Marking(next) = self.full {
            self.full = next.map_or(Full::None, Full::Waits);
        }
        marked.outcome
    }

    /// What the last [`Marking::next_sync`] named was synced; returns the number of the commit up
    /// to which all is on stable storage.
    pub(super) fn synced(&self) -> u64 {
        self.progress().set_durable(self.syncing.position);
        self.syncing.number
    }

    /// The files to be synced so that everything up to `finished` is on stable storage.
    pub(super) fn next_sync(&mut self, finished: Reached) -> Vec<Arc<DataFile>> {
        self.syncing = finished;
        std::mem::take(&mut self.unsynced)
    }
}

/// A log went on in a new segment: what closed the old one is to be made durable, and marked.
/// Blocks on the disk: for a background thread.
#[must_use = "the shard waits for its end"]
pub struct MarkJob {
    keeper: Arc<Keeper>,
    shard: u16,
    position: Position,
    /// The last commit before it.
    number: u64,
}

/// The end of a [`MarkJob`], for [`crate::Shard::marked`].
#[must_use = "the shard waits for it"]
pub struct Marked {
    /// The commit up to which the log is durable.
    outcome: Result<u64, StoreError>,
}

impl MarkJob {
    /// Does it.
    pub fn run(self) -> Marked {
        let synced = self.keeper.sync_up_to(self.shard, self.position);
        if synced.is_ok()
            && let Err(error) = self.keeper.mark()
        {
            // The old manifest is as true as it was.
            tracing::warn!(%error, "the end of the log could not be noted in the manifest");
        }
        Marked { outcome: synced.map(|()| self.number) }
    }
}
