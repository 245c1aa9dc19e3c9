//! Which neighbours of a concept to ask for, built field by field.

use sutra_wire::{AssociationKind, Direction, InvalidId, NeighborsRequest};

use crate::concept_ref::ConceptRef;
use crate::request::{Request, namespace};

/// Which neighbours of a concept to ask for: all of them, both ways, unless said otherwise.
///
/// ```
/// # use sutra_client::{AssociationKind, Direction, Neighborhood};
/// let parents = Neighborhood::of("dog").direction(Direction::Out).kinds([AssociationKind::HIERARCHICAL]).limit(10);
/// ```
#[derive(Clone, Debug)]
pub struct Neighborhood {
    key: ConceptRef,
    namespace: Option<String>,
    /// Without id and namespace, which are filled in when it is sent.
    request: NeighborsRequest,
}

impl Neighborhood {
    /// The neighbours of this concept.
    pub fn of(concept: impl Into<ConceptRef>) -> Self {
        Self { key: concept.into(), namespace: None, request: NeighborsRequest::default() }
    }

    /// Only associations that lead this way.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.request.direction = direction as u8;
        self
    }

    /// Only associations of these kinds; none given means all.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = AssociationKind>) -> Self {
        self.request.kinds = kinds.into_iter().map(|kind| kind.0).collect();
        self
    }

    /// Only associations of at least this confidence, 0 to 1.
    pub fn minimum_confidence(mut self, confidence: f32) -> Self {
        self.request.minimum_confidence = confidence;
        self
    }

    /// At most this many in one reply; 0 for as many as a reply may hold (4,096).
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = limit;
        self
    }

    /// Where to go on: the cursor of the reply before.
    pub fn cursor(mut self, cursor: u64) -> Self {
        self.request.cursor = cursor;
        self
    }

    /// The concept's namespace, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        let id = self.key.id()?.0;
        Ok(Request::Neighbors(NeighborsRequest {
            id,
            namespace: namespace(self.namespace, clients),
            ..self.request
        }))
    }
}

impl<T: Into<ConceptRef>> From<T> for Neighborhood {
    fn from(concept: T) -> Self {
        Self::of(concept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn neighbours_of_nothing_are_an_error_when_they_are_asked_for() {
        assert!(matches!(Neighborhood::of("").request(""), Err(InvalidId::Empty)));
    }
}
