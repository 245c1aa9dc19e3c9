//! The store behind contenders that have none of their own: concepts and associations in hash maps,
//! answers by the plainest algorithm.
//!
//! What its users would write in an afternoon: it is not what is measured, so it is shared by all
//! such contenders.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};

use sutra_wire::ConceptId;

/// A concept.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    /// Its text.
    pub content: String,
    /// Its vector, or none.
    pub embedding: Vec<f32>,
    /// How strong it is.
    pub strength: f32,
    /// How sure it is.
    pub confidence: f32,
}

/// A graph of concepts.
#[derive(Debug, Default)]
pub struct Graph {
    concepts: HashMap<ConceptId, Concept>,
    /// Both ends' neighbours, with type and confidence.
    neighbors: HashMap<ConceptId, Vec<(ConceptId, u32, f32)>>,
    edges: u64,
}

impl Graph {
    /// How many concepts there are.
    pub fn concepts(&self) -> u64 {
        self.concepts.len() as u64
    }

    /// How many associations were learned.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Stores or replaces a concept.
    pub fn learn(&mut self, id: ConceptId, concept: Concept) {
        self.concepts.insert(id, concept);
    }

    /// Stores an association; it is seen from both ends.
    pub fn associate(&mut self, source: ConceptId, target: ConceptId, kind: u32, confidence: f32) {
        self.neighbors.entry(source).or_default().push((target, kind, confidence));
        self.neighbors.entry(target).or_default().push((source, kind, confidence));
        self.edges += 1;
    }

    /// The concept.
    pub fn query(&self, id: &ConceptId) -> Option<&Concept> {
        self.concepts.get(id)
    }

    /// Whom it is associated with.
    pub fn neighbors(&self, id: &ConceptId) -> impl Iterator<Item = ConceptId> {
        self.neighbors.get(id).into_iter().flatten().map(|(id, ..)| *id)
    }

    /// The shortest path, breadth first, of at most so many associations. Empty where there is
    /// none.
    pub fn path(&self, start: ConceptId, end: ConceptId, max_depth: u32) -> Vec<ConceptId> {
        let mut before: HashMap<ConceptId, ConceptId> = HashMap::new();
        let mut seen = HashSet::from([start]);
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((at, depth)) = queue.pop_front() {
            if at == end {
                let mut path = vec![end];
                while let Some(earlier) = path.last().and_then(|last| before.get(last)) {
                    path.push(*earlier);
                }
                path.reverse();
                return path;
            }
            if depth == max_depth {
                continue;
            }
            for neighbor in self.neighbors(&at) {
                if seen.insert(neighbor) {
                    before.insert(neighbor, at);
                    queue.push_back((neighbor, depth + 1));
                }
            }
        }
        Vec::new()
    }

    /// The `k` nearest by cosine, by an exact scan.
    pub fn nearest(&self, query: &[f32], k: usize) -> Vec<(ConceptId, f32)> {
        let norm = |vector: &[f32]| vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let query_norm = norm(query);
        let alike = self.concepts.iter().filter(|(_, concept)| concept.embedding.len() == query.len());
        let mut scored: Vec<_> = alike
            .map(|(id, concept)| {
                let product: f32 = query.iter().zip(&concept.embedding).map(|(a, b)| a * b).sum();
                let norms = query_norm * norm(&concept.embedding);
                (*id, if norms > 0.0 { product / norms } else { 0.0 })
            })
            .collect();
        scored.sort_by_key(|(_, similarity)| Reverse(ordered(*similarity)));
        scored.truncate(k);
        scored
    }
}

/// Floats in their order, as integers.
fn ordered(number: f32) -> i32 {
    let bits = number.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}
