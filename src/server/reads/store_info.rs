//! What the store is made of: its namespaces, and its rule for ids. Every core knows both.
//!
//! The answer has at most 4,096 names of 255 bytes: 1 MiB, far below what a reply may have.

use sutra_net::{Context, Flow, Request};
use sutra_wire::{Status, StoreInfo};

use crate::core::Core;
use crate::core::message::Message;

pub(crate) fn store_info(
    core: &Core,
    cx: &mut Context<'_, Message>,
    request: &Request<'_>,
) -> Flow {
    let id_rule = core.info().id_rule().name().to_owned();
    let info = StoreInfo { id_rule, namespaces: core.namespaces().names() };
    cx.reply_archive(request.reply_to, Status::Ok, core.shard().last_sequence(), &info);
    Flow::Taken
}
