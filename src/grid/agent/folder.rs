//! The agent's folder: one agent at a time, what tells it from others with its name, and how its files are replaced.
//!
//! Nodes' data, logs and the list lie below it; the names of the agent's own entries are no node's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::AgentError;

const LOCK: &str = "agent.lock";
const INCARNATION: &str = "incarnation";
pub(super) const LIST: &str = "nodes.json";
pub(super) const LOGS: &str = "logs";
/// Where nodes have their data that were not told another place.
pub(super) const NODES: &str = "nodes";

/// What a node's folder can't be or lie in.
pub(super) const RESERVED: [&str; 6] = [LOCK, INCARNATION, "incarnation.new", LIST, "nodes.new", LOGS];

/// The folder, held until dropped.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute, without symlinks.
    pub(super) root: PathBuf,
    /// Drawn when the folder was made; with the agent's place it is what the master knows as its incarnation.
    pub(super) incarnation: u64,
    _lock: File,
}

impl Folder {
    /// Makes the folder where there is none, takes its lock, and reads or draws the incarnation.
    pub(super) fn open(path: &Path) -> Result<Self, AgentError> {
        fs::create_dir_all(path).map_err(AgentError::file("make", path))?;
        let root = fs::canonicalize(path).map_err(AgentError::file("open", path))?;
        let lock = lock(&root)?;
        let logs = root.join(LOGS);
        fs::create_dir_all(&logs).map_err(AgentError::file("make", &logs))?;
        let incarnation = incarnation(&root)?;
        Ok(Self { root, incarnation, _lock: lock })
    }
}

/// An exclusive flock(2), which ends with the process however that ends. A node does not inherit it.
fn lock(root: &Path) -> Result<File, AgentError> {
    let path = root.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(AgentError::file("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // A holder that has not written its pid yet is another process all the same.
            let _ = file.take(64).read_to_string(&mut text);
            let pid = text.trim().parse::<u32>();
            let holder = pid.map_or_else(|_| "another process".to_owned(), |pid| format!("process {pid}"));
            return Err(AgentError::Locked { folder: root.to_owned(), holder });
        }
        Err(error) => return Err(AgentError::file("lock", &path)(error.into())),
    }
    let text = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(AgentError::file("write to", &path))?;
    Ok(file)
}

fn incarnation(root: &Path) -> Result<u64, AgentError> {
    let path = root.join(INCARNATION);
    match fs::read_to_string(&path) {
        Ok(text) => {
            text.trim().parse().map_err(|_| AgentError::Damaged { file: path, problem: "it holds no number".into() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let drawn = rand::random_range(1..=u64::MAX);
            replace(&path, format!("{drawn}\n").as_bytes())?;
            Ok(drawn)
        }
        Err(error) => Err(AgentError::file("read", &path)(error)),
    }
}

/// Writes a file anew: a reader finds the old bytes or the new ones, also after a power cut. A failure leaves the old ones.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let new = path.with_extension("new");
    let written = File::create(&new).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    if let Err(error) = written {
        // What is half written takes up space that the disk may not have.
        let _ = fs::remove_file(&new);
        return Err(AgentError::file("write", &new)(error));
    }
    fs::rename(&new, path).map_err(AgentError::file("replace", path))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(AgentError::file("sync", folder))
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
    fn an_incarnation_that_is_no_number_is_not_drawn_anew() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(INCARNATION), "x").unwrap();
        assert!(matches!(Folder::open(place.path()), Err(AgentError::Damaged { .. })));
    }
}
