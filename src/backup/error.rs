//! Why a backup could not be taken or restored: what, where, and what to do about it.

use std::io;
use std::path::PathBuf;

use sutra_client::ClientError;
use sutra_store::{LogFault, StoreError};

use crate::CatalogFault;

/// Why a backup could not be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The operating system refused something. The message of `source` names the file.
    #[error("{source}")]
    Io {
        /// What it answered.
        #[from]
        source: io::Error,
    },
    /// The server can't be reached, or refused.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// The store can't be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another backup is at work in the folder, or is restored from it.
    #[error(
        "{} is in use by another backup or restore: try again when that has ended",
        .folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is for something else.
    #[error(
        "{} is no folder of backups ({found} is in it): name one that is empty or not there",
        .folder.display()
    )]
    NotBackups {
        /// The folder.
        folder: PathBuf,
        /// What is in it, by name.
        found: String,
    },
    /// The folder holds another store's backups.
    #[error(
        "{} holds backups of store {holds:016x}, and this server has store {server:016x}: give \
         each store a folder of its own (a store that was restored is another one)",
        .folder.display()
    )]
    AnotherStore {
        /// The folder.
        folder: PathBuf,
        /// Whose backups it holds.
        holds: u64,
        /// The store that the server has.
        server: u64,
    },
    /// The folder holds no backup, or none so early.
    #[error("{} holds no complete backup{when}", .folder.display())]
    NoBackup {
        /// The folder.
        folder: PathBuf,
        /// Where one of a time was asked for: which, and what there is.
        when: String,
    },
    /// A catalog is not what was written.
    #[error("{}: {what}. An earlier backup may be whole: see --at", .file.display())]
    Catalog {
        /// The catalog.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What was taken is no backup.
    #[error("what the server told makes no whole backup, and none was taken: {0}")]
    NotWhole(#[from] CatalogFault),
    /// A backup that is there was taken later than this one.
    #[error(
        "{} was taken later than now by the server's clock, so the clock is or was wrong: set it \
         right. Where it is right now, remove that file, or name another folder",
        .file.display()
    )]
    Clock {
        /// The catalog of the one that is there.
        file: PathBuf,
    },
    /// The server's log has gone back, and on in another way.
    #[error(
        "the log of shard {shard} is not the one that {} has backups of: the server's disk was \
         set back to an earlier state, and written to since. Name another folder; the backups in \
         this one stay as they are",
        .folder.display()
    )]
    AnotherLog {
        /// The folder.
        folder: PathBuf,
        /// The shard.
        shard: u16,
    },
    /// A piece is not there.
    #[error(
        "{} is missing, so this backup is not complete: put the file back, or take another backup, \
         which fetches it anew. Earlier backups that do not name this file are whole (--at)",
        .file.display()
    )]
    Missing {
        /// The piece.
        file: PathBuf,
    },
    /// A piece is not what was written.
    #[error(
        "{} is damaged at byte {offset}: {what}. Put the file back as it was; or remove it and \
         take another backup, which fetches it anew. Every backup that names this file is damaged, \
         and earlier ones that do not are whole (--at)",
        .file.display()
    )]
    Damage {
        /// The piece.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// What the server sent is not a log.
    #[error(
        "the server's log does not check out: shard {shard}, segment {segment}, {fault}. No \
         backup was taken; the server's memory or the way to it is damaged"
    )]
    Log {
        /// The shard.
        shard: u16,
        /// The segment.
        segment: u32,
        /// What is wrong, and where.
        fault: LogFault,
    },
    /// A stream is not a whole backup.
    #[error("this is not a complete backup: {what}. Nothing was restored")]
    Stream {
        /// What is wrong with it.
        what: String,
    },
}

impl BackupError {
    /// Whether another folder or time would have to be named.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotBackups { .. }
                | Self::AnotherStore { .. }
                | Self::AnotherLog { .. }
                | Self::NoBackup { .. }
                | Self::Store(StoreError::NotEmpty { .. })
        )
    }
}
