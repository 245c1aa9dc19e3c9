//! A concept to learn, built field by field.

use sutra_wire::{ConceptId, ConceptRecord, InvalidId};

use crate::concept_ref::ConceptRef;
use crate::request::{Request, namespace};

/// A concept to learn. Strength and confidence are 1 unless said otherwise, content and embedding
/// empty.
///
/// ```
/// # use sutra_client::Concept;
/// let dog = Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.2]).confidence(0.9);
/// ```
#[derive(Clone, Debug)]
pub struct Concept {
    key: ConceptRef,
    namespace: Option<String>,
    /// Without id and namespace, which are filled in when it is sent.
    record: ConceptRecord,
}

impl Concept {
    /// A concept of this name; the name is stored with it. 32 hexadecimal digits are its id and no
    /// name, as in [`Concept::with_id`].
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let key = ConceptRef::from(&name);
        let is_its_id = ConceptId::from_digits(&name).is_some();
        Self::of(key, if is_its_id { String::new() } else { name })
    }

    /// A concept known by its id only. One that has a name loses it, as a learn is the whole
    /// record: give it again with [`Concept::name`].
    pub fn with_id(id: ConceptId) -> Self {
        Self::of(ConceptRef::from(id), String::new())
    }

    /// The name that is stored with it and shown to others. It does not choose the concept:
    /// [`Concept::new`] or [`Concept::with_id`] did.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.record.name = name.into();
        self
    }

    fn of(key: ConceptRef, name: String) -> Self {
        let record =
            ConceptRecord { name, strength: 1.0, confidence: 1.0, ..ConceptRecord::default() };
        Self { key, namespace: None, record }
    }

    /// Sets the concept's text.
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.record.content = content.into();
        self
    }

    /// Its embedding: finite numbers, as many as the other embeddings of its namespace have.
    pub fn embedding(mut self, embedding: impl Into<Vec<f32>>) -> Self {
        self.record.embedding = embedding.into();
        self
    }

    /// Finite and not negative.
    pub fn strength(mut self, strength: f32) -> Self {
        self.record.strength = strength;
        self
    }

    /// From 0 to 1.
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.record.confidence = confidence;
        self
    }

    /// When it was first and last learned, in µs since 1970, for whoever brings a record from
    /// elsewhere: an import, a copy of another store. 0 leaves that time to the server, which is
    /// what a concept that is learned anew wants.
    pub fn times(mut self, created: u64, updated: u64) -> Self {
        (self.record.created, self.record.updated) = (created, updated);
        self
    }

    /// The namespace that it belongs to, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        let id = self.key.id()?.0;
        Ok(Request::Learn(ConceptRecord {
            id,
            namespace: namespace(self.namespace, clients),
            ..self.record
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_concept_of_its_own_namespace_stays_there_and_another_takes_the_clients() {
        for (concept, expected) in
            [(Concept::new("a").namespace("own"), "own"), (Concept::new("a"), "client's")]
        {
            let Request::Learn(record) = concept.request("client's").unwrap() else {
                panic!("learn")
            };
            assert_eq!((record.namespace.as_str(), record.name.as_str()), (expected, "a"));
            assert_eq!(record.id, ConceptId::from_name("a").unwrap().0);
            assert_eq!((record.strength, record.confidence), (1.0, 1.0));
        }
    }

    #[test]
    fn a_concept_known_by_id_only_has_no_name() {
        for concept in [
            Concept::with_id(ConceptId([0xa9; 16])),
            Concept::new("a9".repeat(16)),
            Concept::new("A9".repeat(16)),
        ] {
            let Request::Learn(record) = concept.clone().request("").unwrap() else {
                panic!("learn")
            };
            assert_eq!((record.name.as_str(), record.id), ("", [0xa9; 16]));
            let Request::Learn(record) = concept.name("dog").request("").unwrap() else {
                panic!("learn")
            };
            assert_eq!((record.name.as_str(), record.id), ("dog", [0xa9; 16]));
        }
    }

    #[test]
    fn a_concept_that_names_nothing_is_an_error_when_it_is_sent() {
        assert!(matches!(Concept::new("").request(""), Err(InvalidId::Empty)));
        assert!(matches!(Concept::with_id(ConceptId::default()).request(""), Err(InvalidId::Zero)));
    }
}
