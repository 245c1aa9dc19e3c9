//! A folder of backups: its lock, its catalogs, its pieces, and what interrupted backups have left.
//!
//! Everything is written under a name that ends with `.new`, synced and renamed, and then its
//! folder is synced. A catalog comes last. What no catalog names is removed by the next backup, as
//! long as every catalog can be read.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags};
use sutra_runtime::{Folder, in_context};

use crate::BackupError;
use crate::catalog::{Catalog, CatalogSegment, MAX_BYTES, Piece};
use crate::piece::{PIECES, PieceName};

/// What a file's name ends with while it is written.
const NEW: &str = ".new";
/// What a folder may hold that is nobody's.
const LOST_AND_FOUND: &str = "lost+found";
/// The file that is locked while a backup is written, or restored.
const LOCK: &str = "lock";

/// A folder of backups that is in use by this process.
pub(crate) struct Repository {
    folder: Folder,
    /// Unlocked when it is closed.
    _lock: File,
    /// The earliest first.
    catalogs: Vec<(String, Catalog)>,
    /// Catalogs that can't be read: their names, and why.
    unreadable: Vec<(String, String)>,
}

impl Repository {
    /// Opens a folder to write a backup into it, and makes it where it is not there.
    pub(crate) fn for_writing(path: &Path) -> Result<Self, BackupError> {
        Folder::make(path)?;
        let folder = Folder::open(path)?;
        refuse_others(&folder)?;
        let file = folder.plain_file(LOCK, OFlags::CREATE | OFlags::RDWR)?;
        let repository = Self::open(folder, file, FlockOperation::NonBlockingLockExclusive)?;
        repository.folder.make_folder(PIECES)?;
        repository.folder.sync()?;
        Ok(repository)
    }

    /// Opens a folder to restore a backup from it. Nothing in it is changed.
    pub(crate) fn for_reading(path: &Path) -> Result<Self, BackupError> {
        let folder = Folder::open(path)?;
        let file = match folder.plain_file(LOCK, OFlags::RDONLY) {
            Ok(file) => file,
            // A copy may be without it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open(path).map_err(in_context("open the folder", path))?
            }
            Err(error) => return Err(error.into()),
        };
        Self::open(folder, file, FlockOperation::NonBlockingLockShared)
    }

    fn open(folder: Folder, lock: File, how: FlockOperation) -> Result<Self, BackupError> {
        match rustix::fs::flock(&lock, how) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(BackupError::InUse { folder: folder.path().to_owned() });
            }
            Err(error) => return Err(in_context("lock", folder.path())(error.into()).into()),
        }
        let (mut catalogs, mut unreadable) = (Vec::new(), Vec::new());
        let names = folder.names()?;
        for name in names.into_iter().filter(|name| is_catalog(name)) {
            let mut bytes = Vec::new();
            let file = folder.plain_file(&name, OFlags::RDONLY)?;
            let path = folder.path().join(&name);
            file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(in_context("read", &path))?;
            match Catalog::decode(&bytes) {
                Ok(catalog) => catalogs.push((name, catalog)),
                Err(fault) => unreadable.push((name, fault.to_string())),
            }
        }
        catalogs.sort_by_key(|(_, catalog)| catalog.taken);
        Ok(Self { folder, _lock: lock, catalogs, unreadable })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The catalogs that can be read, the earliest first.
    pub(crate) fn catalogs(&self) -> impl DoubleEndedIterator<Item = &Catalog> {
        self.catalogs.iter().map(|(_, catalog)| catalog)
    }

    /// The catalogs that can't be read: each one's name and path, and why.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&str, PathBuf, &str)> {
        let all = self.unreadable.iter();
        all.map(|(name, what)| (name.as_str(), self.path().join(name), what.as_str()))
    }

    /// Refuses a server whose store is not the one that the folder has backups of.
    pub(crate) fn refuse_another(&self, server: u64) -> Result<(), BackupError> {
        match self.catalogs().find(|catalog| catalog.store != server) {
            Some(catalog) => Err(BackupError::AnotherStore {
                folder: self.path().to_owned(),
                holds: catalog.store,
                server,
            }),
            None => Ok(()),
        }
    }

    /// Refuses a cut that was taken before one of the backups that are there. It would not be the
    /// last one then, neither for a restore nor for [`Repository::keep`].
    pub(crate) fn refuse_earlier(&self, taken: u64) -> Result<(), BackupError> {
        match self.catalogs.iter().find(|(_, catalog)| catalog.taken >= taken) {
            Some((name, _)) => Err(BackupError::Clock { file: self.path().join(name) }),
            None => Ok(()),
        }
    }

    /// Removes what interrupted backups have left, and what no catalog names any more.
    pub(crate) fn tidy_up(&self) -> Result<(), BackupError> {
        for name in self.folder.names()?.iter().filter(|name| name.ends_with(NEW)) {
            self.folder.remove(name)?;
        }
        if let Some((_, file, what)) = self.unreadable().next() {
            // It may name any of them.
            let file = file.display();
            tracing::warn!(%file, what, "a catalog can't be read, so no piece is removed");
            return Ok(());
        }
        let named: HashSet<PieceName> = self.catalogs().flat_map(names_of).collect();
        let pieces = self.folder.folder(PIECES)?;
        for shard in pieces.names()? {
            let Ok(folder) = pieces.folder(&shard) else { continue };
            for file in folder.names()? {
                let name = PieceName::parse(&format!("{PIECES}/{shard}/{file}"));
                if name.is_none_or(|name| !named.contains(&name)) {
                    folder.remove(&file)?;
                }
            }
            folder.sync()?;
        }
        Ok(())
    }

    /// The pieces that catalogs name and that are there: where each begins, with all that do.
    pub(crate) fn known(&self) -> Result<Known, BackupError> {
        let mut known = Known::default();
        for catalog in self.catalogs() {
            for (shard, number, segment, piece) in catalog.pieces() {
                let name = name_of(shard, number, segment, piece);
                if self.has(&name)? {
                    known
                        .0
                        .entry((shard, number, segment.generation, piece.from))
                        .or_default()
                        .push(*piece);
                }
            }
        }
        Ok(known)
    }

    /// Whether a piece is there, with all its bytes.
    fn has(&self, name: &PieceName) -> Result<bool, BackupError> {
        let path = self.path().join(name.to_string());
        let found = Folder::at(&path)?;
        Ok(found.is_some_and(|found| found.length >= u64::from(name.to - name.from)))
    }

    /// The folder of a shard's pieces.
    pub(crate) fn shard(&self, shard: u16) -> Result<Folder, BackupError> {
        let pieces = self.folder.folder(PIECES)?;
        if pieces.make_folder(&PieceName::folder(shard))? {
            pieces.sync()?;
        }
        Ok(pieces.folder(&PieceName::folder(shard))?)
    }

    /// A piece to be read, of a backup that is there.
    pub(crate) fn open_piece(&self, name: &PieceName) -> Result<(File, PathBuf), BackupError> {
        let file = self.path().join(name.to_string());
        let folder = self
            .folder
            .folder(PIECES)
            .and_then(|pieces| pieces.folder(&PieceName::folder(name.shard)));
        match folder.and_then(|folder| folder.plain_file(&name.file(), OFlags::RDONLY)) {
            Ok(opened) => Ok((opened, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BackupError::Missing { file })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a backup whole: all that its catalog names is on the disk. Returns the catalog's path.
    pub(crate) fn add(&mut self, catalog: Catalog) -> Result<PathBuf, BackupError> {
        self.refuse_earlier(catalog.taken)?;
        let bytes = catalog.encode_whole()?;
        for shard in 0..catalog.shards.len() {
            self.shard(u16::try_from(shard).expect("at most a thousand"))?.sync()?;
        }
        let name = catalog_name(catalog.taken);
        let path = self.path().join(&name);
        if self.folder.known_as(&name)?.is_some() {
            // One that can't be read.
            return Err(BackupError::Clock { file: path });
        }
        write_new(&self.folder, &name, &bytes)?;
        self.folder.sync()?;
        self.catalogs.push((name, catalog));
        Ok(path)
    }

    /// Removes all catalogs but the last `keep`, and what only they named; how many went.
    pub(crate) fn keep(&mut self, keep: usize) -> Result<usize, BackupError> {
        let gone = self.catalogs.len().saturating_sub(keep);
        for (name, _) in self.catalogs.drain(..gone) {
            self.folder.remove(&name)?;
        }
        self.folder.sync()?;
        self.tidy_up()?;
        Ok(gone)
    }
}

/// The pieces that are there already, by where they begin.
#[derive(Default)]
pub(crate) struct Known(HashMap<(u16, u32, u64, u32), Vec<Piece>>);

impl Known {
    /// Those that cover a segment from its start, as far as they do without a gap and not beyond
    /// `end`.
    pub(crate) fn of(&self, shard: u16, number: u32, generation: u64, end: u32) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        loop {
            let at = pieces.last().map_or(0, |piece| piece.to);
            let next = self.0.get(&(shard, number, generation, at)).into_iter().flatten();
            let next = next.filter(|piece| piece.to <= end).max_by_key(|piece| piece.to);
            match next {
                Some(piece) => pieces.push(*piece),
                None => return pieces,
            }
        }
    }
}

/// The name of a piece that a catalog names.
pub(crate) fn name_of(
    shard: u16,
    number: u32,
    segment: &CatalogSegment,
    piece: &Piece,
) -> PieceName {
    let &Piece { from, to, .. } = piece;
    PieceName { shard, number, generation: segment.generation, from, to }
}

fn names_of(catalog: &Catalog) -> impl Iterator<Item = PieceName> {
    catalog.pieces().map(|(shard, number, segment, piece)| name_of(shard, number, segment, piece))
}

/// Makes a file with these bytes; durable but for its name.
fn write_new(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(folder, name)?;
    file.append(bytes)?;
    file.finish()
}

/// A file that has its name once it is whole.
pub(crate) struct NewFile<'a> {
    folder: &'a Folder,
    name: &'a str,
    file: File,
    path: PathBuf,
}

impl<'a> NewFile<'a> {
    pub(crate) fn create(folder: &'a Folder, name: &'a str) -> io::Result<Self> {
        let new = new_name(name);
        // Never written over: what is left under this name may be a segment of the server's.
        remove(folder, &new)?;
        let file = folder.file(&new, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
        Ok(Self { folder, name, file, path: folder.path().join(new) })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(in_context("write to", &self.path))
    }

    /// Gives it its name. Durable once its folder is synced.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.sync_all().map_err(in_context("sync", &self.path))?;
        self.folder.rename(&new_name(self.name), self.name)
    }
}

/// What a file is called while it is written.
pub(crate) fn new_name(name: &str) -> String {
    format!("{name}{NEW}")
}

/// Removes a file, if it is there.
pub(crate) fn remove(folder: &Folder, name: &str) -> io::Result<()> {
    match folder.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The name of a catalog, by its time; so names are in the order of times.
pub(crate) fn catalog_name(taken: u64) -> String {
    let at = i64::try_from(taken).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let at =
        at.map_or_else(|| taken.to_string(), |at| at.strftime("%Y%m%dT%H%M%S.%6fZ").to_string());
    format!("backup-{at}.json")
}

fn is_catalog(name: &str) -> bool {
    name.starts_with("backup-") && name.ends_with(".json")
}

/// Refuses a folder that holds something else than backups.
fn refuse_others(folder: &Folder) -> Result<(), BackupError> {
    let is_ours = |name: &String| {
        is_catalog(name)
            || [PIECES, LOCK, LOST_AND_FOUND].contains(&name.as_str())
            || (name.starts_with("backup-") && name.ends_with(NEW))
    };
    let mut names = folder.names()?;
    names.sort_unstable();
    match names.into_iter().find(|name| !is_ours(name)) {
        Some(found) => Err(BackupError::NotBackups { folder: folder.path().to_owned(), found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::catalog::tests::{catalog, taken_at};

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("some/backups");
        (place, folder)
    }

    #[test]
    fn a_folder_of_backups_is_its_users_alone() {
        let (_place, path) = folder();
        Repository::for_writing(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_can_not_be_read_again_is_no_backup() {
        let (_place, path) = folder();
        let mut repository = Repository::for_writing(&path).unwrap();
        let mut wrong = catalog();
        wrong.shards[0].commit = 0;
        let error = repository.add(wrong).unwrap_err();
        assert!(matches!(error, BackupError::NotWhole(_)), "{error}");
        drop(repository);
        let repository = Repository::for_writing(&path).unwrap();
        assert_eq!((repository.catalogs().count(), repository.unreadable().count()), (0, 0));
    }

    #[test]
    fn a_backup_that_would_not_be_the_last_is_refused_and_the_last_is_kept() {
        let (_place, path) = folder();
        let mut repository = Repository::for_writing(&path).unwrap();
        repository.add(taken_at(2_000_000)).unwrap();
        for taken in [1_000_000, 2_000_000] {
            let error = repository.refuse_earlier(taken).unwrap_err();
            assert!(error.to_string().contains("19700101T000002"), "{error}");
            assert!(repository.add(taken_at(taken)).is_err());
        }
        repository.add(taken_at(3_000_000)).unwrap();
        assert_eq!(repository.keep(1).unwrap(), 1);
        assert_eq!(repository.catalogs().map(Catalog::taken).collect::<Vec<_>>(), [3_000_000]);
    }
}
