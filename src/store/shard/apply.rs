//! What a commit has brought becomes visible: in the graph, and among the vectors.

use sutra_wire::ConceptId;

use super::Shard;
use crate::log::Write;
use crate::namespaces::NamespaceId;
use crate::outcome::Effect;
use crate::visible;

impl<T> Shard<T> {
    /// Makes a write visible whose commit has landed.
    pub(super) fn apply(&mut self, write: &Write, namespace: NamespaceId, sequence: u64) -> Effect {
        const SEALED: &str = "sealing the commit moved the watermark behind its entries";
        match *write {
            Write::Concept(location) => {
                let record = self.memory.record(location).expect(SEALED);
                let (graph, vectors) = (&mut self.graph, Some(&mut self.vectors));
                let memory = &self.memory;
                visible::learn(memory, graph, vectors, namespace, &record, location, sequence);
                Effect::Concept
            }
            Write::Association(location) => {
                let record = self.memory.record(location).expect(SEALED);
                Effect::Association(self.graph.associate(namespace, &record, location, sequence))
            }
            Write::Removal(location) => {
                let record = self.memory.record(location).expect(SEALED);
                let (edge, was_there) =
                    self.graph.dissociate(namespace, &record, location, sequence);
                Effect::Removal(edge, was_there)
            }
            Write::Tombstone(location) => {
                let key = self.memory.record(location).expect(SEALED);
                let (graph, vectors) = (&mut self.graph, Some(&mut self.vectors));
                let id = ConceptId(key.id);
                Effect::Deleted(visible::delete(graph, vectors, namespace, &id, sequence))
            }
        }
    }
}
