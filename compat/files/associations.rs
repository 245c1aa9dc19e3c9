//! From a snapshot's edges to associations, and back.
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

/// The edges that stand for associations in a snapshot, and what becomes of the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edges {
    /// In the order of their ends.
    pub edges: Vec<Association>,
    /// Associations that were left out for one of the same two concepts that is as sure or surer.
    pub several: u64,
    /// Associations between two concepts that are not there: each edge is one of a concept's.
    pub between_unlearned: u64,
}

impl Edges {
    /// Each association from both of its ends, as far as these are learned.
    pub fn of(mut associations: Vec<Association>, learned: &HashSet<Id>) -> Self {
        // The surest of several first.
        associations.sort_by(|a, b| {
            let ends = (a.source, a.target).cmp(&(b.source, b.target));
            ends.then(b.confidence.total_cmp(&a.confidence))
        });
        let mut found = Self::default();
        let is_learned = |association: &Association| {
            learned.contains(&association.source) || learned.contains(&association.target)
        };
        let all = associations.len();
        associations.retain(is_learned);
        found.between_unlearned = (all - associations.len()) as u64;
        let all = associations.len();
        associations.dedup_by_key(|association| (association.source, association.target));
        found.several = (all - associations.len()) as u64;
        let one_back = |association: &Association| {
            let key = (association.target, association.source);
            let found =
                associations.binary_search_by_key(&key, |other| (other.source, other.target));
            found.ok().map(|at| associations[at].confidence)
        };
        for association in &associations {
            let Association { source, target, confidence } = *association;
            let back = one_back(association);
            let (has_source, has_target) = (learned.contains(&source), learned.contains(&target));
            // Two edges as sure as each other are what one association alone would be.
            let is_one = has_target && source < target && back == Some(confidence);
            found.several += u64::from(back.is_some() && (is_one || !has_source));
            if has_source {
                found.edges.push(*association);
            }
            if has_target && back.is_none() {
                found.edges.push(Association { source: target, target: source, confidence });
            }
        }
        found.edges.sort_by_key(|edge| (edge.source, edge.target));
        found
    }
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

    #[test]
    fn each_association_is_written_from_both_ends_and_comes_back_as_it_was() {
        let learned = HashSet::from([[1; 16], [2; 16], [3; 16], [4; 16]]);
        let associations = vec![
            edge(1, 2, 0.5),
            edge(1, 2, 0.75),
            edge(3, 1, 0.25),
            edge(2, 3, 0.5),
            edge(3, 2, 1.0),
            edge(2, 4, 1.0),
            edge(4, 2, 1.0),
            edge(3, 3, 0.5),
            edge(1, 9, 0.5),
            edge(8, 2, 0.5),
            edge(7, 2, 0.5),
            edge(2, 7, 0.25),
            edge(8, 9, 0.5),
        ];
        let written = Edges::of(associations, &learned);
        let edges = [
            edge(1, 2, 0.75),
            edge(1, 3, 0.25),
            edge(1, 9, 0.5),
            edge(2, 1, 0.75),
            edge(2, 3, 0.5),
            edge(2, 4, 1.0),
            edge(2, 7, 0.25),
            edge(2, 8, 0.5),
            edge(3, 1, 0.25),
            edge(3, 2, 1.0),
            edge(3, 3, 0.5),
            edge(4, 2, 1.0),
        ];
        assert_eq!(
            written,
            Edges { edges: edges.to_vec(), several: 3, between_unlearned: 1 },
            "{written:?}"
        );
        let read = of_edges(written.edges.clone(), &learned);
        assert_eq!(Edges::of(read.clone(), &learned).edges, written.edges);
        assert_eq!(of_edges(Edges::of(read.clone(), &learned).edges, &learned), read);
    }
}
