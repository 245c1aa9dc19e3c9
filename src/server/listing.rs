//! Pages of a namespace's concepts: one core after the other, each in the order in which it first heard of its concepts.
//!
//! A cursor names a core and the place to go on with in its table. Places never move, so a concept that is there throughout is listed
//! exactly once, whatever is learned or deleted between two pages. A page is of one core and one bounded slice of work.

use sutra_net::{Context, Flow, Request};
use sutra_store::NamespaceId;
use sutra_wire::{Concepts, ConceptsRequest, Status, limits};

use crate::message::{Forwarded, Message, Payload, Ticket};
use crate::service::{StorageService, validated};

/// Where a listing goes on. As a cursor it is 0 for the first core's beginning alone.
#[derive(Clone, Copy)]
struct Place {
    core: usize,
    from: u32,
}

impl Place {
    fn from_cursor(cursor: u64) -> Self {
        Self { core: (cursor >> 32) as usize, from: cursor as u32 }
    }

    fn cursor(self) -> u64 {
        (self.core as u64) << 32 | u64::from(self.from)
    }
}

impl StorageService {
    pub(crate) fn concepts(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(concepts) = validated::<ConceptsRequest>(cx, request) else { return Flow::Taken };
        let Place { core, from } = Place::from_cursor(concepts.cursor.to_native());
        let namespace = self.namespaces.lookup(&concepts.namespace).filter(|_| core < cx.cores());
        let Some(namespace) = namespace else {
            // Nothing is listed in a namespace that is not there, nor from a cursor that no server gave.
            cx.reply_archive(request.reply_to, Status::Ok, self.shard.last_sequence(), &Concepts::default());
            return Flow::Taken;
        };
        let limit = match concepts.limit.to_native() {
            0 => limits::MAX_CONCEPTS,
            limit => limit,
        };
        if core != cx.index() {
            return self.forward(cx, core, request.reply_to, |_| Forwarded::Concepts { namespace, from, limit });
        }
        self.concepts_here(cx, Ticket::Here(request.reply_to), namespace, from, limit);
        Flow::Taken
    }

    pub(crate) fn concepts_here(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        namespace: NamespaceId,
        from: u32,
        limit: u32,
    ) {
        let mut reply = Concepts::default();
        let next = match self.shard.concepts(namespace, from, limit, &mut reply.ids) {
            Some(from) => Some(Place { core: cx.index(), from }),
            None => Some(Place { core: cx.index() + 1, from: 0 }).filter(|next| next.core < cx.cores()),
        };
        reply.cursor = next.map_or(0, Place::cursor);
        let buffer = self.archive(cx, &reply);
        self.answer(cx, ticket, Status::Ok, self.shard.last_sequence(), Payload::Built(buffer));
    }
}
