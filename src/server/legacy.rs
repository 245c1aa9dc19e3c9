//! The compat port: the old protocol (crate `sutra-compat`) in front of the service, as `net` asks
//! for a translator.
//!
//! Every message becomes the native request that a native client would have sent, so no operation
//! is done a second way.

use sutra_compat::{
    CompatError, Decoded, Dialect, Listing, Manner as CompatManner, PREFIX_BYTES, Undecodable,
    decode, encode_error, encode_reply,
};
use sutra_net::{Answer, Manner, Overlap, Translated, Translator, Wording};
use sutra_wire::{FrameBuffer, Opcode};

/// Reads and words the old protocol's messages.
pub(crate) struct Legacy {
    dialect: Dialect,
}

impl Legacy {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }
}

/// What a request may overlap with: a client of the old protocol expects one to be done when the
/// next begins.
fn overlap(opcode: Opcode) -> Overlap {
    match opcode {
        Opcode::Learn | Opcode::Associate => Overlap::Writes,
        // A flush is for what was written before it; a deletion takes several writes; whether an
        // association is there to be removed is looked up first; lists of ids may come in several
        // parts.
        Opcode::Flush
        | Opcode::Delete
        | Opcode::Dissociate
        | Opcode::Neighbors
        | Opcode::Concepts => Overlap::Alone,
        _ => Overlap::Reads,
    }
}

impl Translator for Legacy {
    fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        sutra_compat::measure(bytes).map_err(|error| error.to_string())
    }

    fn request(
        &mut self,
        message: &[u8],
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Translated {
        match decode(&message[PREFIX_BYTES..], self.dialect, payload) {
            Ok(Decoded::Request { opcode, manner }) => Translated::Request {
                opcode: opcode as u8,
                manner: Manner(manner.to_bits()),
                overlap: overlap(opcode),
            },
            Ok(Decoded::Refused { manner, message }) => {
                encode_error(manner, &message, reply);
                Translated::Answered { manner: Manner(manner.to_bits()) }
            }
            Err(Undecodable { manner, error }) => {
                encode_error(manner, &error.to_string(), reply);
                Translated::Answered { manner: Manner(manner.to_bits()) }
            }
        }
    }

    fn reply(
        &mut self,
        manner: Manner,
        answer: Answer<'_>,
        gathered: &mut Vec<u8>,
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Wording {
        let manner = CompatManner::from_bits(manner.0);
        let worded = if gathered.is_empty() {
            encode_reply(manner, answer.status, answer.sequence, answer.payload, reply)
        } else {
            Err(CompatError::Partial)
        };
        let worded = match worded {
            Err(CompatError::Partial) => gather(manner, answer, gathered, payload, reply),
            worded => worded.map(|()| Wording::Complete),
        };
        worded.unwrap_or_else(|error| {
            encode_error(manner, &error.to_string(), reply);
            Wording::Complete
        })
    }

    fn error(&mut self, manner: Manner, message: &str, reply: &mut Vec<u8>) {
        encode_error(CompatManner::from_bits(manner.0), message, reply);
    }
}

/// Adds one more part to a list of ids, and words it when it was the last.
fn gather(
    manner: CompatManner,
    answer: Answer<'_>,
    gathered: &mut Vec<u8>,
    payload: &mut FrameBuffer,
    reply: &mut Vec<u8>,
) -> Result<Wording, CompatError> {
    if answer.status.is_error() {
        encode_reply(manner, answer.status, answer.sequence, answer.payload, reply)?;
        return Ok(Wording::Complete);
    }
    let mut listing = Listing::resume(manner, std::mem::take(payload), std::mem::take(gathered));
    if !listing.take(answer.payload)? {
        listing.finish(reply)?;
        return Ok(Wording::Complete);
    }
    (*payload, *gathered) = listing.into_parts();
    Ok(Wording::Ask { opcode: answer.opcode })
}
