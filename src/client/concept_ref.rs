//! What stands for a concept in a call: its name or its id.

use sutra_wire::{ConceptId, ConceptKey, InvalidId};

use crate::request::Request;

/// What stands for a concept in a call: its name, or its id.
///
/// A name of exactly 32 hexadecimal digits is the id that they spell; any other is hashed to one.
/// An empty name is an error when the call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConceptRef(Result<ConceptId, InvalidId>);

impl ConceptRef {
    /// The id.
    pub fn id(&self) -> Result<ConceptId, InvalidId> {
        self.0
    }

    pub(crate) fn request(self, clients: &str) -> Result<Request, InvalidId> {
        Ok(Request::Query(ConceptKey { id: self.0?.0, namespace: clients.to_owned() }))
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
