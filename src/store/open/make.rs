//! A new store, where a start finds none.

use sutra_wire::IdRule;

use crate::StoreError;
use crate::disk::{Disk, MAX_SHARDS, SegmentName};
use crate::manifest::Manifest;
use crate::prepare::FIRST_STEP;
use crate::segment::{Segment, holds_data};

/// Makes a new store. The manifest comes last: without it there is no store, and what a crash left
/// of one is made anew.
pub(super) fn make(
    disk: &dyn Disk,
    cores: u16,
    segment_bytes: usize,
    id_rule: IdRule,
) -> Result<Manifest, StoreError> {
    let mut left = Vec::new();
    // Of all shards that there can be: it may have been made for more cores than this start has.
    for shard in 0..MAX_SHARDS {
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
