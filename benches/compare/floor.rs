//! The disk alone: a bare loop of group-committed, block-aligned writes of the same bytes to the
//! same disk.
//!
//! It has no clients: each of its commits carries one record of every writer. So it is what the
//! disk would give if gathering requests, the network and the table cost nothing.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use sutra_load::Report;
use tempfile::TempDir;

use crate::Outcome;
use crate::aligned::{Aligned, BLOCK};
use crate::process::folder;

/// Bytes of the file, which is written from its start again when it is full.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes that the log adds: once for each record, and twice for a commit.
const ENTRY_BYTES: usize = 32;

/// A zero-filled file, opened as the log opens its segments.
pub(crate) struct Floor {
    file: File,
    _folder: TempDir,
}

impl Floor {
    pub(crate) fn create() -> Outcome<Self> {
        let folder = folder()?;
        let flags = i32::try_from((OFlags::DIRECT | OFlags::DSYNC).bits())?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .custom_flags(flags)
            .open(folder.path().join("floor"))?;
        let zeros = Aligned::new(1 << 20);
        for step in 0..FILE_BYTES >> 20 {
            file.write_all_at(zeros.bytes(), step << 20)?;
        }
        Ok(Self { file, _folder: folder })
    }

    /// Makes commits one after the other, each with one record of every writer, `archived` bytes
    /// long. Returns a report that can stand beside those of servers.
    pub(crate) fn report(
        &self,
        writers: usize,
        archived: usize,
        measured: Duration,
    ) -> Outcome<Report> {
        let commit = writers * (ENTRY_BYTES + archived.next_multiple_of(16)) + 2 * ENTRY_BYTES;
        let bytes = Aligned::new(commit.next_multiple_of(BLOCK));
        let commit = bytes.bytes().len() as u64;
        let (mut offset, mut commits) = (0, 0u64);
        let start = Instant::now();
        while start.elapsed() < measured {
            if offset + commit > FILE_BYTES {
                offset = 0;
            }
            self.file.write_all_at(bytes.bytes(), offset)?;
            offset += commit;
            commits += 1;
        }
        let (seconds, requests) = (start.elapsed().as_secs_f64(), commits * writers as u64);
        Ok(Report {
            operation: "commit".into(),
            connections: writers,
            seconds,
            requests,
            requests_per_second: requests as f64 / seconds,
            ..Report::default()
        })
    }
}
