//! Stretches of a log for a backup, sent from the segment's memory by the core that writes it.

use sutra_net::{Context, Flow, Request};
use sutra_wire::{LogRange, Status};

use crate::core::message::{Forwarded, Message, Payload, Read, Ticket};
use crate::core::{Core, validated};

/// A client asks for a stretch.
pub(crate) fn log(core: &mut Core, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let Some(range) = validated::<LogRange>(cx, request) else { return Flow::Taken };
    let range = range.to_owned();
    let (shard, cores) = (usize::from(range.shard), cx.cores());
    if shard >= cores {
        let message = format!("there is no shard {shard}: this server has {cores}");
        cx.refuse(request.reply_to, Status::InvalidArgument, message);
        return Flow::Taken;
    }
    let there = |_: &mut Context<'_, Message>| Forwarded::Read(Read::Log(range));
    core.at_core(cx, shard, request.reply_to, there, |core, cx, ticket| {
        here(core, cx, ticket, range);
        Flow::Taken
    })
}

/// Answers it on the shard's core.
pub(super) fn here(
    core: &mut Core,
    cx: &mut Context<'_, Message>,
    ticket: Ticket,
    range: LogRange,
) {
    let from = range.offset as usize;
    let asked = from..from + range.length as usize;
    match core.shard().log_bytes(range.segment, range.generation, asked) {
        Ok(bytes) => core.answer_now(cx, ticket, Status::Ok, Payload::Stored(bytes)),
        Err(why) => core.refuse(cx, ticket, Status::InvalidArgument, why.to_string()),
    }
}
