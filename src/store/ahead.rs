//! A store that is read while another process still has it, so that it can be taken over without
//! reading it then. Nothing on the disk is changed before the lock is had.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_wire::{CoreLayout, Durability};

use crate::StoreError;
use crate::disk::{Clock, Disk, SystemClock};
use crate::file_disk::FileDisk;
use crate::keeper::Keeper;
use crate::manifest::Manifest;
use crate::namespaces::Namespaces;
use crate::open::{
    OpenOptions, Opened, Parts, check, check_manifest, exchanging, note_reached, restore_vectors,
};
use crate::recovery::{ReadAhead, Recovered, Replayed, Source};
use crate::vectors::Vectors;

/// What may come while a store is read is read again, until so little has come that reading it
/// takes no longer than this; but no more often than [`ROUNDS`].
const SHORT: Duration = Duration::from_millis(20);
const ROUNDS: usize = 8;

/// A store as far as it was read.
pub struct Ahead {
    disk: Arc<FileDisk>,
    parts: Parts,
    shards: Vec<ReadAhead>,
    options: OpenOptions,
}

impl Ahead {
    /// Reads the store in a folder. `options` are those that it is to be opened with.
    ///
    /// # Errors
    /// There is none, or it can't be read, or is not what the options ask for.
    pub fn read(folder: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let disk = Arc::new(FileDisk::unlocked(folder, options.durability)?);
        let (cores, segment_bytes) = check(&options)?;
        let file = || disk.folder().join("manifest.json");
        let manifest = Manifest::read(&*disk)?;
        let manifest = manifest.ok_or_else(|| StoreError::Missing { file: file() })?;
        check_manifest(&*disk, &manifest, &options)?;
        let (store, id_rule) = (manifest.store(), manifest.id_rule());
        let segments = manifest.segments();
        let shared: Arc<dyn Disk> = Arc::clone(&disk) as Arc<dyn Disk>;
        let keeper = Arc::new(Keeper::new(manifest, Arc::clone(&shared)));
        let namespaces = Arc::new(Namespaces::new(Arc::clone(&keeper))?);
        let layout = CoreLayout::new(cores);
        let known = Arc::clone(&namespaces);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (reads, times) = (Arc::clone(&shared), Arc::clone(&clock));
        let source = Source::new(reads, times, store, layout, known, segment_bytes).ahead();
        let source = source.within(segments);
        let sources = (0..cores).map(|shard| source.of(shard, Default::default())).collect();
        let mut shards = exchanging(sources, ReadAhead::new)?;
        let records: Vec<_> = shards.iter().map(ReadAhead::records).collect();
        let vectors = restore_vectors(&shared, store, &namespaces, &records);
        drop(records);
        for (shard, vectors) in shards.iter_mut().zip(vectors) {
            shard.set_vectors(vectors);
        }
        let parts =
            Parts { disk: shared, clock, keeper, namespaces, store, id_rule, segment_bytes };
        Self { disk, parts, shards, options }.keep_up()
    }

    /// Reads what has come meanwhile.
    fn keep_up(mut self) -> Result<Self, StoreError> {
        for _ in 0..ROUNDS {
            let (began, before) = (Instant::now(), self.bytes());
            self.shards = exchanging(self.shards, ReadAhead::go_on)?;
            if began.elapsed() <= SHORT || self.bytes() == before {
                break;
            }
        }
        Ok(self)
    }

    fn bytes(&self) -> u64 {
        self.shards.iter().map(ReadAhead::bytes).sum()
    }

    /// Takes the lock, which the other process has let go of in order, with the same durability,
    /// reads the rest, and opens the store. `listening` is told to whoever finds it locked.
    ///
    /// # Errors
    /// As for a store that is opened at a start.
    pub fn open<T: Send>(self, listening: &str) -> Result<Opened<T>, StoreError> {
        let Self { disk, mut parts, shards, options } = self;
        let started_at = parts.clock.monotonic();
        disk.lock(listening)?;
        parts.namespaces.refresh()?;
        let marks = parts.keeper.lock().marks().to_vec();
        // Then every commit that has landed is on stable storage, and none is on its way.
        let is_stable = options.durability == Durability::Always;
        let shards = shards.into_iter().zip(marks).collect();
        let replayed = exchanging(shards, |(shard, mark): (ReadAhead, _), exchange| {
            shard.finish(mark, is_stable, exchange).map(Replayed::complete)
        })?;
        let mut recovered: Vec<Recovered> =
            replayed.into_iter().map(Replayed::settle).collect::<Result<_, _>>()?;
        if !is_stable {
            // A segment that has become full since it was read was synced before that at the last.
            for (shard, recovered) in (0..).zip(&recovered) {
                parts.keeper.sync_files(shard, recovered.end.reached.position)?;
            }
        }
        // The manifest has marks that are as true as they were; the first look raises them.
        note_reached(&parts.keeper, &recovered);
        let found: Vec<Vectors> =
            recovered.iter_mut().filter_map(|recovered| recovered.vectors.take()).collect();
        let vectors = if found.len() == recovered.len() {
            found
        } else {
            drop(found);
            parts.namespaces = Arc::new(Namespaces::new(Arc::clone(&parts.keeper))?);
            let records: Vec<_> = recovered.iter().map(Recovered::records).collect();
            restore_vectors(&parts.disk, parts.store, &parts.namespaces, &records)
        };
        Ok(parts.into_opened(recovered, vectors, options.durability, started_at))
    }
}
