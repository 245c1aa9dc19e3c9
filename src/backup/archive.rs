//! A backup as one stream, and back: a tar archive of the pieces and, at its end, the catalog.
//!
//! Each segment is one piece. A stream that was cut off has no catalog, and is refused.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use sutra_client::SharedBytes;
use sutra_client::blocking::Client;
use sutra_store::{LogPlace, Remake, SEGMENT_HEADER, SegmentHeader};
use tar::{Archive, Builder, Entry, Header};

use crate::catalog::{Catalog, CatalogSegment, CatalogShard, MAX_BYTES, Piece};
use crate::piece::{Passing, PieceName};
use crate::remote::{Cut, Remote};
use crate::repository::name_of;
use crate::restore::Restored;
use crate::{BackupError, Progress};

/// The catalog's name in a stream.
const CATALOG: &str = "backup.json";
/// Bytes that are read and checked at a time.
const CHUNK: usize = 1 << 20;

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// The store's random number.
    pub store: u64,
    /// When the cut was taken, in µs since 1970.
    pub taken: u64,
    /// Bytes of the logs that it covers.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Writes a backup of a server as one stream. The server is not told: only who keeps the stream
/// knows whether all of it arrived.
///
/// # Errors
/// The server refuses, something does not check out, or the stream can't be written. It has no
/// catalog then.
pub fn write_stream(
    client: &Client,
    out: impl Write,
    version: &str,
    progress: &mut dyn Progress,
) -> Result<Streamed, BackupError> {
    let began = Instant::now();
    let remote = Remote::new(client);
    let cut = remote.cut()?;
    progress.begin(cut.bytes());
    let mut writing = Writing { out: Builder::new(out), remote: &remote, cut: &cut, progress };
    let mut shards = Vec::with_capacity(cut.shards.len());
    for (commit, segments) in &cut.shards {
        let mut place = LogPlace::default();
        let mut written = Vec::with_capacity(segments.len());
        for (header, end) in segments {
            let piece = writing.segment(header, *end, place)?;
            place = piece.end;
            let &SegmentHeader { generation, block, .. } = header;
            let capacity = u32::try_from(header.capacity).expect("the cut was checked");
            written.push(CatalogSegment { generation, block, capacity, pieces: vec![piece] });
        }
        shards.push(CatalogShard { commit: *commit, segments: written });
    }
    let Writing { mut out, .. } = writing;
    let (store, taken, bytes) = (cut.facts.store, cut.taken, cut.bytes());
    let catalog = Catalog::new(version, taken, cut.facts.clone(), shards).encode();
    append(&mut out, CATALOG, catalog.len() as u64, taken, &catalog[..])?;
    out.into_inner().and_then(|mut out| out.flush()).map_err(cannot_write)?;
    Ok(Streamed { store, taken, bytes, elapsed: began.elapsed() })
}

/// A stream on its way.
struct Writing<'a, W: Write> {
    out: Builder<W>,
    remote: &'a Remote<'a>,
    cut: &'a Cut,
    progress: &'a mut dyn Progress,
}

impl<W: Write> Writing<'_, W> {
    fn segment(
        &mut self,
        header: &SegmentHeader,
        end: u32,
        place: LogPlace,
    ) -> Result<Piece, BackupError> {
        let &SegmentHeader { shard, number, generation, .. } = header;
        let name = PieceName { shard, number, generation, from: 0, to: end };
        let mut sending = Sending {
            remote: self.remote,
            header,
            left: 0..end,
            held: None,
            sent: 0,
            passing: Passing::new(name, *header, place),
            failed: None,
            progress: &mut *self.progress,
        };
        let (size, taken) = (u64::from(end), self.cut.taken);
        let appended = append(&mut self.out, &name.to_string(), size, taken, &mut sending);
        if let Some(error) = sending.failed {
            return Err(error);
        }
        appended?;
        let log = |fault| BackupError::Log { shard, segment: number, fault };
        sending.passing.finish().map_err(log)
    }
}

/// A segment as it is sent.
struct Sending<'a> {
    remote: &'a Remote<'a>,
    header: &'a SegmentHeader,
    /// What was not asked for yet.
    left: std::ops::Range<u32>,
    /// What was received last, and how much of it was sent.
    held: Option<SharedBytes>,
    sent: usize,
    passing: Passing,
    /// Why there is no more, where that is no fault of the stream's.
    failed: Option<BackupError>,
    progress: &'a mut dyn Progress,
}

impl Sending<'_> {
    fn fetch(&mut self) -> Result<(), BackupError> {
        let (shard, segment) = (self.header.shard, self.header.number);
        let bytes = self.remote.read_once(self.header, self.left.start, self.left.len() as u32)?;
        self.passing.pass(&bytes).map_err(|fault| BackupError::Log { shard, segment, fault })?;
        self.left.start += bytes.len() as u32;
        self.progress.advance(bytes.len() as u64);
        (self.held, self.sent) = (Some(bytes), 0);
        Ok(())
    }
}

impl Read for Sending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let has_more = self.held.as_ref().is_some_and(|held| self.sent < held.len());
        if !has_more && !self.left.is_empty() {
            self.fetch().map_err(|error| {
                self.failed = Some(error);
                io::Error::other("the log could not be read")
            })?;
        }
        let rest = self.held.as_ref().map_or(&[][..], |held| &held[self.sent..]);
        let count = buffer.len().min(rest.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.sent += count;
        Ok(count)
    }
}

/// Adds a file to a stream.
fn append(
    out: &mut Builder<impl Write>,
    name: &str,
    size: u64,
    taken: u64,
    bytes: impl Read,
) -> Result<(), BackupError> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(taken / 1_000_000);
    Ok(out.append_data(&mut header, name, bytes).map_err(cannot_write)?)
}

fn cannot_write(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write the stream: {error}"))
}

/// Makes a store in `data` of a stream.
///
/// # Errors
/// The stream is not a whole backup, or the store can't be made. Then `data` is as empty as it was.
pub fn restore_stream(
    stream: impl Read,
    data: &Path,
    progress: &mut dyn Progress,
) -> Result<Restored, BackupError> {
    let mut remake = Remake::begin(data)?;
    match read_all(stream, &mut remake, progress) {
        Ok(catalog) => {
            let commits: Vec<u64> = catalog.shards.iter().map(|shard| shard.commit).collect();
            remake.finish(&catalog.facts(), &commits)?;
            Ok(Restored::of(&catalog))
        }
        Err(error) => {
            remake.abandon()?;
            Err(error)
        }
    }
}

fn wrong(what: impl Into<String>) -> BackupError {
    BackupError::Stream { what: what.into() }
}

/// Writes what comes, and checks it against the catalog at the end.
fn read_all(
    stream: impl Read,
    remake: &mut Remake,
    progress: &mut dyn Progress,
) -> Result<Catalog, BackupError> {
    let cut_off = |error: io::Error| wrong(format!("the stream can't be read on ({error})"));
    let mut archive = Archive::new(stream);
    let mut pieces: Vec<(PieceName, Piece)> = Vec::new();
    for entry in archive.entries().map_err(cut_off)? {
        let mut entry = entry.map_err(cut_off)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if path == CATALOG {
            let mut bytes = Vec::new();
            entry.by_ref().take(MAX_BYTES).read_to_end(&mut bytes).map_err(cut_off)?;
            let catalog = Catalog::decode(&bytes).map_err(|fault| wrong(fault.to_string()))?;
            return match names_all(&catalog, &pieces) {
                true => Ok(catalog),
                false => Err(wrong("the catalog names other pieces than came")),
            };
        }
        let name = PieceName::parse(&path).filter(|name| follows(&pieces, name));
        let name = name.ok_or_else(|| wrong(format!("{path} has no place in a stream")))?;
        pieces.push((name, read_piece(&mut entry, name, &pieces, remake, progress)?));
    }
    Err(wrong("it has no catalog, so it was cut off"))
}

/// Whether a piece is the next of a stream: segment after segment, shard after shard.
fn follows(pieces: &[(PieceName, Piece)], name: &PieceName) -> bool {
    let first = pieces.first().map_or(name.number, |(first, _)| first.number);
    let next = match pieces.last() {
        None => (0, first),
        Some((last, _)) if last.shard == name.shard => (last.shard, last.number.saturating_add(1)),
        Some((last, _)) => (last.shard.saturating_add(1), first),
    };
    (name.shard, name.number) == next && name.from == 0
}

fn names_all(catalog: &Catalog, pieces: &[(PieceName, Piece)]) -> bool {
    let named = catalog
        .pieces()
        .map(|(shard, number, segment, piece)| (name_of(shard, number, segment, piece), *piece));
    named.eq(pieces.iter().copied())
}

/// A segment as it comes: checked, and written.
fn read_piece<R: Read>(
    entry: &mut Entry<'_, R>,
    name: PieceName,
    before: &[(PieceName, Piece)],
    remake: &mut Remake,
    progress: &mut dyn Progress,
) -> Result<Piece, BackupError> {
    let damaged = |offset: u64, what: String| wrong(format!("{name}, byte {offset}: {what}"));
    let cut_off = |error: io::Error| wrong(format!("{name} can't be read ({error})"));
    let mut buffer = vec![0; CHUNK];
    let mut left = name.to as usize;
    let first = &mut buffer[..SEGMENT_HEADER.min(left)];
    entry.read_exact(first).map_err(cut_off)?;
    let header = SegmentHeader::decode(first).map_err(|fault| damaged(0, fault.to_string()))?;
    let SegmentHeader { shard, number, generation, .. } = header;
    if (shard, number, generation) != (name.shard, name.number, name.generation) {
        return Err(damaged(0, "this is the header of another segment".to_owned()));
    }
    let last = before.last().filter(|(last, _)| last.shard == shard);
    let place = last.map_or_else(LogPlace::default, |(_, piece)| piece.end);
    let mut passing = Passing::new(name, header, place);
    remake.segment(&header)?;
    let mut chunk = first.len();
    while left > 0 {
        let bytes = &buffer[..chunk];
        passing.pass(bytes).map_err(|fault| damaged(fault.offset, fault.what))?;
        remake.write(bytes)?;
        progress.advance(chunk as u64);
        left -= chunk;
        chunk = CHUNK.min(left);
        entry.read_exact(&mut buffer[..chunk]).map_err(cut_off)?;
    }
    passing.finish().map_err(|fault| damaged(fault.offset, fault.what))
}
