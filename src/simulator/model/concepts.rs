//! What may be answered of concepts.

use std::collections::BTreeMap;

use sutra_wire::ConceptRecord;

use super::{Model, When};
use crate::operation::Concept;

/// Whether a stored record is what was learned. Times that the client left out are the server's.
pub(super) fn is_same(stored: &ConceptRecord, learned: &ConceptRecord) -> bool {
    let is_time = |stored: u64, learned: u64| learned == 0 || stored == learned;
    let times =
        is_time(stored.created, learned.created) && is_time(stored.updated, learned.updated);
    let learned =
        ConceptRecord { created: stored.created, updated: stored.updated, ..learned.clone() };
    times && *stored == learned
}

impl Model {
    /// Whether a concept may be so.
    pub(super) fn check_concept(
        &self,
        when: When,
        concept: Concept,
        found: Option<&ConceptRecord>,
    ) -> Result<(), String> {
        let Some(history) = self.concepts.get(&concept) else {
            return match found {
                None => Ok(()),
                Some(record) => Err(format!("{concept} was never learned, and is {record:?}")),
            };
        };
        let candidates = history.candidates(when, None);
        let is_one = candidates.iter().any(|write| match (&write.value, found) {
            (None, None) => true,
            (Some(learned), Some(found)) => is_same(found, learned),
            _ => false,
        });
        if is_one {
            return Ok(());
        }
        let words = |record: Option<&ConceptRecord>| match record {
            None => "not there".to_owned(),
            Some(record) => {
                let content: String = record.content.chars().take(12).collect();
                format!("{content:?}… ({} bytes)", record.content.len())
            }
        };
        let allowed: Vec<_> = candidates.iter().map(|write| words(write.value.as_ref())).collect();
        Err(format!("{concept} is {}; it may be: {}", words(found), allowed.join(", ")))
    }

    /// Whether a listing of a namespace's concepts may be so.
    pub(super) fn check_listing(
        &self,
        when: When,
        space: usize,
        ids: &[[u8; 16]],
    ) -> Result<(), String> {
        let mut listed: BTreeMap<usize, usize> = BTreeMap::new();
        for id in ids {
            let Some(place) = self.plan.place(id) else {
                return Err(format!("the id {id:02x?} is listed, which nobody has learned"));
            };
            *listed.entry(place).or_default() += 1;
        }
        for id in 0..self.plan.ids.len() {
            let concept = Concept { space, id };
            let times = listed.get(&id).copied().unwrap_or_default();
            let (is_certain, is_possible) = match self.concepts.get(&concept) {
                None => (false, false),
                Some(history) => {
                    let presence = history.presence(when, None);
                    (presence.is_certain, presence.is_possible)
                }
            };
            if times == 0 && is_certain {
                return Err(format!("{concept} is there, and is not listed"));
            }
            if times > 0 && !is_possible {
                return Err(format!("{concept} is not there, and is listed"));
            }
            if times > 1 {
                return Err(format!("{concept} is listed {times} times"));
            }
        }
        Ok(())
    }
}
