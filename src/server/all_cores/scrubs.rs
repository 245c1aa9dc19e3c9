//! Scrubs as clients ask for them. Every core knows of the one that there is.

use sutra_net::{Context, Flow, Request};
use sutra_wire::{ScrubReport, ScrubRequest, Status};

use crate::core::message::Message;
use crate::core::{Core, validated};

/// Begins a scrub where that is asked for, and tells how it goes.
pub(crate) fn scrub(core: &Core, cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let Some(asked) = validated::<ScrubRequest>(cx, request) else { return Flow::Taken };
    let trust = core.info().trust();
    if asked.begin
        && let Err(why) = trust.begin_scrub(asked.bandwidth.to_native())
    {
        cx.refuse(request.reply_to, Status::Busy, why);
        return Flow::Taken;
    }
    let sequence = core.shard().last_sequence();
    cx.reply_archive::<ScrubReport>(request.reply_to, Status::Ok, sequence, &trust.report());
    Flow::Taken
}
