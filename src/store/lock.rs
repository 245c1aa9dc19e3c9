//! The lock on a data folder: one process at a time, and a second one is told which.
//!
//! An exclusive flock(2) on the file `lock`, which the kernel releases when the process ends however it ends. The file's text says
//! who holds it; it means nothing without the lock.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::StoreError;
use crate::disk::{Clock, SystemClock, in_context};

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn acquire(folder: &Path, listening: &str) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(in_context("open", &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // A holder that has not written its text yet is another process all the same.
                let _ = file.take(4096).read_to_string(&mut text);
                return Err(StoreError::Locked { folder: folder.to_owned(), holder: holder(&text, SystemClock.now()) });
            }
            Err(error) => return Err(in_context("lock", &path)(error.into()).into()),
        }
        let text = format!("{}\n{}\n{listening}\n", std::process::id(), SystemClock.now());
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(in_context("write to", &path))?;
        Ok(Self { _file: file })
    }
}

/// The lock file's text (pid, start in µs since 1970, addresses; one a line) in words.
fn holder(text: &str, now: u64) -> String {
    let mut lines = text.lines();
    let Some(pid) = lines.next().and_then(|line| line.parse::<u32>().ok()) else {
        return "another process".to_owned();
    };
    let mut holder = format!("process {pid}");
    if let Some(started) = lines.next().and_then(|line| line.parse::<u64>().ok()) {
        holder.push_str(&format!(", started {} s ago", now.saturating_sub(started) / 1_000_000));
    }
    match lines.next() {
        Some(listening) if !listening.is_empty() => holder + ", listening on " + listening,
        _ => holder,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_holder_is_told_of_the_first_and_let_in_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(folder.path(), "127.0.0.1:50050").unwrap();
        let error = FolderLock::acquire(folder.path(), "").unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("listening on 127.0.0.1:50050"), "{error}");
        drop(lock);
        FolderLock::acquire(folder.path(), "").unwrap();
    }

    #[test]
    fn any_text_in_the_lock_file_is_survived() {
        assert_eq!(holder("", 0), "another process");
        assert_eq!(holder("x\ny", 0), "another process");
        assert_eq!(holder("7\nsoon", 0), "process 7");
        assert_eq!(holder("7\n1000000\n", 3_500_000), "process 7, started 2 s ago");
    }
}
