//! A folder that is only read: nothing in it is changed, not even its lock. So it may be on a disk
//! that is full, or on a filesystem that is mounted read-only.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use sutra_runtime::{DataFile, Folder, in_context};

use crate::StoreError;
use crate::disk::{Change, CheckpointName, Disk, SegmentName, shard_folder};
use crate::lock::SharedLock;
use crate::manifest::{MAX_BYTES, Manifest};
use crate::new_store::refuse_unfinished;

const MANIFEST: &str = "manifest.json";

/// A folder of a filesystem that no server may write to while this lives.
#[derive(Debug)]
pub struct ReadOnlyDisk {
    folder: Folder,
    /// Not there where the folder is a running server's own.
    lock: Option<SharedLock>,
}

impl ReadOnlyDisk {
    /// Opens a folder, and keeps servers from it.
    ///
    /// # Errors
    /// It is not there, a server has it, or it is half of a store.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let folder = Folder::open(folder)?;
        let lock = Some(SharedLock::acquire(&folder)?);
        refuse_unfinished(&folder)?;
        Ok(Self { folder, lock })
    }

    /// Opens the folder of a server that runs, which looks at it itself.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn of_own(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self { folder: Folder::open(folder)?, lock: None })
    }

    /// What the lock says, where it was taken.
    pub(crate) fn lock(&self) -> Option<&SharedLock> {
        self.lock.as_ref()
    }

    /// The names in the folder.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        self.folder.names()
    }

    /// Opens a checkpoint, past the page cache where that can be; `None` where there is none.
    pub(crate) fn open_checkpoint(
        &self,
        name: CheckpointName,
    ) -> io::Result<Option<Arc<DataFile>>> {
        let Some(folder) = if_there(self.shard(name.shard))? else { return Ok(None) };
        let file = if_there(DataFile::open_to_read(&folder, &name.file_name()))?;
        Ok(file.map(Arc::new))
    }

    /// Refuses a copy of a folder that a server of several cores had in use, as a start does.
    /// Where the manifest does not say how many, they are taken for so many.
    pub(crate) fn refuse_copy(&self, cores: usize) -> Result<(), StoreError> {
        if !self.lock.as_ref().is_some_and(SharedLock::is_copy) {
            return Ok(());
        }
        let manifest = Manifest::read(self).ok().flatten();
        match manifest.map_or(cores, |manifest| manifest.cores()) {
            0 | 1 => Ok(()),
            shards => Err(StoreError::copy_of_shards(self.folder.path(), shards)),
        }
    }

    fn shard(&self, shard: u16) -> io::Result<Folder> {
        self.folder.folder(&shard_folder(shard))
    }

    fn refuse<T>(&self) -> io::Result<T> {
        let what = format!("{} is only read", self.folder.path().display());
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, what))
    }
}

/// All of a file; one of more than `limit` bytes is an error.
fn read_all(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > limit {
        let what = format!("it has {length} bytes, more than {limit}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Disk for ReadOnlyDisk {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.path().join(MANIFEST);
        let Some(file) = if_there(self.folder.plain_file(MANIFEST, OFlags::RDONLY))? else {
            return Ok(None);
        };
        read_all(file, MAX_BYTES).map(Some).map_err(in_context("read", &path))
    }

    fn replace_manifest(&self, _: &[u8]) -> io::Result<()> {
        self.refuse()
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn create_shard(&self, _: u16) -> io::Result<()> {
        self.refuse()
    }

    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        if_there(self.shard(shard))?.map(|folder| folder.names()).transpose()
    }

    fn create(&self, _: SegmentName) -> io::Result<Arc<DataFile>> {
        self.refuse()
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        DataFile::open_to_read(&self.shard(name.shard)?, &name.file_name()).map(Arc::new)
    }

    fn remove(&self, _: SegmentName) -> io::Result<()> {
        self.refuse()
    }

    fn remove_shard(&self, _: u16) -> io::Result<()> {
        self.refuse()
    }

    fn sync_shard(&self, _: u16) -> io::Result<()> {
        Ok(())
    }

    fn len(&self, file: &DataFile) -> io::Result<u64> {
        file.len()
    }

    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        file.read_all_into(offset, buffer)
    }

    fn zero_fill(&self, _: &DataFile, _: Range<u64>) -> io::Result<()> {
        self.refuse()
    }

    fn write(&self, _: &DataFile, _: u64, _: &[u8]) -> io::Result<()> {
        self.refuse()
    }

    fn sync(&self, _: &DataFile) -> io::Result<()> {
        Ok(())
    }

    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.path().join(name.to_string());
        let Some(folder) = if_there(self.shard(name.shard))? else { return Ok(None) };
        let Some(file) = if_there(folder.plain_file(&name.file_name(), OFlags::RDONLY))? else {
            return Ok(None);
        };
        read_all(file, limit).map(Some).map_err(in_context("read", &path))
    }

    /// None is kept: a checkpoint only saves time.
    fn replace_checkpoint(&self, _: CheckpointName, _: &[&[u8]]) -> io::Result<()> {
        Ok(())
    }

    fn is_manifest_touched(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn look(&self) -> io::Result<Option<Change>> {
        Ok(None)
    }

    fn note_use(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }
}
