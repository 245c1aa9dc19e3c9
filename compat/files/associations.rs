//! From a snapshot's edges to associations.
//!
//! Old servers knew associations without direction, and wrote each from both ends. One whose other
//! end was not learned when it was made stands there once. So of two ends that are both learned the
//! direction is not known: the association leads from the smaller id to the greater one, whichever
//! stands in the file. That makes the same associations of what is written from them again.

use std::collections::HashSet;

use crate::layout::Id;

/// An association of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Association {
    /// Where it starts.
    pub source: Id,
    /// Where it ends.
    pub target: Id,
    /// As the file has it.
    pub confidence: f32,
}

/// The associations that these edges stand for, in the order of their ends. Of several edges from
/// one concept to another the last counts. Where the two ends disagree about the confidence, there
/// is an association each way.
pub(crate) fn of_edges(mut edges: Vec<Association>, learned: &HashSet<Id>) -> Vec<Association> {
    let ends = |edge: &Association| {
        let Association { source, target, .. } = edge;
        (*source.min(target), *source.max(target))
    };
    // Stable: of several the last is the last here, too.
    edges.sort_by_key(|edge| (ends(edge), edge.source));
    let mut found = Vec::with_capacity(edges.len() / 2 + 1);
    for pair in edges.chunk_by(|a, b| ends(a) == ends(b)) {
        let (low, high) = ends(&pair[0]);
        let forth = pair.iter().rfind(|edge| edge.source == low);
        let back = pair.iter().rfind(|edge| edge.source != low);
        match (forth, back) {
            (Some(forth), Some(back)) => {
                found.push(*forth);
                if forth.confidence.to_bits() != back.confidence.to_bits() {
                    found.push(*back);
                }
            }
            (None, Some(only)) if learned.contains(&low) && learned.contains(&high) => {
                found.push(Association { source: low, target: high, ..*only });
            }
            (only, None) | (None, only) => found.extend(only),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: u8, target: u8, confidence: f32) -> Association {
        Association { source: [source; 16], target: [target; 16], confidence }
    }

    #[test]
    fn two_ends_are_one_association_and_one_that_is_not_learned_is_its_target() {
        let learned = HashSet::from([[1; 16], [2; 16], [3; 16]]);
        for (edges, expected) in [
            (vec![edge(2, 1, 0.5), edge(1, 2, 0.5)], vec![edge(1, 2, 0.5)]),
            (vec![edge(2, 1, 0.5)], vec![edge(1, 2, 0.5)]),
            (vec![edge(1, 2, 0.5)], vec![edge(1, 2, 0.5)]),
            (vec![edge(3, 9, 0.5)], vec![edge(3, 9, 0.5)]),
            (vec![edge(3, 0, 0.5)], vec![edge(3, 0, 0.5)]),
            (vec![edge(2, 1, 0.25), edge(1, 2, 0.5)], vec![edge(1, 2, 0.5), edge(2, 1, 0.25)]),
            (vec![edge(1, 2, 0.25), edge(2, 1, 0.5), edge(1, 2, 0.5)], vec![edge(1, 2, 0.5)]),
            (vec![edge(3, 3, 1.0)], vec![edge(3, 3, 1.0)]),
            (vec![], vec![]),
        ] {
            assert_eq!(of_edges(edges.clone(), &learned), expected, "{edges:?}");
        }
    }
}
