//! The agent's folder: one agent at a time, what tells it from others with its name, and how its
//! files are replaced.
//!
//! Nodes' data, logs and the list lie below it. No node may use the names of the agent's own
//! entries. Promises: the folder is held by a lock on itself, so that removing a file lets nobody
//! else in; nothing is written into a folder that has taken its place.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{AgentError, MAKE};
use crate::host;

const LOCK: &str = "agent.lock";
const INCARNATION: &str = "incarnation";
pub(crate) const LIST: &str = "nodes.json";
pub(crate) const LOGS: &str = "logs";
/// Where nodes have their data, unless they were given another folder.
pub(crate) const NODES: &str = "nodes";
/// How a file ends that is written to be renamed.
const UNFINISHED: &str = ".new";
/// The names of unfinished files in earlier versions.
const UNFINISHED_OF_OLD: [&str; 2] = ["incarnation.new", "nodes.new"];
/// The agent's files and folders are nobody else's to read.
pub(crate) const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Whether an entry of the agent's folder is its own, so that no node's folder is or lies in it.
pub(crate) fn is_reserved(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_like = |own: &str| {
        name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    [LOCK, INCARNATION, LIST].into_iter().any(is_like)
        || name == LOGS
        || UNFINISHED_OF_OLD.contains(&&*name)
}

/// The folder, held until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Its path: absolute, without symlinks.
    root: PathBuf,
    /// What the master knows this agent by, and no copy of its folder.
    incarnation: u64,
    /// The folder itself, locked.
    held: File,
    _lock: File,
}

impl Folder {
    /// Makes the folder where there is none, takes its locks, removes what was left unfinished, and
    /// reads or draws the incarnation.
    pub(crate) fn open(path: &Path) -> Result<Self, AgentError> {
        make(path).map_err(AgentError::file(MAKE, path))?;
        let root = fs::canonicalize(path).map_err(AgentError::file("open", path))?;
        let held = File::open(&root).map_err(AgentError::file("open", &root))?;
        let is_ours = try_lock(&held).map_err(AgentError::file("lock", &root))?;
        // An agent of an earlier version has locked nothing but the file.
        let lock = lock_file(&root, is_ours)?;
        remove_unfinished(&root);
        let logs = root.join(LOGS);
        make(&logs).map_err(AgentError::file(MAKE, &logs))?;
        let incarnation = incarnation(&root, &held)?;
        Ok(Self { root, incarnation, held, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What the master knows this agent by.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Replaces a file of the folder, unless the folder has been moved away or another one has come
    /// in its place.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), AgentError> {
        self.check_place()?;
        replace(&self.root.join(name), bytes)
    }

    fn check_place(&self) -> Result<(), AgentError> {
        let held = self.held.metadata().map_err(AgentError::file("look at", &self.root))?;
        match fs::metadata(&self.root) {
            Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => Ok(()),
            Ok(_) => Err(AgentError::Replaced { folder: self.root.clone() }),
            Err(error) => Err(AgentError::file("look at", &self.root)(error)),
        }
    }
}

/// Makes a folder that is its owner's alone, and what is missing around it. One that is there stays
/// as it is.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// The same for one folder, which must not be there.
pub(crate) fn make_new(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path)
}

/// An exclusive flock(2), which ends with the process however that ends. A node does not inherit
/// it.
fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Locks the file that says who has the folder. `is_ours`: whether nobody has the folder itself.
fn lock_file(root: &Path, is_ours: bool) -> Result<File, AgentError> {
    let path = root.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut file = options.open(&path).map_err(AgentError::file("open", &path))?;
    if !is_ours || !try_lock(&file).map_err(AgentError::file("lock", &path))? {
        let mut text = String::new();
        // A holder that has not written its pid yet is another process all the same.
        let _ = file.take(64).read_to_string(&mut text);
        let pid = text.trim().parse::<u32>();
        let holder =
            pid.map_or_else(|_| "another process".to_owned(), |pid| format!("process {pid}"));
        return Err(AgentError::Locked { folder: root.to_owned(), holder });
    }
    let text = format!("{}\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(AgentError::file("write to", &path))?;
    Ok(file)
}

/// Removes what an agent that was killed had begun to write.
fn remove_unfinished(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_reserved(&name) && name.to_string_lossy().ends_with(UNFINISHED) {
            // One that stays takes up room, and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What the master knows an agent by, and the folder that it was drawn for.
#[derive(Debug, Serialize, Deserialize)]
struct Incarnation {
    number: u64,
    #[serde(rename = "place")]
    folder: FolderIdentity,
}

/// What tells a folder from its copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FolderIdentity {
    device: u64,
    inode: u64,
    boot: String,
    machine: String,
    hostname: String,
}

impl FolderIdentity {
    fn of(folder: &File) -> io::Result<Self> {
        let folder = folder.metadata()?;
        let (boot, machine, hostname) = (host::boot_id(), host::machine_id(), host::name());
        Ok(Self { device: folder.dev(), inode: folder.ino(), boot, machine, hostname })
    }

    /// Whether both are one folder on one machine. Within a boot the folder itself says so,
    /// whatever the host is called; over a boot devices get other numbers, and a machine's copy has
    /// its id.
    fn is(&self, other: &Self) -> bool {
        let is_same_boot = !self.boot.is_empty() && self.boot == other.boot;
        self.inode == other.inode
            && if is_same_boot {
                self.device == other.device
            } else {
                self.machine == other.machine && self.hostname == other.hostname
            }
    }
}

/// The folder's incarnation: kept as long as the folder stays where it is, drawn anew for a copy.
fn incarnation(root: &Path, folder: &File) -> Result<u64, AgentError> {
    let path = root.join(INCARNATION);
    let here = FolderIdentity::of(folder).map_err(AgentError::file("look at", root))?;
    let number = match fs::read_to_string(&path) {
        Ok(text) => match serde_json::from_str::<Incarnation>(&text) {
            Ok(known) if known.folder == here => return Ok(known.number),
            Ok(known) if known.folder.is(&here) => known.number,
            Ok(_) => draw(),
            // As earlier versions wrote it, without its folder.
            Err(_) => text.trim().parse().map_err(|_| {
                let problem = "it holds no incarnation".into();
                AgentError::Damaged { file: path.clone(), problem }
            })?,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => draw(),
        Err(error) => return Err(AgentError::file("read", &path)(error)),
    };
    let text =
        serde_json::to_vec(&Incarnation { number, folder: here }).expect("plain values are JSON");
    replace(&path, &text)?;
    Ok(number)
}

/// 0 is an old agent's.
fn draw() -> u64 {
    rand::random_range(1..=u64::MAX)
}

/// Writes a file anew: a reader finds the old bytes or the new ones, also after a power cut. A
/// failure leaves the old ones. The name in between is this call's alone; a symlink stays one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let written =
        tempfile::Builder::new().prefix(&name).suffix(UNFINISHED).tempfile_in(folder).and_then(
            |mut file| {
                // Its mode is 0600. What is half written is removed when it is dropped: the disk
                // may need the room.
                file.write_all(bytes)?;
                file.as_file().sync_all()?;
                Ok(file)
            },
        );
    let new = written.map_err(AgentError::file("write", path))?;
    new.persist(path).map_err(|error| AgentError::file("replace", path)(error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(AgentError::file("sync", folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_agent_is_told_of_the_first_and_let_in_after_it() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        let error = Folder::open(place.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        let incarnation = first.incarnation;
        drop(first);
        assert_eq!(Folder::open(place.path()).unwrap().incarnation, incarnation);
    }

    #[test]
    fn a_lock_file_that_is_removed_lets_nobody_else_in() {
        let place = tempfile::tempdir().unwrap();
        let _first = Folder::open(place.path()).unwrap();
        fs::remove_file(place.path().join(LOCK)).unwrap();
        assert!(matches!(Folder::open(place.path()), Err(AgentError::Locked { .. })));
    }

    #[test]
    fn a_folder_is_itself_under_another_host_name_and_its_copy_is_another() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let here = FolderIdentity::of(&folder.held).unwrap();
        let again = |change: fn(&mut FolderIdentity)| {
            let mut other = here.clone();
            change(&mut other);
            here.is(&other)
        };
        assert!(
            again(|other| other.hostname += "-renamed") && again(|other| other.machine.clear())
        );
        assert!(again(|other| {
            other.boot += "later";
            other.device += 1;
        }));
        assert!(!again(|other| other.inode += 1) && !again(|other| other.device += 1));
        assert!(!again(|other| {
            other.boot += "later";
            other.machine += "copied";
        }));
        let incarnation = folder.incarnation;
        drop(folder);
        let copy = tempfile::tempdir().unwrap();
        fs::copy(place.path().join(INCARNATION), copy.path().join(INCARNATION)).unwrap();
        assert_ne!(Folder::open(copy.path()).unwrap().incarnation, incarnation);
        // As an earlier version wrote it.
        fs::write(place.path().join(INCARNATION), "4711\n").unwrap();
        for _ in 0..2 {
            assert_eq!(Folder::open(place.path()).unwrap().incarnation, 4711);
        }
    }

    #[test]
    fn files_are_replaced_whole_by_names_of_their_own_and_links_and_modes_are_kept_sensible() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere/list", place.path().join(LIST)).unwrap();
        fs::write(place.path().join("elsewhere/list"), "old").unwrap();
        for left in ["nodes.json.abc.new", "incarnation.xyz.new", "nodes.new", "nodes.json.bak"] {
            fs::write(place.path().join(left), "left by a kill").unwrap();
        }
        let folder = Folder::open(place.path()).unwrap();
        folder.replace(LIST, b"new").unwrap();
        assert!(place.path().join(LIST).is_symlink());
        let target = place.path().join("elsewhere/list");
        assert_eq!(
            (fs::read(&target).unwrap(), fs::metadata(&target).unwrap().mode() & 0o777),
            (b"new".into(), 0o600)
        );
        let mut names: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [LOCK, "elsewhere", INCARNATION, LOGS, LIST, "nodes.json.bak"]);
        assert_eq!(fs::metadata(place.path().join(LOGS)).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn nothing_is_written_into_a_folder_that_has_come_in_anothers_place() {
        let place = tempfile::tempdir().unwrap();
        let (here, moved) = (place.path().join("agent"), place.path().join("moved"));
        let folder = Folder::open(&here).unwrap();
        fs::rename(&here, &moved).unwrap();
        assert!(matches!(folder.replace(LIST, b"x"), Err(AgentError::File { .. })));
        fs::create_dir(&here).unwrap();
        let words = folder.replace(LIST, b"x").unwrap_err().to_string();
        assert!(words.contains("another folder"), "{words}");
        assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
    }

    #[test]
    fn an_incarnation_that_is_no_number_is_not_drawn_anew() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(INCARNATION), "x").unwrap();
        assert!(matches!(Folder::open(place.path()), Err(AgentError::Damaged { .. })));
    }
}
