//! Finding the replies in received bytes, for every framing.

use sutra_wire::{FrameError, Header, Parsed, limits, parse};

use crate::Framing;

/// A reply as it lies in the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    pub(crate) header: Header,
    pub(crate) payload: &'a [u8],
    /// Bytes that it takes up.
    pub(crate) used: usize,
}

/// The reply at the start of `bytes`, if it is there as a whole.
pub(crate) fn next_reply(framing: Framing, bytes: &[u8]) -> Result<Option<Received<'_>>, FrameError> {
    match framing {
        Framing::Native => Ok(match parse(bytes, limits::MAX_PAYLOAD)? {
            Parsed::Frame(frame, used) => Some(Received { header: frame.header, payload: frame.payload, used }),
            Parsed::Partial(_) => None,
        }),
        Framing::Fixed(length) => {
            let Some((payload, number)) = bytes.get(..length).zip(bytes.first_chunk()) else { return Ok(None) };
            let header = Header { request: u64::from_le_bytes(*number), ..Header::default() };
            Ok(Some(Received { header, payload, used: length }))
        }
        Framing::Legacy => {
            let Some((prefix, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u32::from_be_bytes(*prefix);
            if length > limits::MAX_PAYLOAD {
                return Err(FrameError::TooLong { request: 0, length, limit: limits::MAX_PAYLOAD });
            }
            let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
            // Its number is that of the oldest request, which the connection knows.
            Ok(Some(Received { header: Header::default(), payload, used: 4 + payload.len() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_messages_carry_their_number_in_the_first_eight_bytes() {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&77u64.to_le_bytes());
        let found = next_reply(Framing::Fixed(16), &bytes).expect("no frame, no error").expect("whole");
        assert_eq!((found.header.request, found.payload, found.used), (77, &bytes[..16], 16));
        assert_eq!(next_reply(Framing::Fixed(16), &bytes[..15]), Ok(None));
    }
}
