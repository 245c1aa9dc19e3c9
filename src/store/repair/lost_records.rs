//! What stands of the records that are probably lost: found out while the others are written.

use std::collections::HashMap;

use crate::format::{Entry, KIND_REMOVAL, KIND_TOMBSTONE};
use crate::salvage::{Finding, LostRecord, Place, Remains, Verdict};

/// What a record is known by: its namespace, its id, and an association's target and type.
type Key = (String, String, Option<(String, u32)>);

fn key_of(lost: &LostRecord) -> Key {
    let target = lost.target.clone().zip(lost.association);
    (lost.namespace.clone(), lost.id.clone(), target)
}

/// What was met of one.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// The sequence in front of the loss.
    lost_behind: u64,
    is_there: bool,
    is_newer: bool,
}

/// The records that are probably lost.
pub(super) struct LostRecords(HashMap<Key, Met>);

impl LostRecords {
    pub(super) fn of(shards: &[Verdict]) -> Self {
        let losses = shards.iter().flat_map(|verdict| &verdict.findings);
        let losses = losses.flat_map(|finding| &finding.lost);
        let known = losses.filter_map(|loss| {
            let lost = loss.probably.as_ref()?;
            Some((key_of(lost), Met { lost_behind: loss.after_sequence, ..Met::default() }))
        });
        Self(known.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An entry is written, of this place.
    pub(super) fn meet(&mut self, entry: &Entry<'_>, place: &Place<'_>) {
        let target = place.target.map(|(target, association)| (target.to_string(), association));
        let key = (place.namespace.to_owned(), place.id.to_string(), target);
        if let Some(met) = self.0.get_mut(&key) {
            met.is_newer |= entry.header.sequence > met.lost_behind;
            met.is_there = !matches!(entry.header.kind, KIND_TOMBSTONE | KIND_REMOVAL);
        }
    }

    /// Adds what was met to what is said of the losses.
    pub(super) fn note(&self, findings: &mut [Finding]) {
        for loss in findings.iter_mut().flat_map(|finding| &mut finding.lost) {
            let Some(lost) = &mut loss.probably else { continue };
            lost.remains = self.0.get(&key_of(lost)).map(|met| match met {
                Met { is_newer: true, .. } => Remains::Newer,
                Met { is_there: true, .. } => Remains::Older,
                Met { .. } => Remains::None,
            });
        }
    }
}
