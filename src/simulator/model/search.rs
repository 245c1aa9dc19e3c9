//! What may be answered of searches: a scan of what was learned.

use std::collections::BTreeSet;

use sutra_wire::{ConceptRecord, Direction, SearchHit};

use super::{Model, When};
use crate::operation::{Concept, Likeness};

/// By how much two computations of a similarity in f32 may differ.
const CLOSE: f32 = 1e-4;

fn similarity(one: &[f32], other: &[f32]) -> f32 {
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
    };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths == 0.0 { 0.0 } else { (dot(one, other) / lengths) as f32 }
}

/// Which concepts a search may find.
enum Near {
    Any,
    Unsure,
    Within(BTreeSet<usize>),
}

impl Model {
    /// Whether a search may find these. With fewer than a thousand vectors all are scanned, so it
    /// finds the best whether it was to be exact or not. An index may miss some; how many is for
    /// [`Model::recall`].
    pub(super) fn check_search(
        &self,
        when: When,
        likeness: &Likeness,
        hits: &[SearchHit],
    ) -> Result<(), String> {
        if hits.len() > likeness.k as usize {
            return Err(format!("{} hits were found, more than asked for", hits.len()));
        }
        if hits.windows(2).any(|pair| pair[0].similarity < pair[1].similarity) {
            return Err("the hits are not in order".to_owned());
        }
        let mut found = BTreeSet::new();
        for hit in hits {
            let Some(id) = self.plan.place(&hit.id) else {
                return Err("a concept was found that nobody named".to_owned());
            };
            if !found.insert(id) {
                return Err(format!("c{id} was found twice"));
            }
            let concept = Concept { space: likeness.space, id };
            let similarities = self.similarities(when, concept, &likeness.vector);
            let is_one =
                similarities.iter().flatten().any(|one| (one - hit.similarity).abs() <= CLOSE);
            if !is_one {
                return Err(format!(
                    "{concept} was found with a similarity of {}; it may have {similarities:?}",
                    hit.similarity
                ));
            }
        }
        let worst = match hits.len() < likeness.k as usize {
            true => f32::NEG_INFINITY,
            false => hits.last().map_or(f32::NEG_INFINITY, |hit| hit.similarity),
        };
        let near = match self.near(when, likeness) {
            Near::Any => None,
            // What is added or removed meanwhile may count or not.
            Near::Unsure => return Ok(()),
            Near::Within(near) => Some(near),
        };
        if let Some(near) = &near
            && let Some(far) = found.iter().find(|id| !near.contains(id))
        {
            return Err(format!("c{far} was found, which is not near enough"));
        }
        if self.is_by_index(likeness) {
            return Ok(());
        }
        for id in 0..self.plan.ids.len() {
            if found.contains(&id) || near.as_ref().is_some_and(|near| !near.contains(&id)) {
                continue;
            }
            let concept = Concept { space: likeness.space, id };
            let similarities = self.similarities(when, concept, &likeness.vector);
            let least = similarities.iter().copied().reduce(|least, one| match (least, one) {
                (Some(least), Some(one)) => Some(f32::min(least, one)),
                _ => None,
            });
            if let Some(Some(least)) = least
                && least > worst + CLOSE
            {
                return Err(format!(
                    "{concept} has a similarity of {least}, more than the {worst} of the last \
                     that was found, and was not found"
                ));
            }
        }
        Ok(())
    }

    /// Whether an index may have been asked.
    fn is_by_index(&self, likeness: &Likeness) -> bool {
        self.plan.crowd > 0 && likeness.space == 0 && likeness.near.is_none() && !likeness.exact
    }

    /// Of a search that an index may have answered while nothing changed: how many of the best it
    /// has found, and how many there are.
    pub(crate) fn recall(&self, likeness: &Likeness, hits: &[SearchHit]) -> Option<[usize; 2]> {
        if !self.is_by_index(likeness) {
            return None;
        }
        let when = When::Running { from: self.moment, to: self.moment };
        let ids = 0..self.plan.ids.len();
        let mut all: Vec<f32> = ids
            .flat_map(|id| {
                let concept = Concept { space: likeness.space, id };
                self.similarities(when, concept, &likeness.vector)
            })
            .flatten()
            .collect();
        all.sort_unstable_by(|one, other| other.total_cmp(one));
        all.truncate(likeness.k as usize);
        let worst = all.last()?;
        let found = hits.iter().filter(|hit| hit.similarity >= worst - CLOSE).count();
        Some([found.min(all.len()), all.len()])
    }

    /// Which concepts are near enough to count.
    fn near(&self, when: When, likeness: &Likeness) -> Near {
        let Some((id, edges)) = likeness.near else { return Near::Any };
        let is_changing = self.edges.keys().any(|edge| {
            let presence = self.edge_presence(when, edge);
            presence.is_possible && !presence.is_certain
        });
        match is_changing {
            true => Near::Unsure,
            false => {
                let reached = self.reach(when, likeness.space, id, Direction::Both, edges);
                Near::Within(reached.into_keys().collect())
            }
        }
    }

    /// Of each record that a concept may have: how like it is, where it has an embedding.
    fn similarities(&self, when: When, concept: Concept, vector: &[f32]) -> Vec<Option<f32>> {
        let Some(history) = self.concepts.get(&concept) else { return Vec::new() };
        let of = |record: &ConceptRecord| {
            (!record.embedding.is_empty()).then(|| similarity(&record.embedding, vector))
        };
        let candidates = history.candidates(when, None);
        candidates.iter().map(|write| write.value.as_ref().and_then(of)).collect()
    }
}
