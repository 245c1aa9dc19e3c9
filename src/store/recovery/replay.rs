//! Commits applied again: every entry is validated, and is made visible as it was when its commit
//! landed.

use std::sync::Arc;

use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord, Payload};

use super::{Loaded, Recovery};
use crate::StoreError;
use crate::commit::{self, Commit, Fault};
use crate::disk::SegmentName;
use crate::format::{
    ENTRY_HEADER, Entry, EntryHeader, KIND_ASSOCIATION, KIND_CONCEPT, KIND_REMOVAL, KIND_TOMBSTONE,
    SegmentHeader,
};
use crate::log_memory::Location;
use crate::namespaces::NamespaceId;
use crate::visible;

/// The sequences above this are never reached: at a billion writes a second it would take 146
/// years.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 62;

impl Recovery {
    /// Applies every commit from the watermark on, and moves it behind them; returns why there are
    /// no more.
    pub(super) fn replay(
        &mut self,
        loaded: &mut Loaded,
        header: &SegmentHeader,
    ) -> Result<Fault, StoreError> {
        loop {
            let start = loaded.writer.frozen();
            let commit = match self.verify(loaded, header) {
                Ok(commit) => commit,
                Err(fault) if fault.certain => return Err(self.damage(loaded.name, start, &fault)),
                Err(fault) => return Ok(fault),
            };
            if commit.sequence >= MAX_SEQUENCE {
                return Err(self.source.damaged(
                    loaded.name,
                    start,
                    "its sequences can't be that high",
                ));
            }
            self.apply_commit(loaded, &commit)?;
            self.expected = self.expected.behind(&commit);
        }
    }

    /// Moves the watermark behind a commit that is whole, and applies it.
    pub(super) fn apply_commit(
        &mut self,
        loaded: &mut Loaded,
        commit: &Commit,
    ) -> Result<(), StoreError> {
        let start = loaded.writer.frozen();
        loaded.writer.freeze(start + commit.padded);
        let region = Arc::clone(loaded.writer.region());
        let whole = region
            .bytes(start..start + commit.padded)
            .expect("the watermark was just moved behind it");
        for (at, entry) in commit::entries(whole, commit) {
            self.apply(loaded.name, start + at, &entry)?;
        }
        self.report.entries += u64::from(commit.body.entries);
        self.exchange.take_in(&mut self.graph);
        Ok(())
    }

    pub(super) fn apply(
        &mut self,
        name: SegmentName,
        offset: usize,
        entry: &Entry<'_>,
    ) -> Result<(), StoreError> {
        let (header, body) = (&entry.header, entry.body);
        let at = offset + ENTRY_HEADER;
        match header.kind {
            KIND_CONCEPT => {
                let record = self.validated::<ConceptRecord>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &record.namespace)? else {
                    return Ok(());
                };
                self.check_owner(name, at, &ConceptId(record.id))?;
                // SAFETY: `validated` accepted exactly these bytes, which lie at a multiple of 16
                // of this segment and below its watermark.
                let location = unsafe { Location::new(name.number, at, body.len()) };
                let embedding = record.embedding.len();
                if let Some(vectors) = self.vectors.as_mut().filter(|_| embedding > 0) {
                    let numbers = u32::try_from(embedding).expect("validation takes fewer");
                    self.is_doubtful |= vectors.accept(namespace, numbers).is_err();
                }
                let (memory, graph) = (&self.memory, &mut self.graph);
                let (vectors, sequence) = (self.vectors.as_mut(), header.sequence);
                visible::learn(memory, graph, vectors, namespace, &record, location, sequence);
            }
            KIND_ASSOCIATION | KIND_REMOVAL => {
                let record = self.validated::<AssociationRecord>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &record.namespace)? else {
                    return Ok(());
                };
                self.check_owner(name, at, &ConceptId(record.source))?;
                // SAFETY: as for a concept.
                let location = unsafe { Location::new(name.number, at, body.len()) };
                let edge = match header.kind {
                    KIND_REMOVAL => {
                        self.graph.dissociate(namespace, &record, location, header.sequence).0
                    }
                    _ => self.graph.associate(namespace, &record, location, header.sequence),
                };
                match self.source.layout.owner(&edge.key.target) {
                    owner if owner == self.source.shard => self.graph.apply_in_edge(&edge),
                    owner => self.exchange.tell(usize::from(owner), edge),
                }
            }
            KIND_TOMBSTONE => {
                let key = self.validated::<ConceptKey>(name, at, body)?;
                let Some(namespace) = self.namespace(name, at, header, &key.namespace)? else {
                    return Ok(());
                };
                self.check_owner(name, at, &ConceptId(key.id))?;
                let (graph, vectors) = (&mut self.graph, self.vectors.as_mut());
                let id = ConceptId(key.id);
                visible::delete(graph, vectors, namespace, &id, header.sequence);
            }
            kind => {
                let what = format!(
                    "it has an entry of kind {kind} at byte {offset}, \
                     which this version does not know"
                );
                return Err(StoreError::Version { file: self.source.path(name), what });
            }
        }
        Ok(())
    }

    fn validated<'a, R: Payload>(
        &self,
        name: SegmentName,
        at: usize,
        body: &'a [u8],
    ) -> Result<Checked<'a, R>, StoreError> {
        Checked::new(body).map_err(|error| {
            self.source.damaged(name, at, format!("an entry's record is not valid: {error}"))
        })
    }

    /// The number of an entry's namespace; `None` where that one gave its place back after the
    /// entry was written.
    fn namespace(
        &self,
        name: SegmentName,
        at: usize,
        header: &EntryHeader,
        namespace: &str,
    ) -> Result<Option<NamespaceId>, StoreError> {
        let namespaces = &self.source.namespaces;
        let mut known = namespaces.lookup(namespace);
        if known.is_none() && self.source.is_ahead && !namespaces.is_given_back(header.sequence) {
            // Whoever writes the log has named it since: before this entry was written.
            namespaces.refresh()?;
            known = namespaces.lookup(namespace);
        }
        match known {
            None if !namespaces.is_given_back(header.sequence) => {
                let what = format!("the manifest does not name the namespace {namespace:?}");
                Err(self.source.damaged(name, at, what))
            }
            number => Ok(number),
        }
    }

    fn check_owner(&self, name: SegmentName, at: usize, id: &ConceptId) -> Result<(), StoreError> {
        match self.source.layout.owner(id) {
            owner if owner == self.source.shard => Ok(()),
            owner => {
                Err(self.source.damaged(name, at, format!("this record belongs to shard {owner}")))
            }
        }
    }
}
