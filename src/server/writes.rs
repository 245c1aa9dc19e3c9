//! Writes: learn, associate, dissociate, delete, and the steps that deletions are made of.
//!
//! Cost of a learn on its owner's core: one pass of validation, one copy into the log, no
//! allocation, no system call of its own. On another core: one copy more, into a pooled buffer, and
//! a message each way.
//!
//! A write is answered when its commit has landed; an association and its removal when its target's
//! core has applied it, too.

mod deletions;
mod registrations;

use std::collections::VecDeque;

use sutra_driver::status_of;
use sutra_net::{Context, Flow, ReplyTo, Request};
use sutra_store::{Acknowledged, EdgeKey, Effect, InEdge, Refusal};
use sutra_wire::{
    AssociationKey, AssociationRecord, ConceptId, ConceptKey, ConceptRecord, Deleted, Status,
};

use crate::core::message::{
    Body, DeleteManner, Forwarded, Message, Payload, Ticket, Write, WriteMessage, WriteTicket,
};
use crate::core::names::DeletionNumber;
use crate::core::run_queue::LongWork;
use crate::core::{Core, archive, validated};
use deletions::{Buried, DeleteRequest, Deletions, Ended, NextStep};
use registrations::{Numbered, Registrations, Unnumbered};

/// What this core's writes wait for.
#[derive(Default)]
pub(crate) struct Writes {
    deletions: Deletions,
    registrations: Registrations,
    /// Requests of other cores and steps of deletions that found no room in the log, oldest first.
    /// Bounded by the other cores' credits, by the removals that deletions have under way, and by
    /// the writes that wait for a namespace.
    stalled: VecDeque<(WriteTicket, Write)>,
}

impl Writes {
    pub(crate) fn is_idle(&self) -> bool {
        self.deletions.is_idle() && self.stalled.is_empty() && self.registrations.is_idle()
    }

    pub(crate) fn learn(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(record) = validated::<ConceptRecord>(cx, request) else { return Flow::Taken };
        let Some(namespace) = self.registrations.namespace_to_write(core, &record.namespace) else {
            return self.registrations.wait(core, cx, request.reply_to, &record.namespace, |cx| {
                Unnumbered::Learn(record.copy_into(cx.buffer()))
            });
        };
        let there = |cx: &mut Context<'_, Message>| {
            Forwarded::Write(Write::Learn { namespace, record: record.copy_into(cx.buffer()) })
        };
        core.at_owner(cx, ConceptId(record.id), request.reply_to, there, |core, cx, ticket| {
            let ticket = WriteTicket::Request(ticket.logged_at(cx.now()));
            logged(cx, request.reply_to, core.shard_mut().learn(record, namespace, ticket))
        })
    }

    pub(crate) fn associate(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(record) = validated::<AssociationRecord>(cx, request) else { return Flow::Taken };
        let Some(namespace) = self.registrations.namespace_to_write(core, &record.namespace) else {
            return self.registrations.wait(core, cx, request.reply_to, &record.namespace, |cx| {
                Unnumbered::Associate(record.copy_into(cx.buffer()))
            });
        };
        let there = |cx: &mut Context<'_, Message>| {
            Forwarded::Write(Write::Associate { namespace, record: record.copy_into(cx.buffer()) })
        };
        core.at_owner(cx, ConceptId(record.source), request.reply_to, there, |core, cx, ticket| {
            let ticket = WriteTicket::Request(ticket.logged_at(cx.now()));
            logged(cx, request.reply_to, core.shard_mut().associate(record, namespace, ticket))
        })
    }

    pub(crate) fn dissociate(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(key) = validated::<AssociationKey>(cx, request) else { return Flow::Taken };
        let to = request.reply_to;
        let Some(kind) = key.kind.as_ref().map(|kind| kind.to_native()) else {
            cx.refuse(
                to,
                Status::InvalidArgument,
                "to remove an association, name its kind as well",
            );
            return Flow::Taken;
        };
        let Some(namespace) = core.namespaces().lookup(&key.namespace) else {
            core.answer_now(cx, Ticket::here(to), Status::NotFound, Payload::Empty);
            return Flow::Taken;
        };
        let (source, target) = (ConceptId(key.source), ConceptId(key.target));
        let key = EdgeKey { namespace, source, target, kind };
        let there = |_: &mut Context<'_, Message>| Forwarded::Dissociate(key);
        core.at_owner(cx, source, to, there, |core, cx, ticket| {
            let waiter = WriteTicket::Dissociation {
                ticket: ticket.logged_at(cx.now()),
                has_removed: false,
            };
            match core.shard_mut().dissociate(&key, waiter) {
                Ok(None) => {
                    core.answer_now(cx, ticket, Status::NotFound, Payload::Empty);
                    Flow::Taken
                }
                Ok(Some(sequence)) => logged(cx, to, Ok(sequence)),
                Err(refusal) => logged(cx, to, Err(refusal)),
            }
        })
    }

    pub(crate) fn delete(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
        manner: DeleteManner,
    ) -> Flow {
        let Some(key) = validated::<ConceptKey>(cx, request) else { return Flow::Taken };
        let Some(namespace) = core.namespaces().lookup(&key.namespace) else {
            core.answer_now(cx, Ticket::here(request.reply_to), Status::NotFound, Payload::Empty);
            return Flow::Taken;
        };
        let there = |cx: &mut Context<'_, Message>| {
            Forwarded::Write(Write::Delete { namespace, key: key.copy_into(cx.buffer()), manner })
        };
        core.at_owner(cx, ConceptId(key.id), request.reply_to, there, |core, cx, ticket| {
            if !self.deletions.has_room() {
                return Flow::Wait;
            }
            let key = key.copy_into(cx.buffer());
            self.begin_deletion(core, DeleteRequest { ticket, namespace, key, manner });
            Flow::Taken
        })
    }

    /// A write that another core received, and validated there; or a step of a deletion.
    pub(crate) fn execute(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        waiter: WriteTicket,
        write: Write,
    ) {
        let ticket = waiter.logged_at(cx.now());
        let logged = match &write {
            Write::Learn { namespace, record } => {
                core.shard_mut().learn(record.checked(), *namespace, ticket).map(Some)
            }
            Write::Associate { namespace, record } => {
                core.shard_mut().associate(record.checked(), *namespace, ticket).map(Some)
            }
            Write::Remove(key) => core.shard_mut().dissociate(key, ticket),
            Write::Bury { namespace, key } => {
                core.shard_mut().delete(key.checked(), *namespace, ticket).map(Some)
            }
            Write::Delete { .. } => return self.execute_delete(core, waiter, write),
        };
        match logged {
            Ok(Some(_)) => give_back(cx, write),
            // The association was removed by somebody else meanwhile.
            Ok(None) => {
                let sequence = core.shard().last_sequence();
                self.done(core, cx, waiter, Status::Ok, sequence);
            }
            Err(refusal) if refusal.is_stalled() => self.stalled.push_back((waiter, write)),
            Err(refusal) => self.not_done(core, cx, waiter, &refusal),
        }
    }

    fn execute_delete(&mut self, core: &mut Core, ticket: WriteTicket, write: Write) {
        let (WriteTicket::Request(ticket), Write::Delete { namespace, key, manner }) =
            (ticket, write)
        else {
            unreachable!("no step of a deletion is one")
        };
        let asked = DeleteRequest { ticket, namespace, key, manner };
        if let Some(asked) = self.deletions.wait_for_room(asked) {
            self.begin_deletion(core, asked);
        }
    }

    /// Carries out what waited for its namespace's number, as far as there is room.
    fn write_numbered(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        for Numbered { to, namespace, write } in self.registrations.take_numbered(core) {
            let concept = write.concept();
            cx.about(to, concept.0);
            let owner = core.owner(&concept);
            if owner == cx.index() {
                let ticket = WriteTicket::Request(Ticket::here(to));
                self.execute(core, cx, ticket, write.numbered(namespace));
                continue;
            }
            let mut write = Some(write);
            let _ = core.forward(cx, owner, to, |_| {
                let write = write.take().expect("a request is made once");
                Forwarded::Write(write.numbered(namespace))
            });
            if let Some(write) = write {
                self.registrations.put_back(to, write);
            }
        }
    }

    /// Another core, or the background thread, tells something about writes.
    pub(crate) fn message(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        message: WriteMessage,
    ) {
        match message {
            WriteMessage::InEdge { ticket, sequence, edge } => {
                core.shard_mut().apply_in_edge(edge);
                core.post(cx, from, Body::Write(WriteMessage::InEdgeApplied { ticket, sequence }));
            }
            WriteMessage::InEdgeApplied { ticket, sequence } => {
                self.done(core, cx, ticket, Status::Ok, sequence);
            }
            WriteMessage::Remove { deletion, key } => {
                let ticket = WriteTicket::Removal { core: from, deletion, has_removed: false };
                self.execute(core, cx, ticket, Write::Remove(key));
            }
            WriteMessage::Removed { deletion, outcome } => self.removed(core, deletion, outcome),
            WriteMessage::Registered { refused } => {
                self.registrations.registered(core, cx, refused);
                self.write_numbered(core, cx);
            }
        }
    }

    /// The commit in flight has ended: tells everyone whose write was in it.
    pub(crate) fn committed(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        mut entries: Vec<Acknowledged<WriteTicket>>,
    ) {
        for entry in entries.drain(..) {
            self.acknowledge(core, cx, entry);
        }
        core.shard_mut().recycle(entries);
        self.retry(core, cx);
    }

    /// Tries again what found no room.
    pub(crate) fn retry(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        for _ in 0..self.stalled.len() {
            let Some((ticket, write)) = self.stalled.pop_front() else { break };
            let before = self.stalled.len();
            self.execute(core, cx, ticket, write);
            if self.stalled.len() > before {
                // Still no room: it went to the back, and belongs to the front.
                self.stalled.rotate_right(1);
                break;
            }
        }
        self.retry_numbered(core, cx);
    }

    /// Tries again what found no room at its owner's core after its namespace was there.
    pub(crate) fn retry_numbered(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        if self.registrations.take_stalled() {
            self.write_numbered(core, cx);
        }
    }

    /// A write's commit has landed, or failed. A concept is acknowledged now, an association or its
    /// removal when its target's core has applied it.
    fn acknowledge(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        entry: Acknowledged<WriteTicket>,
    ) {
        let Acknowledged { ticket, sequence, effect } = entry;
        match effect {
            Ok(Effect::Concept) => self.done(core, cx, ticket, Status::Ok, sequence),
            Ok(Effect::Deleted(was_there)) => {
                let status = if was_there { Status::Ok } else { Status::NotFound };
                self.done(core, cx, ticket, status, sequence);
            }
            Ok(Effect::Association(edge)) => self.tell_target(core, cx, ticket, sequence, edge),
            Ok(Effect::Removal(edge, was_there)) => {
                let ticket = match ticket {
                    WriteTicket::Removal { core, deletion, .. } => {
                        WriteTicket::Removal { core, deletion, has_removed: was_there }
                    }
                    WriteTicket::Dissociation { ticket, .. } => {
                        WriteTicket::Dissociation { ticket, has_removed: was_there }
                    }
                    other => other,
                };
                self.tell_target(core, cx, ticket, sequence, edge);
            }
            Err(refusal) => self.not_done(core, cx, ticket, &refusal),
        }
    }

    fn tell_target(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        ticket: WriteTicket,
        sequence: u64,
        edge: InEdge,
    ) {
        let owner = core.owner(&edge.key.target);
        if owner == cx.index() {
            core.shard_mut().apply_in_edge(edge);
            self.done(core, cx, ticket, Status::Ok, sequence);
        } else {
            core.post(cx, owner, Body::Write(WriteMessage::InEdge { ticket, sequence, edge }));
        }
    }

    /// A write is as durable and as visible as it should be: tells whoever waits for it.
    fn done(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        ticket: WriteTicket,
        status: Status,
        sequence: u64,
    ) {
        match ticket {
            WriteTicket::Request(ticket) => {
                core.answer(cx, ticket, status, sequence, Payload::Empty);
            }
            WriteTicket::Dissociation { ticket, has_removed } => {
                let status = if has_removed { Status::Ok } else { Status::NotFound };
                core.answer(cx, ticket, status, sequence, Payload::Empty);
            }
            WriteTicket::Removal { core: asked_by, deletion, has_removed } => {
                self.tell_removed(core, cx, asked_by, deletion, Ok(has_removed));
            }
            WriteTicket::Burial(burial) => {
                let Some(buried) = self.deletions.buried(burial) else { return };
                let Buried { ticket, manner, removed } = buried;
                let deleted = Deleted { concept: status == Status::Ok, associations: removed };
                answer_deleted(core, cx, ticket, manner, deleted, sequence);
            }
        }
    }

    /// A write will not be done: tells whoever waits for it why.
    fn not_done(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        ticket: WriteTicket,
        refusal: &Refusal,
    ) {
        let (status, message) = (status_of(refusal), refusal.to_string());
        match ticket {
            WriteTicket::Request(ticket) | WriteTicket::Dissociation { ticket, .. } => {
                core.refuse(cx, ticket, status, message);
            }
            WriteTicket::Removal { core: asked_by, deletion, .. } => {
                self.tell_removed(core, cx, asked_by, deletion, Err((status, message)));
            }
            WriteTicket::Burial(burial) => {
                let Some(Buried { ticket, removed, .. }) = self.deletions.buried(burial) else {
                    return;
                };
                core.refuse(cx, ticket, status, deletions::cut_short(message, removed));
            }
        }
    }

    fn tell_removed(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        asked_by: usize,
        deletion: DeletionNumber,
        outcome: Result<bool, (Status, String)>,
    ) {
        if asked_by == cx.index() {
            self.removed(core, deletion, outcome);
        } else {
            core.post(cx, asked_by, Body::Write(WriteMessage::Removed { deletion, outcome }));
        }
    }

    /// One removal of a deletion has ended: whether it removed the association, or why it did not.
    fn removed(
        &mut self,
        core: &mut Core,
        deletion: DeletionNumber,
        outcome: Result<bool, (Status, String)>,
    ) {
        if self.deletions.removed(deletion, outcome) {
            core.run_queue().push(LongWork::Deletion(deletion));
        }
    }

    fn begin_deletion(&mut self, core: &mut Core, asked: DeleteRequest) {
        let deletion = self.deletions.begin(asked);
        core.run_queue().push(LongWork::Deletion(deletion));
    }

    /// Does the next piece of work of one deletion: a slice of its associations, or its end.
    pub(crate) fn advance_deletion(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        deletion: DeletionNumber,
    ) {
        match self.deletions.next_step(core.shard(), deletion) {
            NextStep::Nothing => {}
            // Nothing but associations that were removed before.
            NextStep::Again => core.run_queue().push(LongWork::Deletion(deletion)),
            NextStep::Removals(mut keys) => {
                for key in keys.drain(..) {
                    let owner = core.owner(&key.source);
                    if owner == cx.index() {
                        let ticket =
                            WriteTicket::Removal { core: owner, deletion, has_removed: false };
                        self.execute(core, cx, ticket, Write::Remove(key));
                    } else {
                        core.post(cx, owner, Body::Write(WriteMessage::Remove { deletion, key }));
                    }
                }
                self.deletions.recycle(keys);
            }
            NextStep::End(ended) => self.end_deletion(core, cx, ended),
        }
    }

    /// The associations are gone, or can't be removed: logs the tombstone, or tells why not.
    fn end_deletion(&mut self, core: &mut Core, cx: &mut Context<'_, Message>, ended: Ended) {
        let Ended { asked, removed, refused } = ended;
        let DeleteRequest { ticket, namespace, key, manner } = asked;
        let is_learned = core.shard().record(namespace, &ConceptId(key.checked().id)).is_some();
        match refused {
            Some((status, message)) => {
                core.refuse(cx, ticket, status, deletions::cut_short(message, removed));
                cx.give_back(key.into_buffer());
            }
            // Without a write under way that could be of this concept, there is nothing to bury.
            None if !is_learned && core.shard().pending() == 0 => {
                let deleted = Deleted { concept: false, associations: removed };
                let sequence = core.shard().last_sequence();
                answer_deleted(core, cx, ticket, manner, deleted, sequence);
                cx.give_back(key.into_buffer());
            }
            None => {
                let ticket = ticket.logged_at(cx.now());
                let burial = self.deletions.bury(Buried { ticket, manner, removed });
                self.execute(core, cx, WriteTicket::Burial(burial), Write::Bury { namespace, key });
            }
        }
        if let Some(asked) = self.deletions.next_waiting() {
            self.begin_deletion(core, asked);
        }
        cx.resume();
    }
}

/// Gives the buffer of a write that is logged back to the pool.
fn give_back(cx: &mut Context<'_, Message>, write: Write) {
    match write {
        Write::Learn { record, .. } => cx.give_back(record.into_buffer()),
        Write::Associate { record, .. } => cx.give_back(record.into_buffer()),
        Write::Delete { key, .. } | Write::Bury { key, .. } => cx.give_back(key.into_buffer()),
        Write::Remove(_) => {}
    }
}

/// What became of a write that a connection of this core sent.
fn logged(cx: &mut Context<'_, Message>, to: ReplyTo, result: Result<u64, Refusal>) -> Flow {
    match result {
        Ok(_) => Flow::Taken,
        Err(Refusal::Stalled) => Flow::Wait,
        Err(refusal) => {
            cx.refuse(to, status_of(&refusal), refusal.to_string());
            Flow::Taken
        }
    }
}

fn answer_deleted(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    manner: DeleteManner,
    deleted: Deleted,
    sequence: u64,
) {
    let (status, payload) = match deleted {
        deleted if deleted == Deleted::default() => (Status::NotFound, Payload::Empty),
        deleted if manner != DeleteManner::Answered => {
            (Status::Ok, Payload::Built(archive(cx, &deleted)))
        }
        _ => (Status::Ok, Payload::Empty),
    };
    core.answer(cx, ticket, status, sequence, payload);
}
