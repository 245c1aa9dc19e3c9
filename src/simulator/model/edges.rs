//! What may be answered of associations.

use std::collections::BTreeMap;

use sutra_wire::{AssociationRecord, Direction, Neighbor};

use super::{Model, Presence, When};
use crate::operation::{Edge, KINDS, Wanted};

/// Whether a stored record is what was associated.
fn is_same(stored: &AssociationRecord, asked: &AssociationRecord) -> bool {
    let is_time = |stored: u64, asked: u64| asked == 0 || stored == asked;
    let times = is_time(stored.created, asked.created) && is_time(stored.updated, asked.updated);
    let asked =
        AssociationRecord { created: stored.created, updated: stored.updated, ..asked.clone() };
    times && *stored == asked
}

const NEVER: Presence = Presence { is_certain: false, is_possible: false };

impl Model {
    pub(super) fn edge_presence(&self, when: When, edge: &Edge) -> Presence {
        self.edges.get(edge).map_or(NEVER, |history| history.presence(when, None))
    }

    /// Whether an association may have this confidence.
    pub(super) fn may_have(&self, when: When, edge: &Edge, confidence: f32) -> bool {
        self.edges.get(edge).is_some_and(|history| {
            let candidates = history.candidates(when, None);
            let mut values = candidates.iter().filter_map(|write| write.value.as_ref());
            values.any(|value| value.confidence == confidence)
        })
    }

    /// The confidences that an association may have.
    pub(super) fn confidences(&self, when: When, edge: &Edge) -> Vec<f32> {
        let Some(history) = self.edges.get(edge) else { return Vec::new() };
        let candidates = history.candidates(when, None);
        candidates.iter().filter_map(|write| Some(write.value.as_ref()?.confidence)).collect()
    }

    /// Whether an association's record may be so.
    pub(super) fn check_association(
        &self,
        when: When,
        asked: &Edge,
        any_kind: bool,
        found: Option<&AssociationRecord>,
    ) -> Result<(), String> {
        let edge = Edge { kind: found.map_or(asked.kind, |record| record.kind), ..*asked };
        if let Some(record) = found {
            let may_be = self.edges.get(&edge).is_some_and(|history| {
                let candidates = history.candidates(when, None);
                let mut values = candidates.iter().filter_map(|write| write.value.as_ref());
                values.any(|value| is_same(record, value))
            });
            if !may_be {
                let may = self.confidences(when, &edge);
                return Err(format!("{edge} is {record:?}; it may have a confidence of {may:?}"));
            }
        }
        let absent = match (any_kind, found) {
            (true, Some(record)) => 0..record.kind,
            (true, None) => 0..KINDS,
            (false, Some(_)) => 0..0,
            (false, None) => asked.kind..asked.kind + 1,
        };
        for kind in absent {
            let edge = Edge { kind, ..*asked };
            if self.edge_presence(when, &edge).is_certain {
                return Err(format!("{edge} is there, and is not found"));
            }
        }
        Ok(())
    }

    /// The association that a neighbour stands for.
    pub(super) fn edge_of(&self, of: Wanted, neighbor: &Neighbor) -> Result<Edge, String> {
        let Some(peer) = self.plan.place(&neighbor.id) else {
            return Err(format!("{} has a neighbour that nobody named", of.concept));
        };
        let (space, here) = (of.concept.space, of.concept.id);
        let is_outgoing = neighbor.direction == Direction::Out as u8;
        let (source, target) = if is_outgoing { (here, peer) } else { (peer, here) };
        Ok(Edge { space, source, target, kind: neighbor.kind })
    }

    /// Whether a concept's neighbours may be so.
    pub(super) fn check_neighbors(
        &self,
        when: When,
        wanted: &Wanted,
        found: &[Neighbor],
    ) -> Result<(), String> {
        let of = wanted.concept;
        let mut listed: BTreeMap<(Edge, u8), usize> = BTreeMap::new();
        for neighbor in found {
            let edge = self.edge_of(wanted.clone(), neighbor)?;
            if !self.may_have(when, &edge, neighbor.confidence) {
                let may = self.confidences(when, &edge);
                return Err(format!(
                    "{of} has {edge} with a confidence of {}; it may have {may:?}",
                    neighbor.confidence
                ));
            }
            if neighbor.confidence < wanted.minimum_confidence
                || !(wanted.kinds.is_empty() || wanted.kinds.contains(&edge.kind))
            {
                return Err(format!("{of} has {edge}, which was not asked for"));
            }
            *listed.entry((edge, neighbor.direction)).or_default() += 1;
        }
        if let Some(((edge, _), times)) = listed.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{of} has {edge} {times} times"));
        }
        for (edge, history) in self.edges.iter().filter(|(edge, _)| edge.touches(of)) {
            let ways = [(edge.source, Direction::Out), (edge.target, Direction::In)];
            let asked = |direction| [Direction::Both, direction].contains(&wanted.direction);
            // An association of a concept with itself may be told once, as either.
            let is_listed = |direction: Direction| {
                listed.contains_key(&(*edge, direction as u8))
                    || (edge.source == edge.target
                        && ways.iter().any(|(_, way)| listed.contains_key(&(*edge, *way as u8))))
            };
            let candidates = history.candidates(when, None);
            let is_certain = candidates.iter().all(|write| {
                write.value.as_ref().is_some_and(|value| {
                    value.confidence >= wanted.minimum_confidence
                        && (wanted.kinds.is_empty() || wanted.kinds.contains(&edge.kind))
                })
            });
            let missing = ways.iter().find(|(end, direction)| {
                *end == of.id && asked(*direction) && !is_listed(*direction)
            });
            if let (true, Some((_, direction))) = (is_certain, missing) {
                return Err(format!("{edge} is there, and {of} does not have it ({direction:?})"));
            }
        }
        Ok(())
    }
}
