//! How two concepts are connected: what to ask for, built field by field.

use sutra_wire::{AssociationKind, Direction, InvalidId, PathMode, PathRequest};

use crate::concept_ref::ConceptRef;
use crate::request::{Request, namespace};

/// Which paths between two concepts to ask for: one of the shortest, of at most six associations of
/// any kind, followed either way, unless said otherwise.
///
/// ```
/// # use sutra_client::{AssociationKind, PathQuery};
/// let chain = PathQuery::between("dog", "animal").kinds([AssociationKind::HIERARCHICAL]).max_depth(10).alternatives(3);
/// ```
#[derive(Clone, Debug)]
pub struct PathQuery {
    start: ConceptRef,
    end: ConceptRef,
    namespace: Option<String>,
    /// Without ids and namespace, which are filled in when it is sent.
    request: PathRequest,
}

impl PathQuery {
    /// How many associations a path has at most by default, as with the clients of older servers.
    pub const DEFAULT_MAX_DEPTH: u32 = 6;

    /// Paths from `start` to `end`.
    pub fn between(start: impl Into<ConceptRef>, end: impl Into<ConceptRef>) -> Self {
        let request = PathRequest { max_depth: Self::DEFAULT_MAX_DEPTH, ..PathRequest::default() };
        Self { start: start.into(), end: end.into(), namespace: None, request }
    }

    /// Of at most this many associations. With 0 only a path from a concept to itself is left.
    pub fn max_depth(mut self, associations: u32) -> Self {
        self.request.max_depth = associations;
        self
    }

    /// Only over associations of these kinds; none given means all.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = AssociationKind>) -> Self {
        self.request.kinds = kinds.into_iter().map(|kind| kind.0).collect();
        self
    }

    /// Only over associations followed this way: out from source to target, in against it.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.request.direction = direction as u8;
        self
    }

    /// Up to this many paths, all of the same least length; at most 64.
    pub fn alternatives(mut self, paths: u32) -> Self {
        self.request.alternatives = paths;
        self
    }

    /// The path whose product of confidences is greatest, instead of the shortest.
    pub fn most_confident(mut self) -> Self {
        self.request.mode = PathMode::MostConfident as u8;
        self
    }

    /// How many concepts the server may visit before it gives up with an error that says so; 0 for
    /// its own bound.
    pub fn max_visited(mut self, concepts: u32) -> Self {
        self.request.max_visited = concepts;
        self
    }

    /// The namespace of both ends, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        Ok(Request::Path(PathRequest {
            start: self.start.id()?.0,
            end: self.end.id()?.0,
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
    fn what_was_not_said_is_a_shortest_path_of_six_associations_asked_of_its_starts_core() {
        let request = PathQuery::between("a", "b").request("client's").unwrap();
        assert_eq!(request.concept(), Some(ConceptId::from_name("a").unwrap()));
        let Request::Path(path) = request else { panic!("path") };
        let expected = PathRequest {
            start: ConceptId::from_name("a").unwrap().0,
            end: ConceptId::from_name("b").unwrap().0,
            namespace: "client's".into(),
            max_depth: 6,
            ..PathRequest::default()
        };
        assert_eq!(path, expected);
    }

    #[test]
    fn what_was_said_is_sent() {
        let query = PathQuery::between("a", "b")
            .max_depth(3)
            .kinds([AssociationKind::CAUSAL, AssociationKind(77)])
            .direction(Direction::In)
            .alternatives(5)
            .max_visited(1000)
            .most_confident()
            .namespace("own");
        let Request::Path(path) = query.request("client's").unwrap() else { panic!("path") };
        assert_eq!(
            (path.max_depth, path.kinds, path.direction),
            (3, vec![1, 77], Direction::In as u8)
        );
        assert_eq!(
            (path.alternatives, path.max_visited, path.mode),
            (5, 1000, PathMode::MostConfident as u8)
        );
        assert_eq!(path.namespace, "own");
        assert!(matches!(PathQuery::between("a", "").request(""), Err(InvalidId::Empty)));
    }
}
