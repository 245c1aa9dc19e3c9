//! A backup into a folder: what earlier ones lack is fetched, and the catalog comes last.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sutra_client::BackupDone;
use sutra_client::blocking::Client;
use sutra_store::{LogFault, LogPlace, SegmentHeader};

use crate::catalog::{Catalog, CatalogFault, CatalogSegment, CatalogShard, Piece};
use crate::piece::{Passing, PieceName};
use crate::remote::{Cut, Remote, ShardOfCut};
use crate::repository::{Known, NewFile, Repository};
use crate::{BackupError, Progress, link};

/// What a backup has done.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its catalog.
    pub catalog: PathBuf,
    /// The store's random number.
    pub store: u64,
    /// When the cut was taken, in µs since 1970.
    pub taken: u64,
    /// Bytes of the logs that it covers.
    pub bytes: u64,
    /// Of these, what was read from the server.
    pub fetched: u64,
    /// What shares its blocks with the server's own files.
    pub shared: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Earlier backups that were removed.
    pub removed: usize,
    /// Why not all of the earlier backups could be removed that were to be.
    pub unremoved: Option<String>,
    /// Why the server could not be told that it is complete.
    pub untold: Option<String>,
}

/// Takes a backup of a server into a folder; of all that are there then, only the last `keep` stay.
///
/// # Errors
/// The folder is for something else or in use, the server refuses, or something does not check out.
/// No backup is there then that was not there before.
pub fn take(
    client: &Client,
    folder: &Path,
    keep: Option<usize>,
    version: &str,
    progress: &mut dyn Progress,
) -> Result<Taken, BackupError> {
    let began = Instant::now();
    let remote = Remote::new(client);
    let mut repository = Repository::for_writing(folder)?;
    repository.refuse_another(remote.store())?;
    repository.tidy_up()?;
    let cut = remote.cut()?;
    repository.refuse_earlier(cut.taken)?;
    progress.begin(cut.bytes());
    let mut taking = Taking::new(&remote, &repository, progress)?;
    let shards = taking.shards(&cut)?;
    let (fetched, shared) = (taking.fetched, taking.shared);
    let (bytes, taken, store) = (cut.bytes(), cut.taken, cut.facts.store);
    let catalog = repository.add(Catalog::new(version, taken, cut.facts, shards))?;
    // The backup is there from here on, whatever else goes wrong.
    let (removed, unremoved) = match keep.map_or(Ok(0), |keep| repository.keep(keep)) {
        Ok(removed) => (removed, None),
        Err(error) => (0, Some(error.to_string())),
    };
    let elapsed = began.elapsed();
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let untold = remote.done(BackupDone { taken, bytes, elapsed: micros }).err();
    let untold = untold.map(|error| error.to_string());
    Ok(Taken { catalog, store, taken, bytes, fetched, shared, elapsed, removed, unremoved, untold })
}

/// A backup on its way.
struct Taking<'a> {
    remote: &'a Remote<'a>,
    repository: &'a Repository,
    known: Known,
    /// Whether anything of the shard that is taken was there already.
    is_known: bool,
    fetched: u64,
    shared: u64,
    progress: &'a mut dyn Progress,
}

impl<'a> Taking<'a> {
    fn new(
        remote: &'a Remote<'a>,
        repository: &'a Repository,
        progress: &'a mut dyn Progress,
    ) -> Result<Self, BackupError> {
        let known = repository.known()?;
        let (is_known, fetched, shared) = (false, 0, 0);
        Ok(Self { remote, repository, known, is_known, fetched, shared, progress })
    }

    fn shards(&mut self, cut: &Cut) -> Result<Vec<CatalogShard>, BackupError> {
        let mut shards = Vec::with_capacity(cut.shards.len());
        for (shard, ShardOfCut { last, segments }) in (0..).zip(&cut.shards) {
            self.is_known = false;
            let mut place = LogPlace::default();
            let mut taken = Vec::with_capacity(segments.len());
            for (at, (header, end)) in (1..).zip(segments) {
                let is_full = at < segments.len();
                let segment = self.segment(cut, header, *end, is_full, place)?;
                place = segment.pieces.last().map_or(place, |piece| piece.end);
                taken.push(segment);
            }
            if (place.commit, place.crc32c) != *last {
                return Err(match self.is_known {
                    true => another_log(self.repository, shard),
                    false => CatalogFault::new("a log does not end as the cut says").into(),
                });
            }
            shards.push(CatalogShard { commit: last.0, segments: taken });
        }
        Ok(shards)
    }

    /// A segment up to `end`, where the log before it ends at `place`.
    fn segment(
        &mut self,
        cut: &Cut,
        header: &SegmentHeader,
        end: u32,
        is_full: bool,
        place: LogPlace,
    ) -> Result<CatalogSegment, BackupError> {
        let &SegmentHeader { shard, number, generation, block, .. } = header;
        let mut pieces = self.known.of(shard, number, generation, end);
        self.is_known |= !pieces.is_empty();
        let from = pieces.last().map_or(0, |piece| piece.to);
        let place = pieces.last().map_or(place, |piece| piece.end);
        self.progress.advance(u64::from(from));
        if from < end {
            let name = PieceName { shard, number, generation, from, to: end };
            pieces.push(self.piece(cut, header, &name, is_full, place)?);
        }
        let capacity = u32::try_from(header.capacity).expect("the cut was checked");
        Ok(CatalogSegment { generation, block, capacity, pieces })
    }

    fn piece(
        &mut self,
        cut: &Cut,
        header: &SegmentHeader,
        name: &PieceName,
        is_full: bool,
        place: LogPlace,
    ) -> Result<Piece, BackupError> {
        let folder = self.repository.shard(name.shard)?;
        if is_full
            && name.from == 0
            && let Some(piece) = link::take(Path::new(&cut.data), header, name, place, &folder)?
        {
            self.shared += piece.bytes();
            self.progress.advance(piece.bytes());
            return Ok(piece);
        }
        let first = if name.from == 0 { header.first_commit() as u64 } else { name.from.into() };
        let (is_known, repository) = (self.is_known, self.repository);
        let log = |fault: LogFault| match is_known && fault.offset == first {
            // The next commit does not follow what was there already.
            true => another_log(repository, name.shard),
            false => BackupError::Log { shard: name.shard, segment: name.number, fault },
        };
        let file_name = name.file();
        let mut file = NewFile::create(&folder, &file_name)?;
        let mut passing = Passing::new(*name, *header, place);
        let Self { remote, progress, fetched, .. } = self;
        remote.read(header, name.from..name.to, |bytes| {
            passing.pass(bytes).map_err(log)?;
            file.append(bytes)?;
            *fetched += bytes.len() as u64;
            progress.advance(bytes.len() as u64);
            Ok(())
        })?;
        let piece = passing.finish().map_err(log)?;
        file.finish()?;
        Ok(piece)
    }
}

/// The server's log does not go on from what the folder has of it.
fn another_log(repository: &Repository, shard: u16) -> BackupError {
    BackupError::AnotherLog { folder: repository.path().to_owned(), shard }
}
