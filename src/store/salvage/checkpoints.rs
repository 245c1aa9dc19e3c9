//! The checkpoints of the vector indexes, read in steps, as a file of any length may have the name
//! of one. Nothing that was stored is lost with them.

use sutra_runtime::RegionWriter;

use super::finding::{Finding, Severity, damage};
use super::image::is_of_file;
use super::watch::ended;
use crate::StoreError;
use crate::disk::{CheckpointName, Disk};
use crate::read_only_disk::ReadOnlyDisk;
use crate::vectors::{Inspection, Unusable};

/// Bytes of one read.
const STEP: usize = 1 << 20;

/// Bytes of a checkpoint; 0 where that can't be told, which its check tells of.
///
/// # Errors
/// The system lacks something.
pub(super) fn length(disk: &ReadOnlyDisk, name: CheckpointName) -> Result<u64, StoreError> {
    match disk.open_checkpoint(name).and_then(|file| file.map_or(Ok(0), |file| disk.len(&file))) {
        Ok(length) => Ok(length),
        Err(error) if is_of_file(&error) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with a checkpoint. `pace` is told of every step's bytes, and says whether to go
/// on.
///
/// # Errors
/// The system lacks something, or the reading was ended.
pub(super) fn check(
    disk: &ReadOnlyDisk,
    store: u64,
    name: CheckpointName,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Finding>, StoreError> {
    let Unusable { what, is_damaged } = match inspect(disk, store, name, pace) {
        Ok(Ok(())) => return Ok(None),
        Ok(Err(unusable)) => unusable,
        Err(StoreError::Io { source }) if is_of_file(&source) => {
            Unusable { what: source.to_string(), is_damaged: true }
        }
        Err(error) => return Err(error),
    };
    Ok(Some(Finding {
        severity: if is_damaged { Severity::Replaceable } else { Severity::Harmless },
        ..damage(
            &name.to_string(),
            format!("{what}; nothing that was stored is lost by that"),
            "remove this checkpoint of a vector index: the next start makes the index again",
        )
    }))
}

fn inspect(
    disk: &ReadOnlyDisk,
    store: u64,
    name: CheckpointName,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Result<(), Unusable>, StoreError> {
    let Some(file) = disk.open_checkpoint(name)? else { return Ok(Ok(())) };
    let length = disk.len(&file)?;
    let mut memory = RegionWriter::new(STEP)?;
    let (mut inspection, mut at) = (None::<Inspection>, 0);
    while at < length || inspection.is_none() {
        let step = usize::try_from(length - at).map_or(STEP, |left| left.min(STEP));
        let bytes = &mut memory.writable()[..step];
        disk.read(&file, at, bytes)?;
        match &mut inspection {
            Some(inspection) => inspection.take(bytes),
            None => match Inspection::begin(bytes, length, store, name) {
                Ok(begun) => inspection = Some(begun),
                Err(unusable) => return Ok(Err(unusable)),
            },
        }
        at += step as u64;
        if !pace(step as u64) {
            return Err(ended());
        }
    }
    Ok(inspection.map_or(Ok(()), Inspection::end))
}
