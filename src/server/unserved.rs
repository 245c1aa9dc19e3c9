//! Requests for what no storage server does.

use sutra_net::{Context, Request};
use sutra_wire::{Opcode, Status};

use crate::core::message::Message;

/// Refuses a request for an operation that is another server's, or that nobody knows.
pub(crate) fn refuse(cx: &mut Context<'_, Message>, request: &Request<'_>, opcode: Option<Opcode>) {
    let to = request.reply_to;
    match opcode {
        Some(Opcode::Hello) => {
            cx.refuse(to, Status::InvalidArgument, "Hello was said already on this connection");
        }
        Some(_) => {
            let message = "this is a storage server; \
                           ask the grid's master (127.0.0.1:7001 unless told otherwise)";
            cx.refuse(to, Status::NotServed, message);
        }
        None => {
            let number = request.header.opcode;
            let message = format!(
                "no operation has the number 0x{number:02x}; is the client newer than this server?"
            );
            cx.refuse(to, Status::UnknownOpcode, message);
        }
    }
}
