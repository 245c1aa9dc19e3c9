//! From a folder of backups to a store.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sutra_runtime::in_context;
use sutra_store::{LogPlace, Remake, SegmentHeader};

use crate::catalog::{Catalog, Piece};
use crate::piece::{Passing, PieceName};
use crate::repository::{Repository, name_of};
use crate::{BackupError, Progress};

/// Bytes that are read and checked at a time.
const CHUNK: usize = 1 << 20;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was taken, in µs since 1970.
    pub taken: u64,
    /// Bytes of the logs.
    pub bytes: u64,
    /// Number of shards, which is that of the cores that serve the store.
    pub cores: usize,
}

impl Restored {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        Self { taken: catalog.taken, bytes: catalog.bytes(), cores: catalog.shards.len() }
    }
}

/// Makes a store in `data` of the last backup in a folder, or of the last one that was taken by
/// `at`, in µs since 1970.
///
/// # Errors
/// There is no such backup, it is not complete or damaged, or the store can't be made. Then `data`
/// is as empty as it was.
pub fn restore_folder(
    folder: &Path,
    at: Option<u64>,
    data: &Path,
    progress: &mut dyn Progress,
) -> Result<Restored, BackupError> {
    let repository = Repository::for_reading(folder)?;
    let catalog = chosen(&repository, at)?;
    // Before anything is written.
    for (shard, number, segment, piece) in catalog.pieces() {
        repository.open_piece(&name_of(shard, number, segment, piece))?;
    }
    progress.begin(catalog.bytes());
    let mut remake = Remake::begin(data)?;
    match write_all(&repository, catalog, &mut remake, progress) {
        Ok(()) => {
            let commits: Vec<u64> = catalog.shards.iter().map(|shard| shard.commit).collect();
            remake.finish(&catalog.facts(), &commits)?;
            Ok(Restored::of(catalog))
        }
        Err(error) => {
            remake.abandon()?;
            Err(error)
        }
    }
}

/// The backup that is asked for.
fn chosen(repository: &Repository, at: Option<u64>) -> Result<&Catalog, BackupError> {
    let last = repository.catalogs().rfind(|catalog| at.is_none_or(|at| catalog.taken <= at));
    // One that can't be read may be the one that is asked for: that is not passed over.
    let unreadable = repository.unreadable().next();
    match (last, unreadable) {
        (_, Some((file, what))) if at.is_none() => {
            Err(BackupError::Catalog { file, what: what.to_owned() })
        }
        (Some(catalog), _) => Ok(catalog),
        (None, Some((file, what))) => Err(BackupError::Catalog { file, what: what.to_owned() }),
        (None, None) => {
            let first = repository.catalogs().next();
            let when = first.map(|_| " that was taken by then").unwrap_or_default();
            Err(BackupError::NoBackup { folder: repository.path().to_owned(), when: when.into() })
        }
    }
}

fn write_all(
    repository: &Repository,
    catalog: &Catalog,
    remake: &mut Remake,
    progress: &mut dyn Progress,
) -> Result<(), BackupError> {
    let mut place = LogPlace::default();
    let mut begun = None;
    for (shard, number, segment, piece) in catalog.pieces() {
        let header = catalog.header(shard, number, segment);
        if piece.from == 0 {
            remake.segment(&header)?;
            if begun.replace(shard) != Some(shard) {
                place = LogPlace::default();
            }
        }
        let name = name_of(shard, number, segment, piece);
        let mut reading = Reading::open(repository, name, &header, place)?;
        while let Some(bytes) = reading.next()? {
            remake.write(bytes)?;
            progress.advance(bytes.len() as u64);
        }
        reading.finish(piece)?;
        place = piece.end;
    }
    Ok(())
}

/// A piece that is read and checked.
struct Reading {
    file: File,
    path: PathBuf,
    from: u64,
    left: usize,
    passing: Passing,
    buffer: Vec<u8>,
}

impl Reading {
    fn open(
        repository: &Repository,
        name: PieceName,
        header: &SegmentHeader,
        place: LogPlace,
    ) -> Result<Self, BackupError> {
        let (file, path) = repository.open_piece(&name)?;
        let passing = Passing::new(name, *header, place);
        let (from, left) = (u64::from(name.from), (name.to - name.from) as usize);
        Ok(Self { file, path, from, left, passing, buffer: vec![0; CHUNK] })
    }

    /// The next bytes; `None` where there are no more.
    fn next(&mut self) -> Result<Option<&[u8]>, BackupError> {
        if self.left == 0 {
            return Ok(None);
        }
        let chunk = &mut self.buffer[..CHUNK.min(self.left)];
        self.file.read_exact(chunk).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => BackupError::Damage {
                file: self.path.clone(),
                offset: self.file.metadata().map_or(0, |found| found.len()),
                what: "the file ends there".to_owned(),
            },
            _ => in_context("read", &self.path)(error).into(),
        })?;
        self.left -= chunk.len();
        self.passing.pass(chunk).map_err(|fault| BackupError::Damage {
            file: self.path.clone(),
            // A fault names the byte of the segment.
            offset: fault.offset.saturating_sub(self.from),
            what: fault.what,
        })?;
        Ok(Some(chunk))
    }

    /// All of it was read: it has to be the piece that the catalog names.
    fn finish(self, piece: &Piece) -> Result<(), BackupError> {
        let damage = |offset: u64, what: String| BackupError::Damage {
            file: self.path.clone(),
            offset,
            what,
        };
        match self.passing.finish() {
            Ok(found) if found == *piece => Ok(()),
            Ok(_) => Err(damage(0, "it is not the piece that the catalog names".to_owned())),
            Err(fault) => Err(damage(fault.offset.saturating_sub(self.from), fault.what)),
        }
    }
}
