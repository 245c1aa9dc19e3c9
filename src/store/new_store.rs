//! A store that is being made from another one, by a restore or a repair: its folder, which is
//! empty at first, a store at last, and in between nothing that a start would take for one.
//!
//! A file in the folder says that it is not finished, from before the first segment until all is on
//! the disk. A start refuses such a folder, and so does whoever only reads. The next attempt clears
//! it. The manifest comes last before that file goes.
//!
//! The new store has a number of its own. Two stores with one number could be taken for each other
//! by a backup, and from here on they differ.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use sutra_runtime::{Folder, in_context};
use sutra_wire::Durability;

use crate::StoreError;
use crate::disk::{Disk, MAX_SHARDS, SegmentName, shard_folder};
use crate::file_disk::FileDisk;
use crate::lock::LOCK;
use crate::manifest::Manifest;

/// The file that says that a store is not finished.
const UNFINISHED: &str = "store-unfinished";

/// Refuses a folder in which the making of a store was interrupted.
pub(crate) fn refuse_unfinished(folder: &Folder) -> Result<(), StoreError> {
    match folder.known_as(UNFINISHED)? {
        None => Ok(()),
        Some(_) => Err(StoreError::Unfinished { folder: folder.path().to_owned() }),
    }
}

/// A store that is being made. Dropped before [`NewStore::finish`], it stays unfinished.
#[derive(Debug)]
pub(crate) struct NewStore {
    disk: Arc<FileDisk>,
    number: u64,
}

impl NewStore {
    /// Begins a store in a folder that is not there, is empty, or holds what an attempt has left.
    /// It is locked from here on. `command`: what makes it, for people who look into the folder.
    ///
    /// # Errors
    /// The folder holds something else, is in use, or can't be written to.
    pub(crate) fn begin(folder: &Path, command: &str) -> Result<Self, StoreError> {
        // Looked at first, so that nothing is put into a folder that is refused.
        refuse_filled(folder)?;
        let disk = Arc::new(FileDisk::open(folder, Durability::Always, "")?);
        refuse_filled(folder)?;
        let store = Self { number: disk.random(), disk };
        let text = format!("{command} is at work here, or was interrupted\n");
        store.write(UNFINISHED, text.as_bytes())?;
        store.clear()?;
        Ok(store)
    }

    pub(crate) fn disk(&self) -> &Arc<FileDisk> {
        &self.disk
    }

    pub(crate) fn folder(&self) -> &Folder {
        self.disk.held()
    }

    /// Its random number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Writes a file of a few bytes into the folder, durably.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
        let mut file = self.folder().plain_file(name, flags)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(in_context("write to", &self.folder().path().join(name)))?;
        self.folder().sync()
    }

    /// All segments are on the disk: makes a store of them.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<(), StoreError> {
        manifest.write(&*self.disk)?;
        self.folder().remove(UNFINISHED)?;
        self.folder().sync()?;
        Ok(self.disk.note_use(false)?)
    }

    /// Gives up: the folder is left as empty as it was.
    ///
    /// # Errors
    /// Something can't be removed.
    pub(crate) fn abandon(self) -> Result<(), StoreError> {
        self.clear()?;
        self.folder().remove(UNFINISHED)?;
        self.folder().remove(LOCK)?;
        Ok(self.folder().sync()?)
    }

    /// Removes what an attempt has left of a store.
    fn clear(&self) -> io::Result<()> {
        let held = self.folder();
        for shard in 0..MAX_SHARDS {
            let name = shard_folder(shard);
            if held.known_as(&name)?.is_none() {
                continue;
            }
            let folder = held.folder(&name)?;
            let ours = folder.names()?;
            for file in ours.iter().filter(|file| SegmentName::parse(shard, file).is_some()) {
                folder.remove(file)?;
            }
            folder.sync()?;
            held.remove_folder(&name)?;
        }
        for name in held.names()?.iter().filter(|name| name.starts_with("manifest.json")) {
            held.remove(name)?;
        }
        held.sync()
    }
}

/// Refuses a folder that holds anything but what an attempt has left. What a lock leaves behind is
/// nothing: an attempt that is killed at once has come no further.
fn refuse_filled(folder: &Path) -> Result<(), StoreError> {
    if Folder::at(folder)?.is_none() {
        return Ok(());
    }
    let mut names = Folder::open(folder)?.names()?;
    if names.iter().any(|name| name == UNFINISHED) {
        return Ok(());
    }
    names.sort_unstable();
    match names.into_iter().find(|name| name != LOCK) {
        Some(found) => Err(StoreError::NotEmpty { folder: folder.to_owned(), found }),
        None => Ok(()),
    }
}
