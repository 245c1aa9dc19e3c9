//! The files of a store: which there are, and where each segment belongs.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::finding::{Finding, Severity, damage};
use super::image::is_of_file;
use super::judge::PUT_BACK;
use crate::StoreError;
use crate::disk::{CheckpointName, Disk, SegmentName, shard_folder};
use crate::format::{HeaderFault, SEGMENT_HEADER, SegmentHeader};

/// A segment's file, and what its header says.
pub(super) struct Found {
    pub(super) name: SegmentName,
    pub(super) header: Result<SegmentHeader, HeaderFault>,
    /// Whether its header says that it is one of state.
    pub(super) is_state: bool,
    pub(super) bytes: u64,
}

/// The files of all shards: segments with their headers, and checkpoints.
pub(super) fn list(
    disk: &dyn Disk,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<Found>, Vec<CheckpointName>), StoreError> {
    let (mut segments, mut checkpoints) = (Vec::new(), Vec::new());
    for shard in facts.shards_to_look_for() {
        let Some(files) = disk.list(shard)? else {
            if facts.has_manifest() {
                let what = "the folder of this shard is missing, with its log".to_owned();
                findings.push(damage(&shard_folder(shard), what, PUT_BACK));
            }
            continue;
        };
        for file in files {
            if let Some(name) = SegmentName::parse(shard, &file) {
                segments.push(look(disk, name)?);
            } else if let Some(namespace) = CheckpointName::number(&file) {
                checkpoints.push(CheckpointName { shard, namespace });
            } else {
                findings.push(Finding {
                    severity: Severity::Harmless,
                    ..damage(
                        &format!("{}/{file}", shard_folder(shard)),
                        "this file is not the store's".to_owned(),
                        "nothing is to be done: a start ignores it, or removes what it has left",
                    )
                });
            }
        }
    }
    segments.sort_by_key(|found| found.name);
    Ok((segments, checkpoints))
}

fn look(disk: &dyn Disk, name: SegmentName) -> Result<Found, StoreError> {
    let read = || {
        let file = disk.open(name)?;
        let bytes = disk.len(&file)?;
        let mut header = vec![0; usize::try_from(bytes.min(SEGMENT_HEADER as u64)).unwrap_or(0)];
        disk.read(&file, 0, &mut header)?;
        let decoded = SegmentHeader::decode(&header);
        let is_state = decoded.is_ok() && SegmentHeader::covered(&header).is_some();
        Ok::<_, std::io::Error>(Found { name, header: decoded, is_state, bytes })
    };
    match read() {
        Ok(found) => Ok(found),
        Err(error) if is_of_file(&error) => {
            let header = Err(HeaderFault::Invalid("the file can't be read"));
            Ok(Found { name, header, is_state: false, bytes: 0 })
        }
        Err(error) => Err(error.into()),
    }
}

/// Leaves out the segments that a change of the number of cores has left.
pub(super) fn leave_out_others(
    facts: &mut Facts,
    found: &mut Vec<Found>,
    findings: &mut Vec<Finding>,
) {
    if !facts.has_manifest() {
        facts.learn_from_places(found.iter().map(|found| (found.name, found.is_state)));
    }
    let segments = facts.segments();
    found.retain(|found| {
        let is_ours = segments.contains(&found.name.number);
        if !is_ours {
            findings.push(Finding {
                severity: Severity::Harmless,
                ..damage(
                    &found.name.to_string(),
                    "this segment is left of a change of the number of cores".to_owned(),
                    "nothing is to be done: the next start removes it",
                )
            });
        }
        is_ours
    });
}

/// The segments in the order of their shards' logs: by their headers, where these are whole.
pub(super) fn by_shard(
    facts: &Facts,
    found: Vec<Found>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<u16, BTreeMap<u32, Found>> {
    let mut shards: BTreeMap<u16, BTreeMap<u32, Found>> =
        (0..facts.cores()).map(|shard| (shard, BTreeMap::new())).collect();
    for segment in found {
        let name = segment.name;
        let (mut shard, mut number) = (name.shard, name.number);
        if let Ok(header) = &segment.header {
            if header.store != facts.store() {
                let what = "this segment belongs to another store".to_owned();
                findings.push(damage(&name.to_string(), what, PUT_BACK));
                continue;
            }
            if (header.shard, header.number) != (shard, number) {
                (shard, number) = (header.shard, header.number);
                let what =
                    format!("this is segment {number} of shard {shard}, under another's name");
                findings.push(damage(&name.to_string(), what, PUT_BACK));
            }
        }
        let known = shards.entry(shard).or_default();
        if let Some(other) = known.get(&number) {
            let what = format!("{} is the same segment", other.name);
            findings.push(damage(&name.to_string(), what, PUT_BACK));
            continue;
        }
        known.insert(number, segment);
    }
    shards
}
