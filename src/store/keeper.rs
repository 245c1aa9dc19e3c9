//! Keeps the manifest of a store that is open: the one place that rewrites it, for namespaces and
//! for marks alike.
//!
//! Every rewrite carries the marks of all shards, as high as they are at that moment. Everything
//! here blocks on the disk: for starts, background jobs and the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sutra_runtime::DataFile;

use crate::StoreError;
use crate::cut::StoreFacts;
use crate::disk::{Change, Disk, SegmentName};
use crate::manifest::Manifest;
use crate::marks::{LogPart, Position};
use crate::progress::Progress;

/// Bytes of one write where parts of a log are written again.
const REWRITE_STEP: usize = 8 << 20;

/// Keeps the manifest of a store that is open, and looks at its folder.
#[derive(Debug)]
pub struct Keeper {
    manifest: Mutex<Manifest>,
    /// By shard.
    progress: Box<[Progress]>,
    disk: Arc<dyn Disk>,
    /// Whether the manifest on the disk was another store's when it was last read.
    foreign: Mutex<Option<String>>,
    /// Whether the last attempt to raise the marks failed, which is logged once.
    is_failing: AtomicBool,
    /// Whether the folder is another process's by now.
    is_released: AtomicBool,
    /// Whether nothing is ever written to the folder.
    is_read_only: bool,
}

impl Keeper {
    pub(crate) fn new(manifest: Manifest, disk: Arc<dyn Disk>) -> Self {
        let progress = manifest.marks().iter().map(|mark| {
            let progress = Progress::default();
            progress.set_durable(*mark);
            progress
        });
        Self {
            progress: progress.collect(),
            manifest: Mutex::new(manifest),
            disk,
            foreign: Mutex::default(),
            is_failing: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            is_read_only: false,
        }
    }

    /// That of a store in whose folder nothing is changed.
    pub(crate) fn read_only(manifest: Manifest, disk: Arc<dyn Disk>) -> Self {
        Self { is_read_only: true, ..Self::new(manifest, disk) }
    }

    /// The manifest as it stands on the disk.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self, shard: u16) -> &Progress {
        &self.progress[usize::from(shard)]
    }

    /// Reads the manifest again, which another process may have changed that has the store.
    pub(crate) fn read_again(
        &self,
        manifest: &mut MutexGuard<'_, Manifest>,
    ) -> Result<(), StoreError> {
        let file = || self.disk.folder().join("manifest.json");
        match Manifest::read(&*self.disk)? {
            Some(now) if now.store() == manifest.store() => {
                **manifest = now;
                Ok(())
            }
            Some(_) => Err(StoreError::Manifest {
                file: file(),
                what: "it is another store's by now".to_owned(),
            }),
            None => Err(StoreError::Missing { file: file() }),
        }
    }

    /// What the manifest says beside its marks. Blocks where it is being written: for background
    /// jobs.
    pub fn facts(&self) -> StoreFacts {
        let manifest = self.lock();
        StoreFacts {
            store: manifest.store(),
            format: manifest.format(),
            id_rule: manifest.id_rule(),
            namespaces: manifest.places().to_vec(),
            imports: manifest.imports().to_vec(),
            given_back: manifest.given_back(),
            first: manifest.first(),
        }
    }

    /// Where the data folder is, from the root.
    pub fn path(&self) -> String {
        let folder = self.disk.folder();
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        path.display().to_string()
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Refuses to write to a folder that another process has.
    pub(crate) fn refuse_released(&self) -> Result<(), StoreError> {
        if self.is_released.load(Ordering::Relaxed) {
            let what = "another process has taken the data folder over".to_owned();
            return Err(StoreError::Lost { what });
        }
        Ok(())
    }

    /// Replaces the manifest by a changed one, with all marks raised. After an error it is as it
    /// was. Another store's is never replaced.
    pub(crate) fn replace(
        &self,
        manifest: &mut MutexGuard<'_, Manifest>,
        change: impl FnOnce(&mut Manifest),
    ) -> Result<(), StoreError> {
        if self.is_read_only {
            return Err(StoreError::ReadOnly);
        }
        self.refuse_released()?;
        let mut changed = Manifest::clone(manifest);
        change(&mut changed);
        changed.set_marks(self.progress.iter().map(Progress::durable));
        if let Some(what) = self.foreign(manifest)? {
            return Err(StoreError::Lost { what });
        }
        changed.write(&*self.disk)?;
        **manifest = changed;
        Ok(())
    }

    /// Raises the marks to where the logs are durable now, if that is further than they say. Where
    /// there is no space for it they stay lower than they could be, which loses nothing.
    pub(crate) fn mark(&self) -> Result<(), StoreError> {
        let mut manifest = self.lock();
        if self.is_read_only
            || self.progress.iter().map(Progress::durable).eq(manifest.marks().iter().copied())
        {
            return Ok(());
        }
        let marked = self.replace(&mut manifest, |_| {});
        let was_failing = self.is_failing.swap(marked.is_err(), Ordering::Relaxed);
        match marked {
            Err(error) if error.is_full() => {
                // Once: it is tried again every few seconds.
                if !was_failing {
                    tracing::warn!(%error, "the end of the log could not be noted in the manifest");
                }
                Ok(())
            }
            result => result,
        }
    }

    /// Whether the manifest on the disk is another store's, or can't be read: what of it. Cost
    /// where nobody has touched it: one look at the file.
    fn foreign(&self, ours: &Manifest) -> Result<Option<String>, StoreError> {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.disk.is_manifest_touched()? {
            return Ok(foreign.clone());
        }
        let file = self.disk.folder().join("manifest.json");
        *foreign = match Manifest::read(&*self.disk) {
            Ok(found) if found.as_ref().is_none_or(|found| found.store() == ours.store()) => None,
            Ok(_) => Some(format!("{} is another store's: put this store's back", file.display())),
            Err(StoreError::Io { source }) => return Err(source.into()),
            Err(error) => Some(error.to_string()),
        };
        Ok(foreign.clone())
    }

    /// Looks at the folder anew: what has become of it, if it is not what it was. A manifest that
    /// was removed is written again, as the folder is this store's alone.
    fn look(&self) -> Result<Option<Change>, StoreError> {
        if self.is_read_only {
            return Ok(None);
        }
        if let Some(change) = self.disk.look()? {
            return Ok(Some(change));
        }
        let mut manifest = self.lock();
        if let Some(what) = self.foreign(&manifest)? {
            return Ok(Some(Change::Lost(what)));
        }
        if self.disk.is_manifest_touched()? && self.disk.read_manifest()?.is_none() {
            tracing::warn!(
                folder = %self.disk.folder().display(),
                "the manifest was removed; it is written again"
            );
            self.replace(&mut manifest, |_| {})?;
        }
        Ok(None)
    }

    /// The job that looks at the folder, to be run about twice a second in the background. With
    /// `raise` it raises the marks, too, where something became durable since.
    pub fn look_job(self: &Arc<Self>, raise: bool) -> LookJob {
        LookJob { keeper: Arc::clone(self), raise }
    }

    /// The digests of files that were imported at starts, those of the last import last.
    pub fn imports(&self) -> Vec<String> {
        self.lock().imports().to_vec()
    }

    /// Remembers such digests, durably; beyond [`crate::MAX_IMPORTS`] the oldest are forgotten.
    ///
    /// # Errors
    /// The manifest can't be written.
    pub fn remember_imports(&self, digests: Vec<String>) -> Result<(), StoreError> {
        let mut manifest = self.lock();
        if digests.iter().all(|digest| manifest.imports().contains(digest)) {
            return Ok(());
        }
        self.replace(&mut manifest, |manifest| manifest.remember_imports(digests))
    }

    /// Syncs a shard's segments from where its log is durable to `position`, all of which was
    /// written.
    pub(crate) fn sync_files(&self, shard: u16, position: Position) -> Result<(), StoreError> {
        for number in self.progress(shard).durable().segment..=position.segment {
            let file = self.disk.open(SegmentName { shard, number })?;
            self.disk.sync(&file)?;
        }
        Ok(())
    }

    /// Writes parts of a shard's log again that the disk may have lost; durable on return. `active`
    /// is the file whose syncs count from then on.
    pub(crate) fn write_again(
        &self,
        shard: u16,
        parts: &[LogPart],
        active: &DataFile,
    ) -> Result<(), StoreError> {
        if let Some(Change::Lost(what)) = self.disk.look()? {
            return Err(StoreError::Lost { what });
        }
        for LogPart { segment, offset, bytes } in parts {
            let file = self.disk.open(SegmentName { shard, number: *segment })?;
            for (at, step) in (*offset..).step_by(REWRITE_STEP).zip(bytes.chunks(REWRITE_STEP)) {
                self.disk.write(&file, at, step)?;
            }
            self.disk.sync(&file)?;
        }
        self.disk.sync_shard(shard)?;
        // The kernel has yet to tell this open file of what failed before (fsync(2)). All of that
        // is written again by now, so it is heard out, and only what follows counts.
        let _ = self.disk.sync(active);
        Ok(self.disk.sync(active)?)
    }

    /// Whether something that was acknowledged may not be on the disk, after a sync that failed.
    fn is_uncertain(&self) -> bool {
        self.progress.iter().any(Progress::is_uncertain)
    }

    /// Lets another process have the folder, when nothing drives the shards any more. What was
    /// written is left to it to make durable, as it is after a crash. From here on nothing is
    /// written to the folder.
    ///
    /// # Errors
    /// Something in the folder is gone, or the lock can't be let go of.
    pub fn release(&self) -> Result<(), StoreError> {
        if let Some(Change::Lost(what)) = self.look()? {
            return Err(StoreError::Lost { what });
        }
        let _none_is_under_way = self.lock();
        self.is_released.store(true, Ordering::Relaxed);
        Ok(self.disk.release()?)
    }

    /// A clean stop, when nothing drives the shards any more: everything written is made durable,
    /// and the marks say so.
    ///
    /// # Errors
    /// The disk refused, and what was acknowledged since the last sync may be lost; or something in
    /// the folder is gone.
    pub fn close(&self) -> Result<(), StoreError> {
        match self.look()? {
            Some(Change::Lost(what)) => return Err(StoreError::Lost { what }),
            Some(Change::Moved(what)) => tracing::warn!("{what}"),
            None => {}
        }
        for (shard, progress) in (0..).zip(&self.progress).filter(|_| !self.is_read_only) {
            let landed = progress.landed();
            if progress.durable() < landed {
                self.sync_files(shard, landed)?;
                progress.set_durable(landed);
            }
        }
        self.mark()?;
        if let Err(error) = self.disk.note_use(false) {
            tracing::warn!(%error, "the end could not be noted beside the lock");
        }
        if self.is_uncertain() { Err(StoreError::Unsynced) } else { Ok(()) }
    }
}

/// The folder is to be looked at. Blocks on the disk: for a background thread.
#[must_use = "nothing is looked at before it runs"]
pub struct LookJob {
    keeper: Arc<Keeper>,
    raise: bool,
}

impl LookJob {
    /// Does it: what has become of the folder, in words for [`crate::Shard::set_lost`], where it is
    /// not what it was.
    pub fn run(self) -> Option<Arc<str>> {
        let keeper = &*self.keeper;
        // What can't be looked at for now (no descriptors, an error of the disk) is no proof of
        // anything.
        let change = keeper.look().unwrap_or_else(|error| {
            tracing::debug!(%error, "the data folder could not be looked at");
            None
        });
        if self.raise
            && !matches!(change, Some(Change::Lost(_)))
            && let Err(error) = keeper.mark()
        {
            tracing::debug!(%error, "the end of the log could not be noted in the manifest");
        }
        change.map(|change| change.what().into())
    }
}
