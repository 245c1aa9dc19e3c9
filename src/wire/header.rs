//! The 32-byte frame header, the same for requests and replies.
//!
//! ```text
//!  0  magic     u16    0x5452
//!  2  version   u8     of the frame and its schema
//!  3  opcode    u8
//!  4  status    u8     requests: 0; replies: ok, not found, or an error code
//!  5  flags     u8     bit 0: checksum present; bit 1: more parts follow
//!  6  reserved  u16    zero, and refused if not
//!  8  request   u64    the client's number for it; replies may come in any order
//! 16  length    u32    payload bytes, without padding
//! 20  checksum  u32    crc32c of the payload where the flag says so, else zero
//! 24  extra     u64    requests: deadline in µs from receipt, 0 for none; replies: sequence
//! ```
//!
//! All integers are little-endian. A reader of this version ignores what means nothing to it: a
//! request's status and MORE flag, a checksum without its flag, what stands in the padding, a
//! payload where an operation has none. A writer leaves all of it zero. Decoding checks what can be
//! wrong with a header in itself; whether the length is acceptable is the caller's limit (`frame`).

use crate::error::FrameError;
use crate::version::{MAGIC, VERSION};

/// Size of a header.
pub const HEADER_BYTES: usize = 32;
/// Flag: the checksum field holds the crc32c of the payload.
pub const CHECKSUM: u8 = 1;
/// Flag: this is not the last part of the reply.
pub const MORE: u8 = 2;

/// A decoded frame header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What is asked or answered ([`crate::Opcode`]); kept as a number so that an unknown one can
    /// be answered.
    pub opcode: u8,
    /// 0 in requests; a [`crate::Status`] in replies.
    pub status: u8,
    /// [`CHECKSUM`] and [`MORE`].
    pub flags: u8,
    /// The client's number for the request.
    pub request: u64,
    /// Payload bytes, without padding.
    pub length: u32,
    /// crc32c of the payload where [`CHECKSUM`] is set.
    pub checksum: u32,
    /// Requests: deadline in µs from receipt, 0 for none. Replies: sequence.
    pub extra: u64,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..2].copy_from_slice(&MAGIC.to_le_bytes());
        out[2] = VERSION;
        out[3] = self.opcode;
        out[4] = self.status;
        out[5] = self.flags;
        out[8..16].copy_from_slice(&self.request.to_le_bytes());
        out[16..20].copy_from_slice(&self.length.to_le_bytes());
        out[20..24].copy_from_slice(&self.checksum.to_le_bytes());
        out[24..32].copy_from_slice(&self.extra.to_le_bytes());
        out
    }

    /// Reads a header; refuses a foreign magic, another version, a non-zero reserved field and
    /// unknown flags.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let magic = u16::from_le_bytes([bytes[0], bytes[1]]);
        if magic != MAGIC {
            return Err(FrameError::Magic { found: magic });
        }
        if bytes[2] != VERSION {
            return Err(FrameError::Version { found: bytes[2] });
        }
        let reserved = u16::from_le_bytes([bytes[6], bytes[7]]);
        if reserved != 0 {
            return Err(FrameError::Reserved { found: reserved });
        }
        if bytes[5] & !(CHECKSUM | MORE) != 0 {
            return Err(FrameError::Flags { found: bytes[5] });
        }
        Ok(Self {
            opcode: bytes[3],
            status: bytes[4],
            flags: bytes[5],
            request: read_u64(bytes, 8),
            length: read_u32(bytes, 16),
            checksum: read_u32(bytes, 20),
            extra: read_u64(bytes, 24),
        })
    }
}

fn read_u32(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read_u64(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(read_u32(bytes, at)) | u64::from(read_u32(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            opcode: 0x20,
            status: 1,
            flags: CHECKSUM,
            request: 7,
            length: 48,
            checksum: 0xdead_beef,
            extra: 1 << 40,
        }
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        assert_eq!(Header::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn each_field_that_must_be_fixed_is_refused_with_its_value() {
        let refused = |at: usize, value: u8| {
            let mut bytes = sample().encode();
            bytes[at] = value;
            Header::decode(&bytes)
        };
        assert_eq!(refused(0, b'G'), Err(FrameError::Magic { found: 0x5447 }));
        assert_eq!(refused(2, 9), Err(FrameError::Version { found: 9 }));
        assert_eq!(refused(5, 0x80), Err(FrameError::Flags { found: 0x80 }));
        assert_eq!(refused(7, 1), Err(FrameError::Reserved { found: 0x100 }));
    }
}
