//! What is like a vector: what to ask for, built field by field.

use sutra_wire::{InvalidId, Near, SearchRequest};

use crate::concept_ref::ConceptRef;
use crate::request::{Request, namespace};

/// Which concepts to search for by their embeddings: the ten most like a vector, of all, unless
/// said otherwise.
///
/// ```
/// # use sutra_client::SearchQuery;
/// let sure = SearchQuery::like([0.1, 0.7]).k(20).minimum_confidence(0.5).near("dog", 2);
/// ```
#[derive(Clone, Debug)]
pub struct SearchQuery {
    near: Option<(ConceptRef, u32)>,
    namespace: Option<String>,
    /// Without the neighbourhood and the namespace, which are filled in when it is sent.
    request: SearchRequest,
}

impl SearchQuery {
    /// How many concepts are returned by default.
    pub const DEFAULT_K: u32 = 10;

    /// The concepts most like this vector, by cosine similarity: finite numbers, as many as the
    /// namespace's embeddings have.
    pub fn like(vector: impl Into<Vec<f32>>) -> Self {
        let request =
            SearchRequest { vector: vector.into(), k: Self::DEFAULT_K, ..SearchRequest::default() };
        Self { near: None, namespace: None, request }
    }

    /// At most this many of them; at most 1,001: a thousand, and the concept itself where its own
    /// embedding is searched by.
    pub fn k(mut self, concepts: u32) -> Self {
        self.request.k = concepts;
        self
    }

    /// How many candidates the index looks at, 100 to 10,000; less is taken for 100. More find more
    /// of the true best and take longer.
    pub fn ef_search(mut self, candidates: u32) -> Self {
        self.request.ef_search = candidates;
        self
    }

    /// Only concepts of at least this strength.
    pub fn minimum_strength(mut self, strength: f32) -> Self {
        self.request.minimum_strength = strength;
        self
    }

    /// Only concepts of at least this confidence, 0 to 1.
    pub fn minimum_confidence(mut self, confidence: f32) -> Self {
        self.request.minimum_confidence = confidence;
        self
    }

    /// Only concepts that are within so many associations of this one, itself included.
    pub fn near(mut self, concept: impl Into<ConceptRef>, associations: u32) -> Self {
        self.near = Some((concept.into(), associations));
        self
    }

    /// By comparing with every vector instead of asking the index: the true best, for a time that
    /// grows with their number.
    pub fn exact(mut self) -> Self {
        self.request.exact = true;
        self
    }

    /// The namespace to search, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        let near = match self.near {
            Some((concept, edges)) => Some(Near { id: concept.id()?.0, edges }),
            None => None,
        };
        Ok(Request::Search(SearchRequest {
            near,
            namespace: namespace(self.namespace, clients),
            ..self.request
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::ConceptId;

    use super::*;

    #[test]
    fn what_was_not_said_is_ten_concepts_of_all_asked_of_any_core() {
        let request = SearchQuery::like([0.5, 1.0]).request("client's").unwrap();
        assert_eq!(request.concept(), None);
        let Request::Search(search) = request else { panic!("search") };
        let expected = SearchRequest {
            namespace: "client's".into(),
            vector: vec![0.5, 1.0],
            k: 10,
            ..SearchRequest::default()
        };
        assert_eq!(search, expected);
    }

    #[test]
    fn what_was_said_is_sent() {
        let query = SearchQuery::like(vec![1.0])
            .k(3)
            .ef_search(400)
            .minimum_strength(2.0)
            .minimum_confidence(0.5)
            .near("a", 2)
            .exact()
            .namespace("own");
        let Request::Search(search) = query.request("client's").unwrap() else { panic!("search") };
        let expected = SearchRequest {
            namespace: "own".into(),
            vector: vec![1.0],
            k: 3,
            ef_search: 400,
            minimum_strength: 2.0,
            minimum_confidence: 0.5,
            near: Some(Near { id: ConceptId::from_name("a").unwrap().0, edges: 2 }),
            exact: true,
        };
        assert_eq!(search, expected);
        assert!(matches!(SearchQuery::like([1.0]).near("", 1).request(""), Err(InvalidId::Empty)));
    }
}
