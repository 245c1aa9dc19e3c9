//! A message of the old protocol: four bytes of length, big-endian, and what they count.

use crate::error::CompatError;
use crate::{MAX_MESSAGE, PREFIX_BYTES};

/// Appends a message: its length, once it is known, and what `write` appends. Nothing, if that
/// fails or is too long.
pub(crate) fn message(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CompatError>,
) -> Result<(), CompatError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let written = write(out).and_then(|()| {
        let length = out.len() - start - PREFIX_BYTES;
        match u32::try_from(length) {
            Ok(prefix) if prefix <= MAX_MESSAGE => Ok(prefix),
            _ => Err(CompatError::ReplyTooLong { length, limit: MAX_MESSAGE }),
        }
    });
    match written {
        Ok(prefix) => {
            out[start..start + PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}
