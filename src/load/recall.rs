//! Recall: the share of the true neighbours that the answers to searches held.

use std::sync::atomic::{AtomicU64, Ordering};

use sutra_wire::ConceptId;

use crate::operations::tag;

/// The true neighbours of each query, and how many of them the answers so far held. Threads share
/// it.
#[derive(Debug)]
pub struct Recall {
    truth: Vec<Vec<u64>>,
    found: AtomicU64,
    wanted: AtomicU64,
}

impl Recall {
    /// Before any answer. `truth` has a row of true neighbours for each query.
    pub fn new(truth: &[Vec<ConceptId>]) -> Self {
        let tags = |row: &Vec<ConceptId>| row.iter().map(|id| tag(&id.0)).collect();
        Self {
            truth: truth.iter().map(tags).collect(),
            found: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
        }
    }

    /// Counts the answer `found` to the query of this number.
    pub fn count(&self, query: usize, found: impl Iterator<Item = ConceptId>) {
        let Some(truth) = self.truth.get(query) else { return };
        let found = found.filter(|id| truth.contains(&tag(&id.0))).count();
        self.found.fetch_add(found as u64, Ordering::Relaxed);
        self.wanted.fetch_add(truth.len() as u64, Ordering::Relaxed);
    }

    /// The share of the true neighbours that was found; `None` before the first answer.
    pub fn share(&self) -> Option<f64> {
        let wanted = self.wanted.load(Ordering::Relaxed);
        (wanted > 0).then(|| self.found.load(Ordering::Relaxed) as f64 / wanted as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_counts_over_all_answers() {
        let id = |byte| ConceptId([byte; 16]);
        let recall = Recall::new(&[vec![id(1), id(2)], vec![id(3), id(4)]]);
        assert_eq!(recall.share(), None);
        recall.count(0, [id(2), id(1)].into_iter());
        recall.count(1, [id(1), id(3)].into_iter());
        assert_eq!(recall.share(), Some(0.75));
    }
}
