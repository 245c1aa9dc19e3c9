//! A full segment taken from the server's own folder, where that is on this host: its blocks are
//! shared, and no byte is written.
//!
//! A full segment never changes. Where the filesystem can share blocks between files (btrfs, xfs),
//! the piece is a file of its own that shares them (FICLONE). Else it is the same file under a
//! second name (a hard link). It is read and checked like every other piece.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, OFlags};
use sutra_runtime::{Folder, in_context};
use sutra_store::{LogPlace, SEGMENT_HEADER, SegmentHeader};

use crate::BackupError;
use crate::catalog::Piece;
use crate::piece::{Passing, PieceName};
use crate::remote::pause;
use crate::repository::{new_name, remove};

/// Bytes that are read and checked at a time.
const CHUNK: usize = 1 << 20;

/// Takes a whole segment from a data folder. `None` where that can't be: it is on another host or
/// filesystem, this user may not, or what is there is not the segment.
pub(crate) fn take(
    data: &Path,
    header: &SegmentHeader,
    name: &PieceName,
    place: LogPlace,
    into: &Folder,
) -> Result<Option<Piece>, BackupError> {
    let Some(segment) = find(data, header) else { return Ok(None) };
    let file_name = name.file();
    let new = new_name(&file_name);
    // What an interrupted backup has left may be a segment of the server's under this name.
    remove(into, &new)?;
    if !clone(&segment, into, &new)? && !link(data, header, into, &new) {
        return Ok(None);
    }
    let file = into.plain_file(&new, OFlags::RDONLY)?;
    let piece = checked(&file, header, name, place);
    match piece {
        Some(_) => {
            file.sync_all().map_err(in_context("sync", &into.path().join(&new)))?;
            into.rename(&new, &file_name)?;
        }
        None => into.remove(&new)?,
    }
    Ok(piece)
}

/// Makes a file that shares the segment's blocks; whether the filesystem can.
fn clone(segment: &File, into: &Folder, new: &str) -> Result<bool, BackupError> {
    let file = into.file(new, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
    if rustix::fs::ioctl_ficlone(&file, segment).is_ok() {
        return Ok(true);
    }
    into.remove(new)?;
    Ok(false)
}

/// Gives the segment's file a second name; whether that can be. What it holds is checked like
/// everything else, so it does not matter if it was replaced since.
fn link(data: &Path, header: &SegmentHeader, into: &Folder, new: &str) -> bool {
    let (from, to) = (path_of(data, header), into.path().join(new));
    rustix::fs::linkat(CWD, &from, CWD, &to, AtFlags::empty()).is_ok()
}

fn path_of(data: &Path, header: &SegmentHeader) -> std::path::PathBuf {
    data.join(format!("shard-{:03}/segment-{:08}.log", header.shard, header.number))
}

/// The segment's file, where it is there and has this header.
fn find(data: &Path, header: &SegmentHeader) -> Option<File> {
    let path = path_of(data, header);
    let folder = Folder::open(path.parent()?).ok()?;
    let mut file = folder.plain_file(path.file_name()?.to_str()?, OFlags::RDONLY).ok()?;
    let mut bytes = [0; SEGMENT_HEADER];
    file.read_exact(&mut bytes).ok()?;
    (SegmentHeader::decode(&bytes).ok()? == *header).then_some(file)
}

/// The piece that a file holds, where it checks out.
fn checked(
    file: &File,
    header: &SegmentHeader,
    name: &PieceName,
    place: LogPlace,
) -> Option<Piece> {
    let mut passing = Passing::new(*name, *header, place);
    let (mut left, mut buffer) = (name.to as usize, vec![0; CHUNK]);
    let mut file = file;
    while left > 0 {
        let began = Instant::now();
        let chunk = &mut buffer[..CHUNK.min(left)];
        file.read_exact(chunk).ok()?;
        passing.pass(chunk).ok()?;
        left -= chunk.len();
        pause(began);
    }
    passing.finish().ok()
}
