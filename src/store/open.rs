//! Opening a store: the lock, the manifest, and all shards recovered at the same time.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sutra_wire::{CoreLayout, Durability, IdRule};

use crate::StoreError;
use crate::disk::{Clock, Disk, SegmentName, SystemClock};
use crate::exchange::Exchange;
use crate::file_disk::FileDisk;
use crate::keeper::Keeper;
use crate::manifest::Manifest;
use crate::marks::Position;
use crate::namespaces::Namespaces;
use crate::prepare::{FIRST_STEP, Preparation};
use crate::recovery::{Recovered, Replayed, ShardReport, Source, Uncut, Unwritten, recover};
use crate::remake;
use crate::repair::check_finished;
use crate::segment::{MAX_SEGMENT, MIN_SEGMENT, Segment, holds_data};
use crate::shard::Shard;
use crate::vectors::restore::{First, first_embeddings};
use crate::vectors::{Checkpoints, Records, Vectors};

/// The most shards: folders are numbered with three digits, and no host has more cores.
const MAX_CORES: usize = 1000;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Shards, one a core. A store keeps the number that it was made with.
    pub cores: usize,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Size of new segments, in bytes: 64 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// How a caller's string becomes an id in a store that is made: a store keeps its own. `None`
    /// takes what is there.
    pub id_rule: Option<IdRule>,
    /// Where the server listens, for the message that a second one gets.
    pub listening: String,
}

/// An open store.
pub struct Opened<T> {
    /// One for each core.
    pub shards: Vec<Shard<T>>,
    /// The namespaces, for all of them.
    pub namespaces: Arc<Namespaces>,
    /// Keeps the manifest; to be closed when the shards are no longer driven.
    pub keeper: Arc<Keeper>,
    /// How a caller's string becomes an id here.
    pub id_rule: IdRule,
    /// Drawn when the store was made.
    pub store_id: u64,
    /// When it was opened, in µs since 1970.
    pub started: u64,
    /// What recovery found.
    pub report: OpenReport,
}

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// By shard.
    pub shards: Vec<ShardReport>,
    /// From the lock to the last shard.
    pub elapsed: Duration,
}

impl OpenReport {
    /// Entries of the logs: concepts, associations and their removals, old versions among them.
    pub fn entries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.entries).sum()
    }

    /// Bytes of the logs.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// All of it by name, for programs.
    pub fn fields(&self) -> [(&'static str, u64); 4] {
        let elapsed = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        [
            ("entries", self.entries()),
            ("bytes", self.bytes()),
            ("cut_bytes", self.cut()),
            ("elapsed_us", elapsed),
        ]
    }

    /// Bytes of torn tails that were cut.
    pub fn cut(&self) -> u64 {
        self.shards.iter().map(|shard| shard.cut).sum()
    }
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.bytes() as f64 / f64::from(1 << 20);
        write!(f, "{} entries, {mebibytes:.1} MiB in {:.0?}", self.entries(), self.elapsed)?;
        match self.cut() {
            0 => Ok(()),
            cut => write!(f, "; {cut} bytes of an unfinished commit were cut"),
        }
    }
}

/// A folder with a log and a table for each core.
pub struct Store;

impl Store {
    /// Opens the store in a folder, or makes one. The folder stays locked until all that came of it
    /// is dropped.
    ///
    /// # Errors
    /// The folder is in use, can't be read or written, is damaged, or was made for another number
    /// of cores.
    pub fn open<T: Send>(folder: &Path, options: OpenOptions) -> Result<Opened<T>, StoreError> {
        check_finished(folder)?;
        let disk = FileDisk::open(folder, options.durability, &options.listening)?;
        remake::refuse_unfinished(&disk)?;
        let is_copy = disk.is_copy();
        if is_copy && options.cores > 1 {
            // Each shard is whole up to some commit. But they were copied at different times, so
            // together they may show a state that never was.
            let what = format!(
                "its {} shards were copied one after the other; to open them all the same, \
                 each as it was when it was copied, remove the file lock in it",
                options.cores
            );
            return Err(StoreError::Copy { folder: folder.to_owned(), what });
        }
        let opened = Self::open_on(Arc::new(disk), Arc::new(SystemClock), &options);
        opened.map_err(|error| if is_copy { error.of_copy(folder) } else { error })
    }

    /// Opens the store on a disk and with a clock of the caller's own.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on<T: Send>(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        options: &OpenOptions,
    ) -> Result<Opened<T>, StoreError> {
        let started_at = clock.monotonic();
        let (cores, segment_bytes) = check(options)?;
        let manifest = read_or_make(&*disk, cores, segment_bytes, options)?;
        // What was read may be the page cache's alone: its name may not be on the disk yet.
        disk.sync_folder()?;
        let (store, id_rule) = (manifest.store(), manifest.id_rule());
        let marks = manifest.marks().to_vec();
        let keeper = Arc::new(Keeper::new(manifest, Arc::clone(&disk)));
        let namespaces = Arc::new(Namespaces::new(Arc::clone(&keeper))?);
        let layout = CoreLayout::new(cores);
        let source = Source::new(
            Arc::clone(&disk),
            Arc::clone(&clock),
            store,
            layout,
            Arc::clone(&namespaces),
            segment_bytes,
        );
        let recovered = match disk.is_for_one_thread() {
            true => recover_in_turn(&source, &marks)?,
            false => recover_all(&source, &marks)?,
        };
        note_reached(&keeper, &recovered);
        keeper.mark()?;
        let highest = recovered.iter().map(|recovered| recovered.sequence).max().unwrap_or(0);
        let in_use = of_each(&*disk, &recovered, |_, recovered| recovered.graph.namespaces());
        let namespaces = namespaces.give_back(&in_use.into_iter().flatten().collect(), highest)?;
        let records: Vec<_> = recovered.iter().map(Recovered::records).collect();
        let vectors = restore_vectors(&disk, store, &namespaces, &records);
        drop(records);
        let store = Parts { disk, clock, keeper, namespaces, store, id_rule, segment_bytes };
        Ok(store.into_opened(recovered, vectors, options, started_at))
    }
}

/// What an open store is made of, beside its shards.
pub(crate) struct Parts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) namespaces: Arc<Namespaces>,
    /// Its random number.
    pub(crate) store: u64,
    pub(crate) id_rule: IdRule,
    pub(crate) segment_bytes: usize,
}

impl Parts {
    /// The store with these shards, which are to be served from here on.
    pub(crate) fn into_opened<T: Send>(
        self,
        recovered: Vec<Recovered>,
        vectors: Vec<Vectors>,
        options: &OpenOptions,
        started_at: u64,
    ) -> Opened<T> {
        let Self { disk, clock, keeper, namespaces, store, id_rule, segment_bytes } = self;
        let highest = recovered.iter().map(|recovered| recovered.sequence).max().unwrap_or(0);
        let mut report = OpenReport::default();
        let mut shards = Vec::with_capacity(recovered.len());
        for ((number, mut recovered), vectors) in (0..).zip(recovered).zip(vectors) {
            let block = recovered.active.file().alignment() as usize;
            let spare = recovered.spare.take();
            let mut preparation =
                Preparation::new(Arc::clone(&disk), number, store, segment_bytes, block, spare);
            if let Some(Unwritten { overdue, error }) = recovered.unwritten.take() {
                let now = clock.monotonic();
                keeper.progress(number).give_up_unsynced();
                preparation.write_first(&mut recovered.active, overdue, error, now);
            }
            if let Some(Uncut { range, error }) = recovered.uncut.take() {
                let file = Arc::clone(recovered.active.file());
                preparation.spoil(&mut recovered.active, file, range, error, clock.monotonic());
            }
            let relaxed = options.durability != Durability::Always;
            let (keeper, clock) = (Arc::clone(&keeper), Arc::clone(&clock));
            let (mut shard, shard_report) =
                Shard::new(recovered, vectors, preparation, keeper, clock, relaxed);
            // Every core starts above all that any has seen (Lamport 1978).
            shard.observe(highest);
            shards.push(shard);
            report.shards.push(shard_report);
        }
        if let Err(error) = disk.note_use(true) {
            tracing::warn!(%error, "the folder could not be tidied up");
        }
        report.elapsed = Duration::from_micros(clock.monotonic().saturating_sub(started_at));
        let started = clock.now();
        Opened { shards, namespaces, keeper, id_rule, store_id: store, started, report }
    }
}

/// The logs are on stable storage up to where they were read.
pub(crate) fn note_reached(keeper: &Keeper, recovered: &[Recovered]) {
    for (shard, recovered) in (0..).zip(recovered) {
        keeper.progress(shard).set_durable(recovered.durable.position);
    }
}

pub(crate) fn check(options: &OpenOptions) -> Result<(u16, usize), StoreError> {
    let cores =
        u16::try_from(options.cores).ok().filter(|_| (1..=MAX_CORES).contains(&options.cores));
    let cores = cores.ok_or_else(|| {
        StoreError::Option(format!(
            "a store has 1 to {MAX_CORES} cores, not {}: choose with --cores",
            options.cores
        ))
    })?;
    let bytes = usize::try_from(options.segment_bytes).ok();
    let bytes = bytes
        .filter(|_| (MIN_SEGMENT..=MAX_SEGMENT).contains(&options.segment_bytes))
        .ok_or_else(|| {
            StoreError::Option(format!(
                "a segment has {MIN_SEGMENT} to {MAX_SEGMENT} bytes, not {}: choose another size",
                options.segment_bytes
            ))
        })?;
    Ok((cores, bytes))
}

/// The manifest that is there, or that of a new store. It has to be what is asked for.
fn read_or_make(
    disk: &dyn Disk,
    cores: u16,
    segment_bytes: usize,
    options: &OpenOptions,
) -> Result<Manifest, StoreError> {
    let manifest = match Manifest::read(disk)? {
        Some(manifest) => manifest,
        None => make(disk, cores, segment_bytes, options.id_rule.unwrap_or_default())?,
    };
    check_manifest(disk, &manifest, options)?;
    Ok(manifest)
}

/// Refuses a store that is not what is asked for.
pub(crate) fn check_manifest(
    disk: &dyn Disk,
    manifest: &Manifest,
    options: &OpenOptions,
) -> Result<(), StoreError> {
    let folder = || disk.folder().to_owned();
    let (stored, asked) = (manifest.cores(), options.cores);
    if stored != asked {
        return Err(StoreError::Cores { folder: folder(), stored, asked });
    }
    let stored = manifest.id_rule();
    if let Some(asked) = options.id_rule.filter(|asked| *asked != stored) {
        return Err(StoreError::IdRule { folder: folder(), stored, asked });
    }
    Ok(())
}

/// Makes a new store. The manifest comes last: without it there is no store, and what a crash left
/// of one is made anew.
fn make(
    disk: &dyn Disk,
    cores: u16,
    segment_bytes: usize,
    id_rule: IdRule,
) -> Result<Manifest, StoreError> {
    let mut left = Vec::new();
    // Of all shards that there can be: it may have been made for more cores than this start has.
    for shard in 0..MAX_CORES as u16 {
        let files = disk.list(shard)?.unwrap_or_default();
        left.extend(files.iter().filter_map(|file| SegmentName::parse(shard, file)));
    }
    // All of it is looked at before any of it is removed.
    for name in &left {
        check_empty(disk, *name)?;
    }
    for name in left {
        disk.remove(name)?;
    }
    let manifest = Manifest::new(disk.random(), usize::from(cores), id_rule);
    for shard in 0..cores {
        disk.create_shard(shard)?;
        let first = SegmentName { shard, number: 0 };
        Segment::create(
            disk,
            first,
            manifest.store(),
            FIRST_STEP.min(segment_bytes),
            segment_bytes,
        )?;
    }
    manifest.write(disk)?;
    Ok(manifest)
}

/// Refuses a segment with commits in it: there was a manifest, and it was lost.
fn check_empty(disk: &dyn Disk, name: SegmentName) -> Result<(), StoreError> {
    match holds_data(disk, name)? {
        false => Ok(()),
        true => Err(StoreError::Manifest {
            file: disk.folder().join("manifest.json"),
            what: format!("the manifest is missing, and {name} holds data"),
        }),
    }
}

/// Recovers all shards, each on a thread of its own. What is to be changed on the disk is changed
/// when all were read and none is refused.
fn recover_all(source: &Source, marks: &[Position]) -> Result<Vec<Recovered>, StoreError> {
    recover_all_as(source, marks, Replayed::settle)
}

/// The same, with what is to become of each when none is refused.
pub(crate) fn recover_all_as(
    source: &Source,
    marks: &[Position],
    settle: fn(Replayed) -> Result<Recovered, StoreError>,
) -> Result<Vec<Recovered>, StoreError> {
    let sources = (0..).zip(marks).map(|(shard, mark)| source.of(shard, *mark)).collect();
    let read = |source, exchange| recover(source, exchange).map(Replayed::complete);
    let replayed = exchanging(sources, read)?;
    replayed.into_iter().map(settle).collect()
}

/// The same, one shard after the other, for a disk that is for one thread.
fn recover_in_turn(source: &Source, marks: &[Position]) -> Result<Vec<Recovered>, StoreError> {
    let shards = (0..).zip(marks).zip(Exchange::among(marks.len()));
    let replayed: Result<Vec<_>, _> = shards
        .map(|((shard, mark), exchange)| recover(source.of(shard, *mark), exchange))
        .collect();
    let completed: Vec<_> = replayed?.into_iter().map(Replayed::complete).collect();
    completed.into_iter().map(Replayed::settle).collect()
}

/// Has every shard read on a thread of its own, while they exchange edges.
pub(crate) fn exchanging<S: Send, R: Send>(
    shards: Vec<S>,
    read: impl Fn(S, Exchange) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    let read = &read;
    thread::scope(|scope| {
        let exchanges = Exchange::among(shards.len());
        let threads: Vec<_> = (0_usize..)
            .zip(shards.into_iter().zip(exchanges))
            .map(|(number, (shard, exchange))| {
                let thread = thread::Builder::new().name(format!("recover-{number}"));
                thread.spawn_scoped(scope, move || read(shard, exchange))
            })
            .collect();
        let mut all = Vec::with_capacity(threads.len());
        let mut failed = None;
        for thread in threads {
            match thread
                .map_err(|source| StoreError::Thread { source })
                .and_then(|thread| thread.join().expect("recovery does not panic"))
            {
                Ok(shard) => all.push(shard),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    })
}

/// Makes the shards' vectors searchable, each on a thread of its own; of every namespace those that
/// are as long as the first of it that is visible anywhere.
pub(crate) fn restore_vectors(
    disk: &Arc<dyn Disk>,
    store: u64,
    namespaces: &Arc<Namespaces>,
    records: &[Records<'_>],
) -> Vec<Vectors> {
    let mut first = First::new();
    for (namespace, found) in
        of_each(&**disk, records, |_, records| first_embeddings(records)).into_iter().flatten()
    {
        first.entry(namespace).and_modify(|first| *first = (*first).min(found)).or_insert(found);
    }
    of_each(&**disk, records, |shard, records| {
        let checkpoints = Checkpoints::new(Arc::clone(disk), store, shard);
        Vectors::restore(checkpoints, Arc::clone(namespaces), records, &first)
    })
}

/// Does something for every shard, each on a thread of its own; on this one where the system has no
/// room for another, or the disk is for one.
fn of_each<S: Sync, R: Send>(
    disk: &dyn Disk,
    shards: &[S],
    run: impl Fn(u16, &S) -> R + Sync,
) -> Vec<R> {
    if disk.is_for_one_thread() {
        return (0..).zip(shards).map(|(number, shard)| run(number, shard)).collect();
    }
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(shards)
            .map(|(number, shard)| {
                let thread = thread::Builder::new();
                let thread = thread.spawn_scoped(scope, move || run(number, shard));
                thread.map_err(|_| run(number, shard))
            })
            .collect();
        let joined = |thread: thread::ScopedJoinHandle<'_, R>| {
            thread.join().expect("restoring does not panic")
        };
        threads.into_iter().map(|done| done.map_or_else(|here| here, joined)).collect()
    })
}
