//! A concept's stored record.

use sutra_net::{Context, Flow, Request};
use sutra_store::NamespaceId;
use sutra_wire::{ConceptId, ConceptKey, Status};

use crate::core::message::{Forwarded, Message, Payload, Read, Ticket};
use crate::core::{Core, validated};

pub(crate) fn concept(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    request: &Request<'_>,
) -> Flow {
    let Some(key) = validated::<ConceptKey>(cx, request) else { return Flow::Taken };
    let id = ConceptId(key.id);
    let Some(namespace) = core.namespaces().lookup(&key.namespace) else {
        core.answer_now(cx, Ticket::here(request.reply_to), Status::NotFound, Payload::Empty);
        return Flow::Taken;
    };
    let there = |_: &mut Context<'_, Message>| Forwarded::Read(Read::Concept { namespace, id });
    core.at_owner(cx, id, request.reply_to, there, |core, cx, ticket| {
        here(core, cx, ticket, namespace, id);
        Flow::Taken
    })
}

pub(super) fn here(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    namespace: NamespaceId,
    id: ConceptId,
) {
    match core.shard().concept(namespace, &id) {
        Some(archive) => core.answer_now(cx, ticket, Status::Ok, Payload::Stored(archive)),
        None => core.answer_now(cx, ticket, Status::NotFound, Payload::Empty),
    }
}
