//! Pages of a namespace's concepts: one core after the other, each in the order in which it first
//! heard of its concepts.
//!
//! A cursor names a core and the place to go on with in its table. Places never move, so a concept
//! that is there throughout is listed exactly once, whatever is learned or deleted between two
//! pages. A page is of one core and one bounded slice of work.

use sutra_net::{Context, Flow, Request};
use sutra_store::NamespaceId;
use sutra_wire::{Concepts, ConceptsRequest, Status, limits};

use crate::core::message::{Forwarded, Listed, Message, Read, Ticket};
use crate::core::{Core, validated};

/// Where a listing goes on. As a cursor it is 0 for the first core's beginning alone.
#[derive(Clone, Copy)]
struct PageStart {
    core: usize,
    from: u32,
}

impl PageStart {
    fn from_cursor(cursor: u64) -> Self {
        Self { core: (cursor >> 32) as usize, from: cursor as u32 }
    }

    fn cursor(self) -> u64 {
        (self.core as u64) << 32 | u64::from(self.from)
    }
}

pub(crate) fn concepts(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    request: &Request<'_>,
    listed: Listed,
) -> Flow {
    let Some(concepts) = validated::<ConceptsRequest>(cx, request) else { return Flow::Taken };
    let PageStart { core: lister, from } = PageStart::from_cursor(concepts.cursor.to_native());
    let namespace = core.namespaces().lookup(&concepts.namespace).filter(|_| lister < cx.cores());
    let Some(namespace) = namespace else {
        // Nothing is listed in a namespace that is not there, nor from a cursor that no server
        // gave.
        cx.reply_archive(
            request.reply_to,
            Status::Ok,
            core.shard().last_sequence(),
            &Concepts::default(),
        );
        return Flow::Taken;
    };
    let limit = match concepts.limit.to_native() {
        0 => limits::MAX_CONCEPTS,
        limit => limit,
    };
    let there = |_: &mut Context<'_, Message>| {
        Forwarded::Read(Read::Concepts { listed, namespace, from, limit })
    };
    core.at_core(cx, lister, request.reply_to, there, |core, cx, ticket| {
        here(core, cx, ticket, listed, namespace, from, limit);
        Flow::Taken
    })
}

pub(super) fn here(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    listed: Listed,
    namespace: NamespaceId,
    from: u32,
    limit: u32,
) {
    let mut reply = Concepts::default();
    let shard = core.shard();
    let next = match listed {
        Listed::Learned => shard.concepts(namespace, from, limit, &mut reply.ids),
        Listed::UnlearnedSources => shard.unlearned_sources(namespace, from, limit, &mut reply.ids),
    };
    let next = match next {
        Some(from) => Some(PageStart { core: cx.index(), from }),
        None => {
            Some(PageStart { core: cx.index() + 1, from: 0 }).filter(|next| next.core < cx.cores())
        }
    };
    reply.cursor = next.map_or(0, PageStart::cursor);
    core.answer_archive(cx, ticket, &reply);
}
