//! What a commit has brought becomes visible: in the graph, and among the vectors. The same for
//! commits that have landed and for those that are read back.

use sutra_wire::{Checked, ConceptId, ConceptRecord};

use crate::graph::Graph;
use crate::log_memory::{Location, LogMemory};
use crate::namespaces::NamespaceId;
use crate::vectors::Vectors;

/// A concept, whose record lies there. Where there are `vectors`, its embedding was accepted
/// ([`Vectors::accept`]).
pub(crate) fn learn(
    memory: &LogMemory,
    graph: &mut Graph,
    vectors: Option<&mut Vectors>,
    namespace: NamespaceId,
    record: &Checked<'_, ConceptRecord>,
    location: Location<ConceptRecord>,
    sequence: u64,
) {
    let id = ConceptId(record.id);
    let Some(vectors) = vectors else {
        graph.learn(namespace, record, location, sequence);
        return;
    };
    let previous =
        graph.table().location(namespace, &id).and_then(|location| memory.record(location));
    graph.learn(namespace, record, location, sequence);
    if (!record.embedding.is_empty()
        || previous.as_ref().is_some_and(|previous| !previous.embedding.is_empty()))
        && let Some(node) = graph.table().find(namespace, &id)
    {
        vectors.learned(namespace, node, record, previous);
    }
    if !record.embedding.is_empty() {
        vectors.landed(namespace);
    }
}

/// A concept that is deleted; whether there was one.
pub(crate) fn delete(
    graph: &mut Graph,
    vectors: Option<&mut Vectors>,
    namespace: NamespaceId,
    id: &ConceptId,
    sequence: u64,
) -> bool {
    if let Some(vectors) = vectors
        && let Some(node) = graph.table().find(namespace, id)
    {
        vectors.deleted(namespace, node);
    }
    graph.delete(namespace, id, sequence)
}
