//! The disk as it is: a folder that is held by its descriptor and locked for this process.
//!
//! Everything is done by name in a held folder, never by path. So a folder that was moved keeps its
//! store whole, and one that took its name is never written to. What was opened is remembered by
//! identity (`known.rs`), so that a look tells what has become of it.

mod known;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::OFlags;
use sutra_runtime::{DataFile, Folder, in_context};

use self::known::{Known, changed};
use crate::StoreError;
use crate::disk::{Change, CheckpointName, Disk, SegmentName, name_of_new, shard_folder};
use crate::last_backup;
use crate::lock::FolderLock;
use crate::manifest::MAX_BYTES;
use crate::replace::{ReplaceIn, replace};

const MANIFEST: &str = "manifest.json";
const LAST_BACKUP: &str = "last-backup.json";
/// How often a folder is opened again that was moved away before it was locked.
const ATTEMPTS: usize = 10;

/// A folder of a filesystem, locked for this process for as long as this lives.
#[derive(Debug)]
pub struct FileDisk {
    folder: Folder,
    /// The path from the root, by which it is looked for again.
    path: PathBuf,
    durability: sutra_runtime::Durability,
    /// Not there while another process has the folder.
    lock: OnceLock<FolderLock>,
    /// What was opened and made in it.
    known: Known,
}

impl FileDisk {
    /// Makes the folder where it is not there, and locks it. `listening` is told to whoever finds
    /// it locked.
    pub fn open(
        folder: &Path,
        durability: sutra_wire::Durability,
        listening: &str,
    ) -> Result<Self, StoreError> {
        // Each folder that is made is an entry of the one above it, which a power cut could take
        // with all that is in it.
        let made = folder
            .ancestors()
            .skip(1)
            .take_while(|above| !above.as_os_str().is_empty() && !above.exists())
            .count();
        if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
            fs::create_dir_all(above).map_err(in_context("create the folder", above))?;
        }
        let is_new = match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(in_context("create the folder", folder)(error).into()),
        };
        let (held, path, lock) = Self::hold(folder, listening)?;
        for above in folder.ancestors().skip(1).take(made + 1) {
            Folder::open(if above.as_os_str().is_empty() { Path::new(".") } else { above })?
                .sync()?;
        }
        if let Some(mode) = held.is_open_to_others().filter(|_| !is_new) {
            let folder = folder.display();
            tracing::warn!(
                %folder,
                mode = format!("{mode:o}"),
                "others may look into the data folder: chmod 700 closes it"
            );
        }
        let durability = of_files(durability);
        Ok(Self { folder: held, path, durability, lock: lock.into(), known: Known::default() })
    }

    /// Opens the folder of a store that another process has, to read in it.
    pub(crate) fn unlocked(
        folder: &Path,
        durability: sutra_wire::Durability,
    ) -> Result<Self, StoreError> {
        let held = Folder::open(folder)?;
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let (durability, lock) = (of_files(durability), OnceLock::new());
        Ok(Self { folder: held, path, durability, lock, known: Known::default() })
    }

    /// Locks it, when the other process has let go of it.
    pub(crate) fn lock(&self, listening: &str) -> Result<(), StoreError> {
        let lock = FolderLock::acquire(&self.folder, listening)?;
        let found = Folder::at(&self.path)?.zip(self.folder.identity()?);
        if !found.is_some_and(|(found, held)| found.is(&held)) {
            let what = format!("{} was moved while it was taken over", self.path.display());
            return Err(io::Error::other(what).into());
        }
        // Nobody else has locked it by this.
        let _ = self.lock.set(lock);
        Ok(())
    }

    /// Opens and locks the folder, and sees to it that the path leads to what was locked.
    fn hold(folder: &Path, listening: &str) -> Result<(Folder, PathBuf, FolderLock), StoreError> {
        for _ in 0..ATTEMPTS {
            let held = Folder::open(folder)?;
            let lock = FolderLock::acquire(&held, listening)?;
            let identity = held.identity()?;
            let leads_there = |path: &Path| {
                let found = Folder::at(path).ok().flatten();
                found.zip(identity).is_some_and(|(found, held)| found.is(&held))
            };
            if leads_there(folder) {
                // The path as it was given, where the process may not look through what lies above.
                let absolute =
                    std::path::absolute(folder).ok().filter(|absolute| leads_there(absolute));
                let path = absolute.unwrap_or_else(|| folder.to_owned());
                return Ok((held, path, lock));
            }
        }
        let what = format!("cannot lock {}: it is moved again and again", folder.display());
        Err(io::Error::other(what).into())
    }

    /// Whether this is a copy of a folder that a server had in use.
    pub(crate) fn is_copy(&self) -> bool {
        self.lock.get().is_some_and(FolderLock::is_copy)
    }

    /// The folder, held.
    pub(crate) fn held(&self) -> &Folder {
        &self.folder
    }

    fn look_at_lock(&self) -> io::Result<Option<String>> {
        self.lock.get().map_or(Ok(None), |lock| lock.look(&self.folder))
    }

    /// A shard's folder, which is held from the first time on.
    fn shard(&self, shard: u16) -> io::Result<Arc<Folder>> {
        self.known.shard(&self.folder, shard)
    }

    /// Removes what earlier attempts to replace a file have left.
    fn remove_leftovers(&self) -> io::Result<()> {
        let remove = |folder: &Folder, is_ours: fn(&str) -> bool| -> io::Result<()> {
            for name in folder.names()?.iter().filter(|name| name_of_new(name).is_some_and(is_ours))
            {
                tracing::info!(
                    file = %folder.path().join(name).display(),
                    "removing a file that was never finished"
                );
                folder.remove(name)?;
            }
            Ok(())
        };
        remove(&self.folder, |name| [MANIFEST, LAST_BACKUP].contains(&name))?;
        self.known.shards().iter().try_for_each(|shard| remove(shard, CheckpointName::is_one))
    }
}

impl Disk for FileDisk {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let path = self.folder.path().join(MANIFEST);
        match self.folder.plain_file(MANIFEST, OFlags::RDONLY) {
            Ok(file) => {
                // Looked at before it is read: what is changed meanwhile is seen by the next look.
                self.known.note_manifest(self.folder.known_as(MANIFEST)?);
                let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
                read.map(|_| Some(bytes)).map_err(in_context("read", &path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        replace_in(&self.folder, MANIFEST, &[bytes])?;
        self.known.note_manifest(self.folder.known_as(MANIFEST)?);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync()
    }

    fn create_shard(&self, shard: u16) -> io::Result<()> {
        // Also where it is there: whoever made it may have been killed before its name was synced.
        self.folder.make_folder(&shard_folder(shard))?;
        self.folder.sync()
    }

    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        match self.shard(shard) {
            Ok(folder) => folder.names().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        let file = DataFile::create(&*self.shard(name.shard)?, &name.file_name(), self.durability)?;
        self.known.remember(name, file.identity()?);
        Ok(Arc::new(file))
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        let file = DataFile::open(&*self.shard(name.shard)?, &name.file_name(), self.durability)?;
        let identity = file.identity()?;
        if self.known.is_another(name, &identity) {
            let path = self.folder.path().join(name.to_string());
            return Err(io::Error::other(changed(&path, "is another file than it was")));
        }
        self.known.remember(name, identity);
        Ok(Arc::new(file))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.known.forget(name);
        self.shard(name.shard)?.remove(&name.file_name())
    }

    fn remove_shard(&self, shard: u16) -> io::Result<()> {
        let folder = match self.shard(shard) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in folder.names()? {
            if CheckpointName::is_one(name_of_new(&name).unwrap_or(&name)) {
                folder.remove(&name)?;
            }
        }
        self.known.forget_shard(shard);
        if let Some(foreign) = folder.names()?.first() {
            let folder = folder.path().display();
            tracing::warn!(%folder, foreign, "the folder stays: this file is not the store's");
            return Ok(());
        }
        drop(folder);
        self.folder.remove_folder(&shard_folder(shard))?;
        self.folder.sync()
    }

    fn sync_shard(&self, shard: u16) -> io::Result<()> {
        self.shard(shard)?.sync()
    }

    fn len(&self, file: &DataFile) -> io::Result<u64> {
        file.len()
    }

    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        file.read_all_into(offset, buffer)
    }

    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()> {
        file.zero_fill(range)?;
        self.known.grew(&file.identity()?);
        Ok(())
    }

    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_synced(offset, bytes)
    }

    fn sync(&self, file: &DataFile) -> io::Result<()> {
        file.sync_all()
    }

    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.path().join(name.to_string());
        let read = || {
            let file = self.shard(name.shard)?.file(&name.file_name(), OFlags::RDONLY)?;
            let length = file.metadata()?.len();
            if length > limit {
                return Err(io::Error::other(format!(
                    "it has {length} bytes, more than the {limit} that it can be worth"
                )));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(in_context("read", &path)(error)),
        }
    }

    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()> {
        replace_in(&*self.shard(name.shard)?, &name.file_name(), parts)
    }

    fn read_last_backup(&self) -> io::Result<Option<Vec<u8>>> {
        match self.folder.plain_file(LAST_BACKUP, OFlags::RDONLY) {
            Ok(file) => {
                let mut bytes = Vec::new();
                let read = file.take(last_backup::MAX_BYTES).read_to_end(&mut bytes);
                let path = self.folder.path().join(LAST_BACKUP);
                read.map(|_| Some(bytes)).map_err(in_context("read", &path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace_last_backup(&self, bytes: &[u8]) -> io::Result<()> {
        replace_in(&self.folder, LAST_BACKUP, &[bytes])
    }

    fn is_manifest_touched(&self) -> io::Result<bool> {
        let found = self.folder.known_as(MANIFEST)?;
        Ok(!self.known.is_manifest(found))
    }

    fn look(&self) -> io::Result<Option<Change>> {
        let named = self.path.display();
        let Some(held) = self.folder.identity()? else {
            return Ok(Some(Change::Lost(format!(
                "the data folder {named} was removed: what was in it is in the memory of this \
                 process only; save it (of a storage server by sutra export), and start on a new \
                 folder"
            ))));
        };
        let inside = self.known.look(&self.folder)?;
        if let Some(what) = inside.map_or_else(|| self.look_at_lock(), |what| Ok(Some(what)))? {
            return Ok(Some(Change::Lost(what)));
        }
        let what = match Folder::at(&self.path)? {
            Some(found) if found.is(&held) => return Ok(None),
            Some(_) => "leads to another folder now",
            None => "leads nowhere now",
        };
        let now = self.folder.path_now();
        let now =
            now.map_or_else(|| "a place unknown".to_owned(), |path| path.display().to_string());
        Ok(Some(Change::Moved(format!(
            "{named} {what}, and the data folder is {now}: \
             move it back, or stop this process and start it there"
        ))))
    }

    fn note_use(&self, in_use: bool) -> io::Result<()> {
        if in_use {
            self.remove_leftovers()?;
        }
        self.lock.get().map_or(Ok(()), |lock| lock.note_use(in_use))
    }

    fn release(&self) -> io::Result<()> {
        self.lock.get().map_or(Ok(()), |lock| lock.release(&self.folder))
    }
}

/// How files are opened for commits to be as durable as this.
fn of_files(durability: sutra_wire::Durability) -> sutra_runtime::Durability {
    match durability {
        sutra_wire::Durability::Always => sutra_runtime::Durability::Always,
        sutra_wire::Durability::Interval(_) | sutra_wire::Durability::Os => {
            sutra_runtime::Durability::Relaxed
        }
    }
}

/// A held folder, in which a file is replaced.
struct Held<'a>(&'a Folder);

/// Puts a new file in a file's place.
fn replace_in(folder: &Folder, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    replace(&Held(folder), name, rand::random(), parts)
}

impl ReplaceIn for Held<'_> {
    type File = (File, PathBuf);

    fn create(&self, name: &str) -> io::Result<Self::File> {
        let file = self.0.file(name, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
        Ok((file, self.0.path().join(name)))
    }

    fn append(&self, (file, path): &mut Self::File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes).map_err(in_context("write to", path))
    }

    fn sync(&self, (file, path): &Self::File) -> io::Result<()> {
        file.sync_all().map_err(in_context("sync", path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[cfg(test)]
mod tests;
