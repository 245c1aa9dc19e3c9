//! The old protocol, without its sockets: one legacy message in, one native request out; one native
//! reply in, one legacy message out.
//!
//! A message is a big-endian `u32` length and so many bytes of MessagePack or bincode 1, told apart
//! message by message and answered in kind. [`decode`] writes the archive of the native request
//! that the native port would have been sent, so no operation is done a second way.
//! [`encode_reply`] turns the archive of its reply into the shape that old clients read.
//!
//! Promises: no byte string makes anything here panic, or allocate more than the request's archive
//! and an error's text. A vector is written once, from the message into the archive. In steady
//! state, with buffers that are used again, neither way allocates.
//!
//! Relies on `sutra-wire` alone. The archive that [`decode`] makes has the right structure but was
//! not judged: whether its numbers are finite and its lengths within limits is for
//! `sutra_wire::Checked`, as for any request.

mod answer;
mod dialect;
mod error;
pub mod grid;
mod ids;
mod listing;
mod message;
mod operation;
mod reader;
mod reply;
mod request;
mod vector;

use sutra_wire::{FrameBuffer, Opcode, limits};

pub use dialect::{Dialect, Manner};
pub use error::CompatError;
pub use ids::{kept_under, known_by};
pub use listing::Listing;
pub use operation::Numbering;
pub use reply::{encode_error, encode_reply};

use dialect::Encoding;

/// Length of the prefix that says a message's length.
pub const PREFIX_BYTES: usize = 4;

/// Most bytes of a message, either way, without its prefix: the old protocol's own limit, and the
/// native one's.
pub const MAX_MESSAGE: u32 = limits::MAX_PAYLOAD;

/// The length of the message that follows this prefix. One over [`MAX_MESSAGE`] is an error to
/// answer before the connection is closed, as where the next message starts is not worth waiting
/// for.
pub fn message_length(prefix: [u8; PREFIX_BYTES]) -> Result<u32, CompatError> {
    match u32::from_be_bytes(prefix) {
        length if length > MAX_MESSAGE => Err(CompatError::TooLong { length, limit: MAX_MESSAGE }),
        length => Ok(length),
    }
}

/// The bytes of the first message with its prefix, once the prefix is there; the same error as
/// [`message_length`]'s.
pub fn measure(bytes: &[u8]) -> Result<Option<usize>, CompatError> {
    let Some(prefix) = bytes.first_chunk() else { return Ok(None) };
    Ok(Some(PREFIX_BYTES + message_length(*prefix)? as usize))
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Something that the native port does.
    Request {
        /// Which operation; its request's archive is in the buffer.
        opcode: Opcode,
        /// How to answer.
        manner: Manner,
    },
    /// Something that is known and not done here: to be answered with [`encode_error`] at once.
    Refused {
        /// How to answer.
        manner: Manner,
        /// What to tell the client.
        message: String,
    },
}

/// A message that is no request: to be answered with [`encode_error`]. The connection goes on, as
/// the next message's start is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Undecodable {
    /// How to answer.
    pub manner: Manner,
    /// What is wrong.
    pub error: CompatError,
}

/// Reads a message without its prefix. The archive of the native request is written to `out`, which
/// is empty, and stays so for operations without payload; after an error `out` may hold anything.
pub fn decode(
    message: &[u8],
    dialect: Dialect,
    out: &mut FrameBuffer,
) -> Result<Decoded, Undecodable> {
    debug_assert!(out.is_empty(), "a buffer of its own for every request");
    let mut manner = Manner::of(message, dialect);
    let opcode = match manner.encoding() {
        Encoding::Bincode(numbering) => request::bincode::read(message, numbering, &mut manner)
            .map(|request| request.map(|request| (request, ""))),
        Encoding::Msgpack | Encoding::TaggedMsgpack => request::msgpack::read(message, &mut manner),
    }
    .and_then(|request| {
        request
            .map(|(request, namespace)| request.archive(namespace, dialect.id_rule, out))
            .transpose()
    })
    .and_then(|opcode| match out.len() {
        length if length > MAX_MESSAGE as usize => {
            Err(CompatError::RequestTooLong { length, limit: MAX_MESSAGE })
        }
        _ => Ok(opcode),
    });
    match opcode {
        Ok(Some(opcode)) => Ok(Decoded::Request { opcode, manner }),
        Ok(None) => Ok(Decoded::Refused { manner, message: refusal(manner) }),
        Err(error) => Err(Undecodable { manner, error }),
    }
}

fn refusal(manner: Manner) -> String {
    let operation = manner.operation().expect("a request that is refused has named its operation");
    let reason = operation.refusal().expect("only what is not served is refused");
    format!("{} is not served: {reason}", operation.name())
}
