//! What a connection speaks. What differs between protocols is asked here, in one match each, and
//! where a match needs more than a connection has: in `io/messages.rs` and `io/wording.rs`.

use sutra_wire::{HEADER_BYTES, Parsed};

use crate::exchange::Exchange;
use crate::input::{Input, InputPool};

/// What a connection speaks.
pub(crate) enum Protocol {
    Native,
    /// The translator's; what it has under way.
    Translated(Box<Exchange>),
}

impl Protocol {
    /// What it has under way, where it is the translator's.
    pub(crate) fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            Self::Native => None,
            Self::Translated(exchange) => Some(exchange),
        }
    }

    /// Bytes of replies that are kept until those before them have left.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Native => 0,
            Self::Translated(exchange) => exchange.held(),
        }
    }

    /// Whether messages can be read where these bytes lie. A frame's payload has to be aligned; a
    /// message is translated, wherever it lies.
    pub(crate) fn reads_at(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Native => bytes.as_ptr().addr().is_multiple_of(16),
            Self::Translated(_) => true,
        }
    }

    /// Adds to what `input` begins with; returns the bytes behind it, which can be read where they
    /// lie. Only a frame's beginning tells how long it is: of messages all is added.
    pub(crate) fn top_up<'a>(
        &self,
        input: &mut Input,
        bytes: &'a [u8],
        max_payload: u32,
        pool: &mut InputPool,
    ) -> &'a [u8] {
        match self {
            Self::Native => top_up_frame(input, bytes, max_payload, pool),
            Self::Translated(_) => {
                input.extend(bytes, pool);
                &[]
            }
        }
    }
}

/// Adds to the frame that `input` begins with what is missing of it; returns the bytes behind it.
fn top_up_frame<'a>(
    input: &mut Input,
    mut bytes: &'a [u8],
    max_payload: u32,
    pool: &mut InputPool,
) -> &'a [u8] {
    // Twice at most: for the header, then for what that says. A whole frame is left to be parsed
    // once, by whoever handles it.
    while !bytes.is_empty()
        && let Ok(Parsed::Partial(whole)) = sutra_wire::parse(input.bytes(), max_payload)
    {
        let is_known = input.bytes().len() >= HEADER_BYTES;
        let missing = (whole - input.bytes().len()).min(bytes.len());
        input.extend(&bytes[..missing], pool);
        bytes = &bytes[missing..];
        if is_known {
            break;
        }
    }
    bytes
}
