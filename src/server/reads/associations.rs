//! An association's stored record.

use sutra_net::{Context, Flow, Request};
use sutra_store::NamespaceId;
use sutra_wire::{AssociationKey, ConceptId, Status};

use crate::core::message::{Forwarded, Message, Payload, Read, Ticket};
use crate::core::{Core, validated};

pub(crate) fn association(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    request: &Request<'_>,
) -> Flow {
    let Some(key) = validated::<AssociationKey>(cx, request) else { return Flow::Taken };
    let Some(namespace) = core.namespaces().lookup(&key.namespace) else {
        core.answer_now(cx, Ticket::here(request.reply_to), Status::NotFound, Payload::Empty);
        return Flow::Taken;
    };
    let (source, target) = (ConceptId(key.source), ConceptId(key.target));
    let kind = key.kind.as_ref().map(|kind| kind.to_native());
    let there = |_: &mut Context<'_, Message>| {
        Forwarded::Read(Read::Association { namespace, source, target, kind })
    };
    core.at_owner(cx, source, request.reply_to, there, |core, cx, ticket| {
        here(core, cx, ticket, namespace, &source, &target, kind);
        Flow::Taken
    })
}

pub(super) fn here(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    namespace: NamespaceId,
    source: &ConceptId,
    target: &ConceptId,
    kind: Option<u32>,
) {
    match core.shard().association(namespace, source, target, kind) {
        Some(archive) => core.answer_now(cx, ticket, Status::Ok, Payload::Stored(archive)),
        None => core.answer_now(cx, ticket, Status::NotFound, Payload::Empty),
    }
}
