//! What old clients may be told.

use std::collections::BTreeSet;

use sutra_wire::{AssociationRecord, ConceptRecord, Direction};

use super::{Model, When};
use crate::operation::{Concept, Edge, KINDS, Operation, Way};
use crate::reply::Reply;

impl Model {
    /// Whether an old client's question may be answered so.
    pub(super) fn check_old(
        &self,
        when: When,
        operation: &Operation,
        reply: &Reply,
    ) -> Result<(), String> {
        match (operation, reply) {
            (Operation::Query(concept), Reply::OldConcept(record)) => {
                self.check_old_concept(when, *concept, record)
            }
            (Operation::Association { edge, .. }, Reply::OldAssociation(record)) => {
                self.check_old_association(when, edge, record)
            }
            (Operation::Neighbors(wanted), Reply::OldNeighbors(ids)) => {
                self.check_old_neighbors(when, wanted.concept, ids)
            }
            (Operation::Path(way), Reply::OldPath(ids)) => self.check_old_path(when, way, ids),
            // Counts of a store that changes; those of one that does not are asked for natively.
            (Operation::Stats, Reply::OldStats { .. }) => Ok(()),
            (operation, reply) => Err(format!("{operation} is answered: {reply}")),
        }
    }

    fn check_old_concept(
        &self,
        when: When,
        concept: Concept,
        found: &ConceptRecord,
    ) -> Result<(), String> {
        let is_same = |record: &ConceptRecord| {
            (record.id, record.strength, record.confidence)
                == (found.id, found.strength, found.confidence)
                && record.content == found.content
        };
        let may_be = self.concepts.get(&concept).is_some_and(|history| {
            let candidates = history.candidates(when, None);
            candidates.iter().any(|write| write.value.as_ref().is_some_and(is_same))
        });
        match may_be {
            true => Ok(()),
            false => Err(format!("an old client is told of {concept} what is not so: {found:?}")),
        }
    }

    /// Of several kinds the lowest is told.
    fn check_old_association(
        &self,
        when: When,
        asked: &Edge,
        found: &AssociationRecord,
    ) -> Result<(), String> {
        let ends = [found.source, found.target];
        if ends != [self.plan.ids[asked.source], self.plan.ids[asked.target]] {
            return Err(format!("{asked} is told as {found:?}"));
        }
        let edge = Edge { kind: found.kind, ..*asked };
        if !self.may_have(when, &edge, found.confidence) {
            let may = self.confidences(when, &edge);
            return Err(format!("{edge} is {found:?}; it may have a confidence of {may:?}"));
        }
        let mut lower = (0..found.kind).map(|kind| Edge { kind, ..*asked });
        match lower.find(|edge| self.edge_presence(when, edge).is_certain) {
            Some(edge) => Err(format!("{edge} is there, and an old client is told of {found:?}")),
            None => Ok(()),
        }
    }

    fn check_old_neighbors(&self, when: When, of: Concept, ids: &[[u8; 16]]) -> Result<(), String> {
        let mut listed = BTreeSet::new();
        for id in ids {
            let Some(peer) = self.plan.place(id) else {
                return Err(format!("{of} has a neighbour that nobody named"));
            };
            if !listed.insert(peer) {
                return Err(format!("{of} has c{peer} twice"));
            }
            if !self.may_be_neighbors(when, of.space, of.id, peer) {
                return Err(format!("{of} has c{peer}, with which it was never associated"));
            }
        }
        for edge in self.edges.keys().filter(|edge| edge.touches(of)) {
            let peer = if edge.source == of.id { edge.target } else { edge.source };
            if self.edge_presence(when, edge).is_certain && !listed.contains(&peer) {
                return Err(format!("{edge} is there, and {of} does not have c{peer}"));
            }
        }
        Ok(())
    }

    /// Whether one of them may be associated with the other, in any way.
    fn may_be_neighbors(&self, when: When, space: usize, one: usize, other: usize) -> bool {
        [(one, other), (other, one)].into_iter().any(|(source, target)| {
            let mut edges = (0..KINDS).map(|kind| Edge { space, source, target, kind });
            edges.any(|edge| self.edge_presence(when, &edge).is_possible)
        })
    }

    fn check_old_path(&self, when: When, way: &Way, ids: &[[u8; 16]]) -> Result<(), String> {
        let places: Option<Vec<usize>> = ids.iter().map(|id| self.plan.place(id)).collect();
        let places = places.ok_or("a path leads through a concept that nobody named")?;
        if places.first() != Some(&way.start)
            || places.last() != Some(&way.end)
            || places.len() > way.max_depth as usize + 1
        {
            return Err(format!("a path leads through {places:?}"));
        }
        debug_assert_eq!(way.direction, Direction::Both, "old clients know no other");
        let mut steps = places.windows(2);
        if let Some(step) =
            steps.find(|step| !self.may_be_neighbors(when, way.space, step[0], step[1]))
        {
            return Err(format!("a path leads from c{} to c{}", step[0], step[1]));
        }
        self.check_length(when, way, Some(places.len() - 1))
    }
}
