//! A page of a concept's neighbours.

use sutra_net::{Context, Flow, Request};
use sutra_store::{NamespaceId, NeighborQuery};
use sutra_wire::{Checked, ConceptId, Direction, Neighbors, NeighborsRequest, Status, limits};

use crate::core::message::{Forwarded, Message, Read, Ticket};
use crate::core::{Core, validated};

pub(crate) fn neighbors(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    request: &Request<'_>,
) -> Flow {
    let Some(neighbors) = validated::<NeighborsRequest>(cx, request) else { return Flow::Taken };
    let Some(namespace) = core.namespaces().lookup(&neighbors.namespace) else {
        cx.reply_archive(
            request.reply_to,
            Status::Ok,
            core.shard().last_sequence(),
            &Neighbors::default(),
        );
        return Flow::Taken;
    };
    let there = |cx: &mut Context<'_, Message>| {
        Forwarded::Read(Read::Neighbors { namespace, request: neighbors.copy_into(cx.buffer()) })
    };
    core.at_owner(cx, ConceptId(neighbors.id), request.reply_to, there, |core, cx, ticket| {
        here(core, cx, ticket, namespace, neighbors);
        Flow::Taken
    })
}

pub(super) fn here(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    namespace: NamespaceId,
    request: Checked<'_, NeighborsRequest>,
) {
    let limit = match request.limit.to_native() {
        0 => limits::MAX_NEIGHBORS,
        limit => limit,
    };
    let query = NeighborQuery {
        namespace,
        id: ConceptId(request.id),
        direction: Direction::from_number(request.direction).expect("validated"),
        kinds: &request.kinds,
        minimum_confidence: request.minimum_confidence.to_native(),
        limit,
        cursor: request.cursor.to_native(),
    };
    let mut reply = Neighbors::default();
    reply.cursor = core.shard().neighbors(&query, &mut reply.neighbors);
    core.answer_archive(cx, ticket, &reply);
}
