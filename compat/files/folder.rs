//! An old server's folder, known by its files.

use std::path::{Path, PathBuf};

/// The snapshot's name.
pub const SNAPSHOT: &str = "storage.dat";
/// The name of the snapshot before it, which the server never read.
pub const BACKUP: &str = "storage.dat.backup";
/// The name of the log of writes since the last flush that somebody asked for.
pub const WAL: &str = "wal.log";

/// The files of an old server's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFolder {
    /// The snapshot, which may be missing where a flush was interrupted.
    pub snapshot: Option<PathBuf>,
    /// The snapshot before it.
    pub backup: Option<PathBuf>,
    /// The log.
    pub wal: Option<PathBuf>,
}

impl OldFolder {
    /// The files, where the folder is one of an old server.
    pub fn find(folder: &Path) -> Option<Self> {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let found = Self { snapshot: file(SNAPSHOT), backup: file(BACKUP), wal: file(WAL) };
        (found.snapshot.is_some() || found.backup.is_some()).then_some(found)
    }
}
