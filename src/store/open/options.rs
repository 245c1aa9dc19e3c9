//! How a store is opened, and whether that can be.

use sutra_wire::{Durability, IdRule};

use crate::StoreError;
use crate::disk::{Disk, MAX_SHARDS};
use crate::manifest::Manifest;
use crate::segment::{MAX_SEGMENT, MIN_SEGMENT};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Shards, one a core. A store that was made for another number is made over at its start.
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

pub(crate) fn check(options: &OpenOptions) -> Result<(u16, usize), StoreError> {
    let cores = u16::try_from(options.cores).ok().filter(|cores| (1..=MAX_SHARDS).contains(cores));
    let cores = cores.ok_or_else(|| {
        StoreError::Option(format!(
            "a store has 1 to {MAX_SHARDS} cores, not {}: choose with --cores",
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

/// Refuses a store that is not what is asked for, where it is not to be changed.
pub(crate) fn check_manifest(
    disk: &dyn Disk,
    manifest: &Manifest,
    options: &OpenOptions,
) -> Result<(), StoreError> {
    let (stored, asked) = (manifest.cores(), options.cores);
    if stored != asked {
        let folder = disk.folder().to_owned();
        return Err(StoreError::Cores { folder, stored, asked });
    }
    check_id_rule(disk, manifest, options)
}

/// Refuses a store whose id rule is not the one that is asked for.
pub(super) fn check_id_rule(
    disk: &dyn Disk,
    manifest: &Manifest,
    options: &OpenOptions,
) -> Result<(), StoreError> {
    let stored = manifest.id_rule();
    match options.id_rule.filter(|asked| *asked != stored) {
        Some(asked) => Err(StoreError::IdRule { folder: disk.folder().to_owned(), stored, asked }),
        None => Ok(()),
    }
}
