//! A store that is served and never written to: whole, or what is left of a damaged one.
//!
//! Nothing in its folder is changed. A torn tail stays where it is, and is not served. Of a damaged
//! store all is served that passes its checksums, as `sutra repair` would write it anew.

use std::path::Path;
use std::sync::Arc;

use sutra_wire::CoreLayout;

use crate::StoreError;
use crate::disk::{Clock, Disk, SystemClock};
use crate::exchange::Exchange;
use crate::keeper::Keeper;
use crate::manifest::Manifest;
use crate::namespaces::Namespaces;
use crate::open::{OpenOptions, Opened, Parts, check, check_manifest, read_all, restore_vectors};
use crate::read_only_disk::ReadOnlyDisk;
use crate::recovery::{Recovered, Replayed, Source, recover_salvaged};
use crate::repair::manifest_of;
use crate::salvage::{Facts, Finding, Survey, Verdict, is_of_file, survey};
use crate::shard::Shard;
use crate::verify::lock_findings;

/// What stands in the way of a whole store.
type Salvaged = (Facts, Vec<Verdict>, Vec<Finding>);

/// Opens a store to read it. What is damaged of it is told.
///
/// # Errors
/// A server has the folder, there is no store in it, it holds its shards at different times, or it
/// was made for another number of cores.
pub fn open_read_only<T: Send>(
    folder: &Path,
    options: &OpenOptions,
) -> Result<(Opened<T>, Vec<Finding>), StoreError> {
    let clock = SystemClock;
    let started_at = clock.monotonic();
    let disk = Arc::new(ReadOnlyDisk::open(folder)?);
    disk.refuse_copy(options.cores)?;
    let opening = Opening { disk, options, started_at };
    let (opened, mut findings) = match opening.whole() {
        Ok(opened) => (opened, Vec::new()),
        Err(error) if is_damage(&error) => {
            tracing::warn!(%error, "the store is damaged; what is whole of it is served");
            opening.salvaged()?
        }
        Err(error) => return Err(error),
    };
    findings.extend(
        u16::try_from(options.cores).ok().and_then(|cores| lock_findings(&opening.disk, cores)),
    );
    Ok((opened, findings))
}

/// Whether what is whole of a store can be read all the same.
fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Damage { .. } | StoreError::Missing { .. } | StoreError::Manifest { .. } => {
            true
        }
        StoreError::Io { source } => is_of_file(source),
        _ => false,
    }
}

/// A store that is being opened.
struct Opening<'a> {
    disk: Arc<ReadOnlyDisk>,
    options: &'a OpenOptions,
    started_at: u64,
}

impl Opening<'_> {
    fn whole<T: Send>(&self) -> Result<Opened<T>, StoreError> {
        let file = || self.disk.folder().join("manifest.json");
        let manifest = Manifest::read(&*self.disk)?;
        let manifest = manifest.ok_or_else(|| StoreError::Missing { file: file() })?;
        let marks = manifest.marks().to_vec();
        self.opened(manifest, |source| {
            let replayed = read_all(&*self.disk, source, &marks)?;
            replayed.into_iter().map(Replayed::left_as_it_is).collect()
        })
    }

    fn salvaged<T: Send>(&self) -> Result<(Opened<T>, Vec<Finding>), StoreError> {
        let survey = survey(&self.disk, &mut |_| true)?;
        let Survey { facts, shards, findings, .. } = survey;
        let (facts, verdicts, mut findings): Salvaged = (facts, shards, findings);
        let manifest = manifest_of(&facts, facts.store())?;
        let opened = self.opened(manifest, |source| {
            let exchanges = Exchange::among(verdicts.len());
            let shards = (0..).zip(&verdicts).zip(exchanges);
            let recovered: Result<Vec<_>, _> = shards
                .map(|((shard, verdict), exchange)| {
                    recover_salvaged(source.of(shard, Default::default()), exchange, verdict)
                })
                .collect();
            recovered?.into_iter().map(Replayed::complete).map(Replayed::left_as_it_is).collect()
        })?;
        findings.extend(verdicts.into_iter().flat_map(|verdict| verdict.findings));
        findings.sort_by(|one, other| (&one.file, one.offset).cmp(&(&other.file, other.offset)));
        Ok((opened, findings))
    }

    /// The store that a manifest names, of what `recover` has read.
    fn opened<T: Send>(
        &self,
        manifest: Manifest,
        recover: impl FnOnce(&Source) -> Result<Vec<Recovered>, StoreError>,
    ) -> Result<Opened<T>, StoreError> {
        let (cores, segment_bytes) = check(self.options)?;
        check_manifest(&*self.disk, &manifest, self.options)?;
        let (store, id_rule) = (manifest.store(), manifest.id_rule());
        let segments = manifest.segments();
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let keeper = Arc::new(Keeper::read_only(manifest, Arc::clone(&disk)));
        let namespaces = Arc::new(Namespaces::new(Arc::clone(&keeper))?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let source = Source::new(
            Arc::clone(&disk),
            Arc::clone(&clock),
            store,
            CoreLayout::new(cores),
            Arc::clone(&namespaces),
            segment_bytes,
        );
        let recovered = recover(&source.within(segments))?;
        let records: Vec<_> = recovered.iter().map(Recovered::records).collect();
        let vectors = restore_vectors(&disk, store, &namespaces, &records);
        drop(records);
        let parts = Parts { disk, clock, keeper, namespaces, store, id_rule, segment_bytes };
        let mut opened: Opened<T> =
            parts.into_opened(recovered, vectors, self.options.durability, self.started_at);
        opened.shards.iter_mut().for_each(Shard::set_read_only);
        Ok(opened)
    }
}
