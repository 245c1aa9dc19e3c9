//! What a caller asks for: concepts, associations and neighbourhoods, built field by field (paths
//! and searches have files of their own), and the requests that they become.

use crate::grid::GridCall;
use sutra_wire::{
    AssociationKey, AssociationKind, AssociationRecord, ConceptId, ConceptKey, ConceptRecord, ConceptsRequest,
    Direction, FrameBuffer, Header, InvalidId, NeighborsRequest, Opcode, PathRequest, SearchRequest, encode_archive,
    encode_empty,
};

/// What stands for a concept in a call: its name, or its id.
///
/// A name of exactly 32 hexadecimal digits is the id that they spell; any other is hashed to one.
/// An empty name is an error when the call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConceptRef(pub(crate) Result<ConceptId, InvalidId>);

impl ConceptRef {
    /// The id.
    pub fn id(&self) -> Result<ConceptId, InvalidId> {
        self.0
    }
}

impl From<&str> for ConceptRef {
    fn from(name: &str) -> Self {
        Self(ConceptId::from_name(name))
    }
}

impl From<&String> for ConceptRef {
    fn from(name: &String) -> Self {
        Self(ConceptId::from_name(name))
    }
}

impl From<String> for ConceptRef {
    fn from(name: String) -> Self {
        Self(ConceptId::from_name(&name))
    }
}

impl From<ConceptId> for ConceptRef {
    fn from(id: ConceptId) -> Self {
        Self(if id.is_zero() { Err(InvalidId::Zero) } else { Ok(id) })
    }
}

/// A concept to learn. Strength and confidence are 1 unless said otherwise, content and embedding
/// empty.
///
/// ```
/// # use sutra_client::Concept;
/// let dog = Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.2]).confidence(0.9);
/// ```
#[derive(Clone, Debug)]
pub struct Concept {
    pub(crate) key: ConceptRef,
    pub(crate) namespace: Option<String>,
    /// Without id and namespace, which are filled in when it is sent.
    pub(crate) record: ConceptRecord,
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

    /// The name that is stored with it and that others are shown. It does not change which concept
    /// is meant: that is said by [`Concept::new`] or [`Concept::with_id`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.record.name = name.into();
        self
    }

    fn of(key: ConceptRef, name: String) -> Self {
        let record = ConceptRecord { name, strength: 1.0, confidence: 1.0, ..ConceptRecord::default() };
        Self { key, namespace: None, record }
    }

    /// Its text.
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

    /// The namespace that it belongs to, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

/// An association to learn, from a source to a target. It is semantic and of confidence 1 unless
/// said otherwise.
///
/// ```
/// # use sutra_client::{Association, AssociationKind};
/// let is_a = Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL);
/// ```
#[derive(Clone, Debug)]
pub struct Association {
    pub(crate) source: ConceptRef,
    pub(crate) target: ConceptRef,
    pub(crate) namespace: Option<String>,
    pub(crate) kind: AssociationKind,
    pub(crate) confidence: f32,
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

    /// The namespace of both ends, instead of the client's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

/// Which neighbours of a concept to ask for: all of them, both ways, unless said otherwise.
///
/// ```
/// # use sutra_client::{AssociationKind, Direction, Neighborhood};
/// let parents = Neighborhood::of("dog").direction(Direction::Out).kinds([AssociationKind::HIERARCHICAL]).limit(10);
/// ```
#[derive(Clone, Debug)]
pub struct Neighborhood {
    pub(crate) key: ConceptRef,
    pub(crate) namespace: Option<String>,
    /// Without id and namespace, which are filled in when it is sent.
    pub(crate) request: NeighborsRequest,
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
}

impl<T: Into<ConceptRef>> From<T> for Neighborhood {
    fn from(concept: T) -> Self {
        Self::of(concept)
    }
}

/// A request, ready to be archived into a connection's send buffer, once for each attempt.
#[derive(Debug)]
pub(crate) enum Request {
    Learn(ConceptRecord),
    Associate(AssociationRecord),
    Query(ConceptKey),
    Delete(ConceptKey),
    Association(AssociationKey),
    Concepts(ConceptsRequest),
    Neighbors(NeighborsRequest),
    Path(PathRequest),
    Search(SearchRequest),
    Stats,
    Flush,
    Health,
    /// Of the grid's master.
    Grid(GridCall),
}

impl Request {
    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Request::Learn(_) => Opcode::Learn,
            Request::Associate(_) => Opcode::Associate,
            Request::Query(_) => Opcode::Query,
            Request::Delete(_) => Opcode::DeleteCounted,
            Request::Association(_) => Opcode::Association,
            Request::Concepts(_) => Opcode::Concepts,
            Request::Neighbors(_) => Opcode::Neighbors,
            Request::Path(_) => Opcode::Path,
            Request::Search(_) => Opcode::Search,
            Request::Stats => Opcode::Stats,
            Request::Flush => Opcode::Flush,
            Request::Health => Opcode::Health,
            Request::Grid(call) => call.opcode(),
        }
    }

    /// The concept whose core is to be asked, if there is one.
    pub(crate) fn concept(&self) -> Option<ConceptId> {
        match self {
            Request::Learn(record) => Some(record.id.into()),
            Request::Associate(record) => Some(record.source.into()),
            Request::Query(key) | Request::Delete(key) => Some(key.id.into()),
            Request::Association(key) => Some(key.source.into()),
            Request::Neighbors(request) => Some(request.id.into()),
            Request::Path(request) => Some(request.start.into()),
            // A listing's cursor names the core, which is the server's to read; a search asks all
            // of them.
            Request::Concepts(_) | Request::Search(_) | Request::Stats | Request::Flush | Request::Health => None,
            Request::Grid(_) => None,
        }
    }

    /// Appends the request's frame.
    pub(crate) fn encode(&self, out: &mut FrameBuffer, header: Header) {
        match self {
            Request::Learn(record) => encode_archive(out, header, record),
            Request::Associate(record) => encode_archive(out, header, record),
            Request::Query(key) | Request::Delete(key) => encode_archive(out, header, key),
            Request::Association(key) => encode_archive(out, header, key),
            Request::Concepts(request) => encode_archive(out, header, request),
            Request::Neighbors(request) => encode_archive(out, header, request),
            Request::Path(request) => encode_archive(out, header, request),
            Request::Search(request) => encode_archive(out, header, request),
            Request::Stats | Request::Flush | Request::Health => encode_empty(out, header),
            Request::Grid(call) => call.encode(out, header),
        }
    }
}

/// The namespace of a request: its own, else the client's. Allocates only where the client has one.
pub(crate) fn namespace(own: Option<String>, clients: &str) -> String {
    own.unwrap_or_else(|| clients.to_owned())
}

impl Concept {
    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        let id = self.key.0?.0;
        Ok(Request::Learn(ConceptRecord { id, namespace: namespace(self.namespace, clients), ..self.record }))
    }
}

impl Association {
    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        Ok(Request::Associate(AssociationRecord {
            source: self.source.0?.0,
            target: self.target.0?.0,
            namespace: namespace(self.namespace, clients),
            kind: self.kind.0,
            confidence: self.confidence,
            ..AssociationRecord::default()
        }))
    }
}

impl ConceptRef {
    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        Ok(Request::Query(ConceptKey { id: self.0?.0, namespace: clients.to_owned() }))
    }
}

impl Neighborhood {
    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        let id = self.key.0?.0;
        Ok(Request::Neighbors(NeighborsRequest { id, namespace: namespace(self.namespace, clients), ..self.request }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_concept_of_its_own_namespace_stays_there_and_another_takes_the_clients() {
        for (concept, expected) in [(Concept::new("a").namespace("own"), "own"), (Concept::new("a"), "client's")] {
            let Request::Learn(record) = concept.request("client's").unwrap() else { panic!("learn") };
            assert_eq!((record.namespace.as_str(), record.name.as_str()), (expected, "a"));
            assert_eq!(record.id, ConceptId::from_name("a").unwrap().0);
            assert_eq!((record.strength, record.confidence), (1.0, 1.0));
        }
    }

    #[test]
    fn a_concept_known_by_id_only_has_no_name() {
        for concept in
            [Concept::with_id(ConceptId([0xa9; 16])), Concept::new("a9".repeat(16)), Concept::new("A9".repeat(16))]
        {
            let Request::Learn(record) = concept.clone().request("").unwrap() else { panic!("learn") };
            assert_eq!((record.name.as_str(), record.id), ("", [0xa9; 16]));
            let Request::Learn(record) = concept.name("dog").request("").unwrap() else { panic!("learn") };
            assert_eq!((record.name.as_str(), record.id), ("dog", [0xa9; 16]));
        }
    }

    #[test]
    fn what_names_nothing_is_an_error_when_it_is_sent() {
        assert!(matches!(Concept::new("").request(""), Err(InvalidId::Empty)));
        assert!(matches!(Concept::with_id(ConceptId::default()).request(""), Err(InvalidId::Zero)));
        assert!(matches!(Association::between("a", "").request(""), Err(InvalidId::Empty)));
        assert!(matches!(Neighborhood::of("").request(""), Err(InvalidId::Empty)));
    }

    #[test]
    fn an_association_is_asked_of_its_sources_core() {
        let request = Association::between("a", "b").kind(AssociationKind::CAUSAL).request("").unwrap();
        assert_eq!(request.concept(), Some(ConceptId::from_name("a").unwrap()));
    }
}
