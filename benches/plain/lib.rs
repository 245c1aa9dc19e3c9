//! The store of contenders that have none of their own: concepts in a hash map, answers by the
//! plainest algorithm.
//!
//! It is what users would write in an afternoon. It is not what is measured, so all such contenders
//! share it.

use std::collections::HashMap;

use sutra_wire::ConceptId;

/// A concept.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    /// Its text.
    pub content: String,
    /// Its vector; empty if it has none.
    pub embedding: Vec<f32>,
    /// Its strength.
    pub strength: f32,
    /// Its confidence.
    pub confidence: f32,
}

/// Concepts by their ids.
#[derive(Debug, Default)]
pub struct Graph {
    concepts: HashMap<ConceptId, Concept>,
}

impl Graph {
    /// Stores or replaces a concept.
    pub fn learn(&mut self, id: ConceptId, concept: Concept) {
        self.concepts.insert(id, concept);
    }

    /// The concept with this id, if there is one.
    pub fn query(&self, id: &ConceptId) -> Option<&Concept> {
        self.concepts.get(id)
    }

    /// The `k` concepts nearest to the query by cosine, by an exact scan.
    pub fn nearest(&self, query: &[f32], k: usize) -> Vec<(ConceptId, f32)> {
        let norm = |vector: &[f32]| vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let query_norm = norm(query);
        let alike =
            self.concepts.iter().filter(|(_, concept)| concept.embedding.len() == query.len());
        let mut scored: Vec<_> = alike
            .map(|(id, concept)| {
                let product: f32 = query.iter().zip(&concept.embedding).map(|(a, b)| a * b).sum();
                let norms = query_norm * norm(&concept.embedding);
                (*id, if norms > 0.0 { product / norms } else { 0.0 })
            })
            .collect();
        scored.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        scored.truncate(k);
        scored
    }
}
