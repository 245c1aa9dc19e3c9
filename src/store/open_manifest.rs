//! The manifest of a store that is open: the one place that rewrites it, for namespaces and for marks alike.
//!
//! Every rewrite carries the marks of all shards, as high as they are at that moment. Everything here blocks on the disk: for starts, background
//! jobs and the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StoreError;
use crate::disk::{Disk, SegmentName};
use crate::manifest::Manifest;
use crate::marks::{Position, Progress};

/// The manifest of a store that is open.
#[derive(Debug)]
pub struct OpenManifest {
    manifest: Mutex<Manifest>,
    /// By shard.
    progress: Box<[Progress]>,
    disk: Arc<dyn Disk>,
}

impl OpenManifest {
    pub(crate) fn new(manifest: Manifest, disk: Arc<dyn Disk>) -> Self {
        let progress = manifest.marks.iter().map(|mark| {
            let progress = Progress::default();
            progress.set_durable(*mark);
            progress
        });
        Self { progress: progress.collect(), manifest: Mutex::new(manifest), disk }
    }

    /// The manifest as it stands on the disk.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self, shard: u16) -> &Progress {
        &self.progress[usize::from(shard)]
    }

    /// Replaces the manifest by a changed one, with all marks raised. After an error it is as it was.
    pub(crate) fn replace(
        &self,
        manifest: &mut MutexGuard<'_, Manifest>,
        change: impl FnOnce(&mut Manifest),
    ) -> Result<(), StoreError> {
        let mut changed = Manifest::clone(manifest);
        change(&mut changed);
        changed.marks = self.progress.iter().map(Progress::durable).collect();
        changed.write(&*self.disk)?;
        **manifest = changed;
        Ok(())
    }

    /// Raises the marks to where the logs are durable now, if that is further than they say. Where there is no space for it they stay
    /// lower than they could be, which loses nothing.
    pub(crate) fn mark(&self) -> Result<(), StoreError> {
        let mut manifest = self.lock();
        if self.progress.iter().map(Progress::durable).eq(manifest.marks.iter().copied()) {
            return Ok(());
        }
        match self.replace(&mut manifest, |_| {}) {
            Err(error) if error.is_full() => {
                tracing::warn!(%error, "the end of the log could not be noted in the manifest");
                Ok(())
            }
            result => result,
        }
    }

    /// Sees to it that a shard's log is on stable storage up to `position`, all of which was written.
    pub(crate) fn sync_up_to(&self, shard: u16, position: Position) -> Result<(), StoreError> {
        let progress = self.progress(shard);
        let durable = progress.durable();
        if durable < position {
            for number in durable.segment..=position.segment {
                let file = self.disk.open(SegmentName { shard, number })?;
                self.disk.sync(&file)?;
            }
            progress.set_durable(position);
        }
        Ok(())
    }

    /// A clean stop, when nothing drives the shards any more: everything written is made durable, and the marks say so.
    ///
    /// # Errors
    /// The disk refused; what was acknowledged since the last sync may be lost.
    pub fn close(&self) -> Result<(), StoreError> {
        for (shard, progress) in (0..).zip(&self.progress) {
            self.sync_up_to(shard, progress.landed())?;
        }
        self.mark()
    }
}

/// A log went on in a new segment: what closed the old one is to be made durable, and marked. Blocks on the disk: for a background thread.
#[must_use = "the shard waits for its end"]
pub struct MarkJob {
    pub(crate) manifest: Arc<OpenManifest>,
    pub(crate) shard: u16,
    pub(crate) position: Position,
    /// The last commit before it.
    pub(crate) number: u64,
}

/// The end of a [`MarkJob`], for [`crate::Shard::marked`].
#[must_use = "the shard waits for it"]
pub struct Marked {
    /// The commit up to which the log is durable.
    pub(crate) outcome: Result<u64, StoreError>,
}

impl MarkJob {
    /// Does it.
    pub fn run(self) -> Marked {
        let synced = self.manifest.sync_up_to(self.shard, self.position);
        if synced.is_ok()
            && let Err(error) = self.manifest.mark()
        {
            // The old manifest is as true as it was.
            tracing::warn!(%error, "the end of the log could not be noted in the manifest");
        }
        Marked { outcome: synced.map(|()| self.number) }
    }
}
