//! Writes: learn and associate.
//!
//! Cost of a learn on its owner's core: one pass of validation, one copy into the log, no allocation, no system call of its own. On another
//! core: one copy more, into a pooled buffer, and a message each way.

use sutra_net::{Context, Flow, Request};
use sutra_store::{Acknowledged, Effect, InEdge, Refusal};
use sutra_wire::{AssociationRecord, ConceptId, ConceptRecord, Status};

use crate::message::{Body, Forwarded, Message, Payload, Ticket};
use crate::namespaces::Unnumbered;
use crate::service::{StorageService, validated};

/// The code that a refused write is answered with.
pub(crate) fn status_of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Full { .. } => Status::StorageFull,
        Refusal::TooLarge { .. } => Status::TooLarge,
        Refusal::Failed { .. } | Refusal::Lost { .. } => Status::StorageFailed,
        Refusal::Dimension { .. } => Status::InvalidArgument,
        Refusal::Stalled => Status::Busy,
    }
}

impl StorageService {
    pub(crate) fn learn(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(record) = validated::<ConceptRecord>(cx, request) else { return Flow::Taken };
        let Some(namespace) = self.namespace_to_write(&record.namespace) else {
            return self.wait_for_namespace(cx, request.reply_to, &record.namespace, |cx| {
                Unnumbered::Learn(record.copy_into(cx.buffer()))
            });
        };
        let owner = self.owner(&ConceptId(record.id));
        if owner != cx.index() {
            return self.forward(cx, owner, request.reply_to, |cx| Forwarded::Learn {
                namespace,
                record: record.copy_into(cx.buffer()),
            });
        }
        let result = self.shard.learn(record, namespace, Ticket::Here(request.reply_to));
        Self::logged(cx, request, result)
    }

    pub(crate) fn associate(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(record) = validated::<AssociationRecord>(cx, request) else { return Flow::Taken };
        let Some(namespace) = self.namespace_to_write(&record.namespace) else {
            return self.wait_for_namespace(cx, request.reply_to, &record.namespace, |cx| {
                Unnumbered::Associate(record.copy_into(cx.buffer()))
            });
        };
        let owner = self.owner(&ConceptId(record.source));
        if owner != cx.index() {
            return self.forward(cx, owner, request.reply_to, |cx| Forwarded::Associate {
                namespace,
                record: record.copy_into(cx.buffer()),
            });
        }
        let result = self.shard.associate(record, namespace, Ticket::Here(request.reply_to));
        Self::logged(cx, request, result)
    }

    /// What became of a write that a connection of this core sent.
    fn logged(cx: &mut Context<'_, Message>, request: &Request<'_>, result: Result<u64, Refusal>) -> Flow {
        match result {
            Ok(_) => Flow::Taken,
            Err(Refusal::Stalled) => Flow::Wait,
            Err(refusal) => {
                cx.refuse(request.reply_to, status_of(&refusal), refusal.to_string());
                Flow::Taken
            }
        }
    }

    pub(crate) fn owner(&self, id: &ConceptId) -> usize {
        usize::from(self.layout.owner(id))
    }

    /// A write's commit has landed, or failed. A concept is acknowledged now, an association or its removal when its target's
    /// core has applied it.
    pub(crate) fn acknowledge(&mut self, cx: &mut Context<'_, Message>, entry: Acknowledged<Ticket>) {
        let sequence = entry.sequence;
        match entry.effect {
            Ok(Effect::Concept) => self.answer(cx, entry.ticket, Status::Ok, sequence, Payload::Empty),
            Ok(Effect::Deleted(was_there)) => {
                let status = if was_there { Status::Ok } else { Status::NotFound };
                self.answer(cx, entry.ticket, status, sequence, Payload::Empty);
            }
            Ok(Effect::Association(edge)) => self.tell_target(cx, entry.ticket, sequence, edge),
            Ok(Effect::Removal(edge, was_there)) => {
                let ticket = match entry.ticket {
                    Ticket::Removal { core, deletion, .. } => {
                        Ticket::Removal { core, deletion, has_removed: was_there }
                    }
                    other => other,
                };
                self.tell_target(cx, ticket, sequence, edge);
            }
            Err(refusal) => self.refuse(cx, entry.ticket, status_of(&refusal), refusal.to_string()),
        }
    }

    fn tell_target(&mut self, cx: &mut Context<'_, Message>, ticket: Ticket, sequence: u64, edge: InEdge) {
        let owner = self.owner(&edge.key.target);
        if owner == cx.index() {
            self.shard.apply_in_edge(edge);
            self.answer(cx, ticket, Status::Ok, sequence, Payload::Empty);
        } else {
            self.post(cx, owner, Body::InEdge { ticket, sequence, edge });
        }
    }
}
