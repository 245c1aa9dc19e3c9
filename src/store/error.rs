//! Why a store could not be opened or changed: what, where, and what to do about it.
//!
//! What is refused to a single write is a [`crate::Refusal`]; this is for starts, the manifest and
//! log space.

use std::io;
use std::path::{Path, PathBuf};

use sutra_runtime::{is_out_of_descriptors, is_out_of_space};
use sutra_wire::IdRule;

/// Why a store could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something. The message of `source` names the file.
    #[error("{source}{}", cure(.source))]
    Io {
        /// What it answered.
        #[from]
        source: io::Error,
    },
    /// The system has no room for a thread that reads a log.
    #[error(
        "can't start a thread that reads the log: {source}; allow this user more processes \
         (`ulimit -u`), or the service more tasks (systemd TasksMax=)"
    )]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder open.
    #[error(
        "{} is in use by {holder}; \
         stop that server, or give this one a folder of its own with --data",
        .folder.display()
    )]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// Another process has the folder open, and this one only wants to read it.
    #[error(
        "{} is in use by {holder}; stop that server first. \
         `sutra verify --server ADDRESS` has a server that runs look at its files itself",
        .folder.display()
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// A file does not hold what was written to it.
    #[error(
        "{} is damaged at byte {offset}: {what}. Nothing was changed. Check the disk. \
         `sutra verify` lists all that is damaged; `sutra restore` brings back a backup, and \
         `sutra repair` salvages what is whole. Or, where the folder was copied while its server \
         ran, stop that server and copy it again",
        .file.display()
    )]
    Damage {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A segment of the log is not there.
    #[error(
        "{} is missing, and the log cannot be read without it. Nothing was changed. \
         Put the file back, or a backup (`sutra restore`); `sutra repair` salvages what is \
         whole. Or, where the folder was copied while its server ran, \
         stop that server and copy it again",
        .file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A file of another format version, or with entries that this version does not know.
    #[error(
        "{} was written by another version of sutra: {what}; start it with that version",
        .file.display()
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// What it holds that this version does not know.
        what: String,
    },
    /// The store was made for another number of cores, and is not to be changed.
    #[error(
        "{} was made for {stored} cores and this start has {asked}; only a start that neither \
         takes over nor is read-only makes it over for another number",
        .folder.display()
    )]
    Cores {
        /// The data folder.
        folder: PathBuf,
        /// How many cores the store was made for.
        stored: usize,
        /// How many cores this start has.
        asked: usize,
    },
    /// The store could not be made over for another number of cores.
    #[error(
        "{} could not be made over from {stored} to {asked} cores: {source}. Nothing of it was \
         changed. For a while both need space: free some, or start with --cores {stored}",
        .folder.display()
    )]
    Resharding {
        /// The data folder.
        folder: PathBuf,
        /// How many cores the store was made for.
        stored: usize,
        /// How many cores this start has.
        asked: usize,
        /// What was in the way.
        source: Box<StoreError>,
    },
    /// It was made with another rule for ids.
    #[error(
        "{}: this store turns names into ids by the rule {stored}, \
         and was started with --id-rule {asked}: leave the flag out, or start on another folder, \
         as ids that are stored can't change",
        .folder.display()
    )]
    IdRule {
        /// The data folder.
        folder: PathBuf,
        /// The rule that the store was made with.
        stored: IdRule,
        /// The rule that this start asks for.
        asked: IdRule,
    },
    /// The manifest is missing or can't be read.
    #[error(
        "{}: {what}. Put back the file as it was, or a backup (`sutra restore`); \
         `sutra repair` salvages what is whole. Or, where the folder was copied while its server \
         ran, stop that server and copy it again",
        .file.display()
    )]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The store is served read-only.
    #[error("this server serves its store read-only: start it without --read-only to write")]
    ReadOnly,
    /// The making of a store was interrupted here.
    #[error(
        "{} is half of a store: the `sutra restore` or `sutra repair` that made it was \
         interrupted. Run that again, which begins anew",
        .folder.display()
    )]
    Unfinished {
        /// The new store's folder.
        folder: PathBuf,
    },
    /// The folder is a copy of one that a server had in use, and parts of it are of different
    /// times.
    #[error(
        "{} is a copy that was made while a server was writing to the folder, \
         and its files do not fit together ({what}). Nothing was changed. \
         Stop that server with TERM and copy its folder again",
        .folder.display()
    )]
    Copy {
        /// The copy.
        folder: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The folder, or something in it, is not what it was while a server has it open.
    #[error("{what}")]
    Lost {
        /// What has become of it, and what helps.
        what: String,
    },
    /// A store is to be made in a folder that holds something.
    #[error(
        "{} is not empty ({found} is there): name a folder that is empty or not there, \
         or move away what is in it",
        .folder.display()
    )]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it, by name.
        found: String,
    },
    /// A store was closed whose last sync had failed.
    #[error(
        "a sync of the log failed, and what was acknowledged since the one before may not be on \
         the disk; check the disk and the kernel's log before the next start"
    )]
    Unsynced,
    /// A vector index can't be taken from its checkpoint; it is built again.
    #[error("{} is not used: {what}; the index is built again from the log", .file.display())]
    Checkpoint {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The vector index refused something; searches scan instead until it is built again.
    #[error("the vector index failed: {what}")]
    Index {
        /// What it said.
        what: String,
    },
    /// An option that can't be.
    #[error("{0}")]
    Option(String),
    /// The store has as many namespaces as it can have.
    #[error(
        "there are {limit} namespaces already, the most that a store can have; \
         use one of them, or delete all concepts of one and start the server again: \
         namespaces without content give their places back at a start"
    )]
    TooManyNamespaces {
        /// The most.
        limit: usize,
    },
}

impl StoreError {
    /// Whether there was no space for it.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, StoreError::Io { source } if is_out_of_space(source))
    }

    /// Whether the disk failed. It is another matter where there is no room, or a file is in the
    /// way.
    pub(crate) fn is_of_disk(&self) -> bool {
        let StoreError::Io { source } = self else { return false };
        let other = [
            io::ErrorKind::OutOfMemory,
            io::ErrorKind::AlreadyExists,
            io::ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied,
        ];
        !(is_out_of_space(source)
            || is_out_of_descriptors(source)
            || other.contains(&source.kind()))
    }

    /// Of a copy of a folder that a server of several cores had in use. Each shard is whole up to
    /// some commit. But they were copied at different times, so together they may show a state
    /// that never was.
    pub(crate) fn copy_of_shards(folder: &Path, cores: usize) -> Self {
        let what = format!(
            "its {cores} shards were copied one after the other; to open them all the same, \
             each as it was when it was copied, remove the file lock in it"
        );
        StoreError::Copy { folder: folder.to_owned(), what }
    }

    /// The same, of a folder that is a copy of one in use: what does not fit is then the copy's
    /// fault.
    pub(crate) fn of_copy(self, folder: &Path) -> Self {
        let what = match self {
            StoreError::Damage { file, offset, what } => {
                format!("{}, byte {offset}: {what}", file.display())
            }
            StoreError::Missing { file } => format!("{} is missing", file.display()),
            StoreError::Manifest { file, what } => format!("{}: {what}", file.display()),
            other => return other,
        };
        StoreError::Copy { folder: folder.to_owned(), what }
    }
}

/// What to do about an error of the operating system, where that is known.
fn cure(error: &io::Error) -> &'static str {
    if is_out_of_descriptors(error) {
        return "; it is out of descriptors: raise the limit of open files (`ulimit -n`, \
                systemd LimitNOFILE=), or have fewer connections";
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give this user the right to read and write there, \
             or choose another folder with --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; mount it for writing, or choose another folder with --data"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on that filesystem"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => {
            "; choose another folder with --data"
        }
        io::ErrorKind::OutOfMemory => "; free memory, or give the process more",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = StoreError::from(io::Error::new(io::ErrorKind::StorageFull, "cannot create x"));
        assert_eq!(error.to_string(), "cannot create x; free space on that filesystem");
    }

    #[test]
    fn a_lack_of_descriptors_is_not_called_a_lack_of_space() {
        let opened =
            sutra_runtime::in_context("open", Path::new("/x"))(rustix::io::Errno::MFILE.into());
        let error = StoreError::from(opened).to_string();
        assert!(
            error.starts_with("cannot open /x: ") && error.contains("out of descriptors"),
            "{error}"
        );
        assert!(!error.contains("free space"), "{error}");
    }
}
