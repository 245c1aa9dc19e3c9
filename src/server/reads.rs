//! Reads that one shard can answer at once: a concept, an association, a concept's neighbours, a
//! page of concepts, a stretch of its log. And what the store is made of, which every core knows.
//!
//! Cost of a query hit on its owner's core: one pass over the key, one table lookup, one count on
//! the segment, no allocation. The reply is the stored archive. Most files here have two functions:
//! one that takes a client's request, and one that answers it on the owner's core.

mod associations;
mod concepts;
mod listing;
mod log;
mod neighbors;
mod store_info;

use sutra_net::Context;

use crate::core::Core;
use crate::core::message::{Message, Read, Ticket};

pub(crate) use associations::association;
pub(crate) use concepts::concept;
pub(crate) use listing::concepts;
pub(crate) use log::log;
pub(crate) use neighbors::neighbors;
pub(crate) use store_info::store_info;

/// A read that another core received, and validated there.
pub(crate) fn execute(core: &mut Core, cx: &mut Context<'_, Message>, ticket: Ticket, read: Read) {
    match read {
        Read::Concept { namespace, id } => concepts::here(core, cx, ticket, namespace, id),
        Read::Association { namespace, source, target, kind } => {
            associations::here(core, cx, ticket, namespace, &source, &target, kind);
        }
        Read::Log(range) => log::here(core, cx, ticket, range),
        Read::Concepts { listed, namespace, from, limit } => {
            listing::here(core, cx, ticket, listed, namespace, from, limit);
        }
        Read::Neighbors { namespace, request } => {
            neighbors::here(core, cx, ticket, namespace, request.checked());
            cx.give_back(request.into_buffer());
        }
    }
}
