//! An association to learn, built field by field.

use sutra_wire::{AssociationKind, AssociationRecord, InvalidId};

use crate::concept_ref::ConceptRef;
use crate::request::{Request, namespace};

/// An association to learn, from a source to a target. It is semantic and of confidence 1 unless
/// said otherwise.
///
/// ```
/// # use sutra_client::{Association, AssociationKind};
/// let is_a = Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL);
/// ```
#[derive(Clone, Debug)]
pub struct Association {
    source: ConceptRef,
    target: ConceptRef,
    namespace: Option<String>,
    kind: AssociationKind,
    confidence: f32,
    created: u64,
    updated: u64,
}

impl Association {
    /// An association from `source` to `target`. Neither needs to be learned yet.
    pub fn between(source: impl Into<ConceptRef>, target: impl Into<ConceptRef>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            namespace: None,
            kind: AssociationKind::SEMANTIC,
            confidence: 1.0,
            created: 0,
            updated: 0,
        }
    }

    /// What it means.
    pub fn kind(mut self, kind: AssociationKind) -> Self {
        self.kind = kind;
        self
    }

    /// From 0 to 1.
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = confidence;
        self
    }

    /// When it was first and last stored, in µs since 1970; as [`crate::Concept::times`].
    pub fn times(mut self, created: u64, updated: u64) -> Self {
        (self.created, self.updated) = (created, updated);
        self
    }

    /// The namespace of both ends, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        Ok(Request::Associate(AssociationRecord {
            source: self.source.id()?.0,
            target: self.target.id()?.0,
            namespace: namespace(self.namespace, clients),
            kind: self.kind.0,
            confidence: self.confidence,
            created: self.created,
            updated: self.updated,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::ConceptId;

    use super::*;

    #[test]
    fn an_association_is_asked_of_its_sources_core() {
        let request =
            Association::between("a", "b").kind(AssociationKind::CAUSAL).request("").unwrap();
        assert_eq!(request.concept(), Some(ConceptId::from_name("a").unwrap()));
    }

    #[test]
    fn an_end_that_names_nothing_is_an_error_when_it_is_sent() {
        assert!(matches!(Association::between("a", "").request(""), Err(InvalidId::Empty)));
    }
}
