//! Reads of one concept or association: the stored record, and a concept's neighbours.
//!
//! Cost of a query hit on its owner's core: one pass over the key, one table lookup, one count on the segment, no allocation. The reply is the
//! stored archive.

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use sutra_net::{Context, Flow, Request};
use sutra_store::{NamespaceId, NeighborQuery};
use sutra_wire::{
    AssociationKey, Checked, ConceptId, ConceptKey, Direction, FrameBuffer, Neighbors, NeighborsRequest, Status, limits,
};

use crate::message::{Forwarded, Message, Payload, Ticket};
use crate::service::{StorageService, validated};

impl StorageService {
    pub(crate) fn query(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(key) = validated::<ConceptKey>(cx, request) else { return Flow::Taken };
        let id = ConceptId(key.id);
        let ticket = Ticket::Here(request.reply_to);
        let Some(namespace) = self.namespaces.lookup(&key.namespace) else {
            self.answer(cx, ticket, Status::NotFound, self.shard.last_sequence(), Payload::Empty);
            return Flow::Taken;
        };
        let owner = self.owner(&id);
        if owner != cx.index() {
            return self.forward(cx, owner, request.reply_to, |_| Forwarded::Query { namespace, id });
        }
        self.query_here(cx, ticket, namespace, id);
        Flow::Taken
    }

    pub(crate) fn query_here(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        namespace: NamespaceId,
        id: ConceptId,
    ) {
        let sequence = self.shard.last_sequence();
        match self.shard.concept(namespace, &id) {
            Some(archive) => self.answer(cx, ticket, Status::Ok, sequence, Payload::Stored(archive)),
            None => self.answer(cx, ticket, Status::NotFound, sequence, Payload::Empty),
        }
    }

    pub(crate) fn association(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(key) = validated::<AssociationKey>(cx, request) else { return Flow::Taken };
        let ticket = Ticket::Here(request.reply_to);
        let Some(namespace) = self.namespaces.lookup(&key.namespace) else {
            self.answer(cx, ticket, Status::NotFound, self.shard.last_sequence(), Payload::Empty);
            return Flow::Taken;
        };
        let (source, target) = (ConceptId(key.source), ConceptId(key.target));
        let kind = key.kind.as_ref().map(|kind| kind.to_native());
        let owner = self.owner(&source);
        if owner != cx.index() {
            let request_there =
                |_: &mut Context<'_, Message>| Forwarded::Association { namespace, source, target, kind };
            return self.forward(cx, owner, request.reply_to, request_there);
        }
        self.association_here(cx, ticket, namespace, &source, &target, kind);
        Flow::Taken
    }

    pub(crate) fn association_here(
        &mut self,
        cx: &mut Context<'_, Message>,
        ticket: Ticket,
        namespace: NamespaceId,
        source: &ConceptId,
        target: &ConceptId,
        kind: Option<u32>,
    ) {
        let sequence = self.shard.last_sequence();
        match self.shard.association(namespace, source, target, kind) {
            Some(archive) => self.answer(cx, ticket, Status::Ok, sequence, Payload::Stored(archive)),
            None => self.answer(cx, ticket, Status::NotFound, sequence, Payload::Empty),
        }
    }

    pub(crate) fn neighbors(&mut self, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
        let Some(neighbors) = validated::<NeighborsRequest>(cx, request) else { return Flow::Taken };
        let Some(namespace) = self.namespaces.lookup(&neighbors.namespace) else {
            cx.reply_archive(request.reply_to, Status::Ok, self.shard.last_sequence(), &Neighbors::default());
            return Flow::Taken;
        };
        let owner = self.owner(&ConceptId(neighbors.id));
        if owner != cx.index() {
            return self.forward(cx, owner, request.reply_to, |cx| Forwarded::Neighbors {
                namespace,
                request: neighbors.copy_into(cx.buffer()),
            });
        }
        self.neighbors_here(cx, Ticket::Here(request.reply_to), namespace, neighbors);
        Flow::Taken
    }

    pub(crate) fn neighbors_here(
        &mut self,
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
        reply.cursor = self.shard.neighbors(&query, &mut reply.neighbors);
        let buffer = self.archive(cx, &reply);
        self.answer(cx, ticket, Status::Ok, self.shard.last_sequence(), Payload::Built(buffer));
    }

    /// The archive of a reply, in a pooled buffer.
    pub(crate) fn archive<T>(&mut self, cx: &mut Context<'_, Message>, value: &T) -> FrameBuffer
    where
        T: Archive + for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
    {
        rkyv::api::high::to_bytes_in::<_, Error>(value, cx.buffer())
            .expect("archiving plain data into memory can't fail")
    }
}
