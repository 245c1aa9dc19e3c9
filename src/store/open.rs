//! Opening a store: the lock, the manifest, and all shards recovered at the same time. Before
//! that, one that was made for another number of cores is made over.

mod make;
mod opened;
mod options;
mod report;
mod reshard;
mod shards;

use std::path::Path;
use std::sync::Arc;

use sutra_wire::CoreLayout;

use self::make::make;
pub use self::opened::Opened;
pub(crate) use self::opened::{Parts, note_reached};
pub use self::options::OpenOptions;
use self::options::check_id_rule;
pub(crate) use self::options::{check, check_manifest};
pub use self::report::OpenReport;
use self::reshard::{conclude, give_up, reshard};
pub(crate) use self::shards::{exchanging, read_all, restore_vectors};
use self::shards::{of_each, recover_all};
use crate::StoreError;
use crate::disk::{Clock, Disk, SystemClock};
use crate::file_disk::FileDisk;
use crate::keeper::Keeper;
use crate::manifest::Manifest;
use crate::namespaces::Namespaces;
use crate::new_store::refuse_unfinished;
use crate::recovery::{Recovered, Source};

/// A folder with a log and a table for each core.
pub struct Store;

impl Store {
    /// Opens the store in a folder, or makes one. The folder stays locked until all that came of it
    /// is dropped.
    ///
    /// # Errors
    /// The folder is in use, can't be read or written, or is damaged.
    pub fn open<T: Send>(folder: &Path, options: OpenOptions) -> Result<Opened<T>, StoreError> {
        let disk = FileDisk::open(folder, options.durability, &options.listening)?;
        refuse_unfinished(disk.held())?;
        let is_copy = disk.is_copy();
        if is_copy {
            refuse_parts(&disk, options.cores)?;
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
        let mut manifest = read_or_make(&*disk, cores, segment_bytes, options)?;
        // What was read may be the page cache's alone: its name may not be on the disk yet.
        disk.sync_folder()?;
        manifest = give_up(&*disk, manifest)?;
        let stored = manifest.cores();
        if stored != options.cores {
            manifest = reshard(&disk, &clock, manifest, cores, segment_bytes)?;
        }
        let (store, id_rule) = (manifest.store(), manifest.id_rule());
        let (marks, segments) = (manifest.marks().to_vec(), manifest.segments());
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
        let recovered = recover_all(&*disk, &source.within(segments), &marks)?;
        conclude(&*disk, &keeper);
        note_reached(&keeper, &recovered);
        keeper.mark()?;
        let highest = recovered.iter().map(|recovered| recovered.sequence).max().unwrap_or(0);
        let in_use = of_each(&*disk, &recovered, |_, recovered| recovered.graph.namespaces());
        let namespaces = namespaces.give_back(&in_use.into_iter().flatten().collect(), highest)?;
        let records: Vec<_> = recovered.iter().map(Recovered::records).collect();
        let vectors = restore_vectors(&disk, store, &namespaces, &records);
        drop(records);
        let store = Parts { disk, clock, keeper, namespaces, store, id_rule, segment_bytes };
        let mut opened = store.into_opened(recovered, vectors, options.durability, started_at);
        opened.report.made_over_from = Some(stored).filter(|stored| *stored != options.cores);
        Ok(opened)
    }
}

/// Refuses a copy of several shards' logs.
fn refuse_parts(disk: &FileDisk, asked: usize) -> Result<(), StoreError> {
    // One that can't be read is refused later.
    let manifest = Manifest::read(disk).ok().flatten();
    let shards = manifest.map_or(asked, |manifest| manifest.cores());
    if shards == 1 {
        return Ok(());
    }
    Err(StoreError::copy_of_shards(disk.folder(), shards))
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
    check_id_rule(disk, &manifest, options)?;
    Ok(manifest)
}
