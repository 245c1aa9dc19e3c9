//! Requests for what no storage server does.

use sutra_net::{Context, Flow, Request};
use sutra_wire::Status;

use crate::core::message::Message;

/// Refuses a second greeting.
pub(crate) fn refuse_hello(cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let message = "Hello was said already on this connection";
    cx.refuse(request.reply_to, Status::InvalidArgument, message);
    Flow::Taken
}

/// Refuses an operation of the grid's master.
pub(crate) fn refuse_the_masters(cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let message = "this is a storage server; \
                   ask the grid's master (127.0.0.1:7001 unless told otherwise)";
    cx.refuse(request.reply_to, Status::NotServed, message);
    Flow::Taken
}

/// Refuses an operation that nobody knows.
pub(crate) fn refuse_unknown(cx: &mut Context<'_, Message>, request: &Request<'_>) -> Flow {
    let number = request.header.opcode;
    let message = format!(
        "no operation has the number 0x{number:02x}; is the client newer than this server?"
    );
    cx.refuse(request.reply_to, Status::UnknownOpcode, message);
    Flow::Taken
}
