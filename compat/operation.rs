//! The operations of the old protocol: their names, their numbers in bincode, and their fields in
//! order.

/// Which numbers bincode's variants have. A client's release decides, and no message shows it: so
/// it is a setting of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Numbering {
    /// The first TCP release: `GetStats` is request 6.
    #[default]
    First,
    /// From late October 2025 on: `QueryByMetadata` is request 6 and its reply is reply 6; what
    /// followed moved up by one.
    Later,
}

/// What a legacy client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    LearnConcept,
    LearnAssociation,
    QueryConcept,
    GetNeighbors,
    FindPath,
    VectorSearch,
    GetStats,
    Flush,
    HealthCheck,
    DeleteConcept,
    /// This server's own; no old client sends it.
    DeleteAssociation,
    GetAssociation,
    GetAllConceptIds,
    LearnConceptV2,
    LearnBatch,
    ListRecent,
    QueryByMetadata,
    FindPathSemantic,
    FindTemporalChain,
    FindCausalChain,
    FindContradictions,
    QueryBySemantic,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Vector,
    Float,
    Integer,
}

/// A field of an operation.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// How an operation's fields are laid out.
pub(crate) struct Fields {
    pub(crate) list: &'static [Field],
    /// How many of the list an array holds, from its start; the others are known by name only.
    pub(crate) in_arrays: usize,
    /// How many values of later releases an array may hold beyond those: they are not read.
    pub(crate) spare: usize,
}

/// Most fields that an operation has.
pub(crate) const MAX_FIELDS: usize = 6;

const fn text(name: &'static str) -> Field {
    Field { name, kind: Kind::Text }
}

const fn vector(name: &'static str) -> Field {
    Field { name, kind: Kind::Vector }
}

const fn float(name: &'static str) -> Field {
    Field { name, kind: Kind::Float }
}

const fn integer(name: &'static str) -> Field {
    Field { name, kind: Kind::Integer }
}

const NAMESPACE: Field = text("namespace");
const LEARN: &[Field] = &[
    text("concept_id"),
    text("content"),
    vector("embedding"),
    float("strength"),
    float("confidence"),
    NAMESPACE,
];
const ASSOCIATE: &[Field] =
    &[text("source_id"), text("target_id"), integer("assoc_type"), float("confidence"), NAMESPACE];
const CONCEPT: &[Field] = &[text("concept_id"), NAMESPACE];
const PATH: &[Field] = &[text("start_id"), text("end_id"), integer("max_depth"), NAMESPACE];
const SEARCH: &[Field] = &[vector("query_vector"), integer("k"), integer("ef_search"), NAMESPACE];
const DISSOCIATE: &[Field] =
    &[text("source_id"), text("target_id"), integer("assoc_type"), NAMESPACE];
const ASSOCIATION: &[Field] = &[text("source_id"), text("target_id"), NAMESPACE];
const DELETE: &[Field] = &[NAMESPACE, text("id")];
const NONE: &[Field] = &[NAMESPACE];

impl Operation {
    pub(crate) const ALL: [Operation; 22] = [
        Operation::LearnConcept,
        Operation::LearnAssociation,
        Operation::QueryConcept,
        Operation::GetNeighbors,
        Operation::FindPath,
        Operation::VectorSearch,
        Operation::GetStats,
        Operation::Flush,
        Operation::HealthCheck,
        Operation::DeleteConcept,
        Operation::DeleteAssociation,
        Operation::GetAssociation,
        Operation::GetAllConceptIds,
        Operation::LearnConceptV2,
        Operation::LearnBatch,
        Operation::ListRecent,
        Operation::QueryByMetadata,
        Operation::FindPathSemantic,
        Operation::FindTemporalChain,
        Operation::FindCausalChain,
        Operation::FindContradictions,
        Operation::QueryBySemantic,
    ];

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name().as_bytes() == name)
    }

    /// The request with this number: the nine of the first release, and what the later one put
    /// between them.
    pub(crate) fn from_number(number: u64, numbering: Numbering) -> Option<Self> {
        let at = match (number, numbering) {
            (6, Numbering::Later) => return Some(Operation::QueryByMetadata),
            (7.., Numbering::Later) => number - 1,
            _ => number,
        };
        usize::try_from(at).ok().and_then(|at| Self::ALL[..9].get(at).copied())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::LearnConcept => "LearnConcept",
            Operation::LearnAssociation => "LearnAssociation",
            Operation::QueryConcept => "QueryConcept",
            Operation::GetNeighbors => "GetNeighbors",
            Operation::FindPath => "FindPath",
            Operation::VectorSearch => "VectorSearch",
            Operation::GetStats => "GetStats",
            Operation::Flush => "Flush",
            Operation::HealthCheck => "HealthCheck",
            Operation::DeleteConcept => "DeleteConcept",
            Operation::DeleteAssociation => "DeleteAssociation",
            Operation::GetAssociation => "GetAssociation",
            Operation::GetAllConceptIds => "GetAllConceptIds",
            Operation::LearnConceptV2 => "LearnConceptV2",
            Operation::LearnBatch => "LearnBatch",
            Operation::ListRecent => "ListRecent",
            Operation::QueryByMetadata => "QueryByMetadata",
            Operation::FindPathSemantic => "FindPathSemantic",
            Operation::FindTemporalChain => "FindTemporalChain",
            Operation::FindCausalChain => "FindCausalChain",
            Operation::FindContradictions => "FindContradictions",
            Operation::QueryBySemantic => "QueryBySemantic",
        }
    }

    /// Why this server never serves the operation; `None` where it does.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Operation::LearnConceptV2 | Operation::LearnBatch => Some(
                "no embedder is configured on this server; \
                 send LearnConcept with an embedding of your own",
            ),
            Operation::FindPathSemantic
            | Operation::FindTemporalChain
            | Operation::FindCausalChain
            | Operation::FindContradictions
            | Operation::QueryBySemantic => Some("this server does not classify text"),
            Operation::ListRecent => Some("this server keeps no list of what was learned last"),
            Operation::QueryByMetadata => Some("this server keeps no metadata"),
            _ => None,
        }
    }

    /// The fields of an operation that is served.
    pub(crate) fn fields(self) -> Fields {
        let (list, in_arrays, spare) = match self {
            // Its last release ends with optional metadata.
            Operation::LearnConcept => (LEARN, 5, 1),
            Operation::LearnAssociation => (ASSOCIATE, 4, 0),
            Operation::QueryConcept | Operation::GetNeighbors => (CONCEPT, 1, 0),
            Operation::FindPath => (PATH, 3, 0),
            // Its last release ends with an optional string.
            Operation::VectorSearch => (SEARCH, 3, 1),
            Operation::DeleteConcept => (DELETE, 2, 0),
            Operation::DeleteAssociation => (DISSOCIATE, 3, 0),
            Operation::GetAssociation => (ASSOCIATION, 2, 0),
            _ => (NONE, 0, 0),
        };
        Fields { list, in_arrays, spare }
    }
}
