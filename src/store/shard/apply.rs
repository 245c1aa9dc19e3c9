//! What a commit has brought becomes visible: in the graph, and among the vectors.

use sutra_wire::ConceptId;

use super::Shard;
use crate::log::Write;
use crate::namespaces::NamespaceId;
use crate::outcome::Effect;

impl<T> Shard<T> {
    /// Makes a write visible whose commit has landed.
    pub(super) fn apply(&mut self, write: &Write, namespace: NamespaceId, sequence: u64) -> Effect {
        const SEALED: &str = "sealing the commit moved the watermark behind its entries";
        match *write {
            Write::Concept(location) => {
                let record = self.memory.record(location).expect(SEALED);
                let id = ConceptId(record.id);
                let table = self.graph.table();
                let previous = table
                    .location(namespace, &id)
                    .and_then(|location| self.memory.record(location));
                self.graph.learn(namespace, &record, location, sequence);
                if (!record.embedding.is_empty()
                    || previous.is_some_and(|previous| !previous.embedding.is_empty()))
                    && let Some(node) = self.graph.table().find(namespace, &id)
                {
                    self.vectors.learned(namespace, node, &record, previous);
                }
                if !record.embedding.is_empty() {
                    self.vectors.landed(namespace);
                }
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
                let id = ConceptId(key.id);
                if let Some(node) = self.graph.table().find(namespace, &id) {
                    self.vectors.deleted(namespace, node);
                }
                Effect::Deleted(self.graph.delete(namespace, &id, sequence))
            }
        }
    }
}
