//! Frames in a buffer: finding the next one, and building one in place.
//!
//! A frame is a header and a payload padded with zeros to 16 bytes, so in a 16-byte aligned buffer
//! every payload of a pipelined run is aligned where it lies. Parsing borrows; it allocates nothing
//! and copies nothing. Building appends to a caller's buffer, which keeps its capacity from frame
//! to frame.

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};

use crate::{CHECKSUM, FrameBuffer, FrameError, HEADER_BYTES, Header};

/// A frame as it lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

/// What the start of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame and the bytes that it takes up.
    Frame(Frame<'a>, usize),
    /// The beginning of a frame that takes up this many bytes in all, as far as is known.
    Partial(usize),
}

/// A payload's length with its padding.
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(16)
}

/// Looks for a frame at the start of `bytes`. A payload longer than `limit` is refused before
/// anything is kept for it.
pub fn parse(bytes: &[u8], limit: u32) -> Result<Parsed<'_>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(Parsed::Partial(HEADER_BYTES));
    };
    let header = Header::decode(head)?;
    if header.length > limit {
        return Err(FrameError::TooLong { length: header.length, limit, request: header.request });
    }
    let length = header.length as usize;
    let whole = HEADER_BYTES + padded(length);
    if bytes.len() < whole {
        return Ok(Parsed::Partial(whole));
    }
    let payload = &rest[..length];
    if header.flags & CHECKSUM != 0 {
        let computed = crc32c::crc32c(payload);
        if computed != header.checksum {
            return Err(FrameError::Checksum {
                stated: header.checksum,
                computed,
                request: header.request,
            });
        }
    }
    Ok(Parsed::Frame(Frame { header, payload }, whole))
}

/// Leaves room for a header at the end of `out` and returns where the frame starts. Payload is
/// appended next, then [`finish_frame`] closes it.
pub fn begin_frame(out: &mut FrameBuffer) -> usize {
    let start = out.len();
    debug_assert_eq!(start % 16, 0, "frames are whole multiples of 16 bytes");
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

/// Closes the frame that [`begin_frame`] opened at `start`: pads the payload and writes the header,
/// with a checksum where the header's flags ask for one. The header's length and checksum are set
/// here.
pub fn finish_frame(out: &mut FrameBuffer, start: usize, mut header: Header) {
    let length = out.len() - start - HEADER_BYTES;
    header.length = u32::try_from(length).expect("payloads are bounded far below 4 GiB");
    header.checksum =
        if header.flags & CHECKSUM != 0 { crc32c::crc32c(&out[start + HEADER_BYTES..]) } else { 0 };
    out.resize(start + HEADER_BYTES + padded(length), 0);
    out[start..start + HEADER_BYTES].copy_from_slice(&header.encode());
}

/// Appends a frame without payload.
pub fn encode_empty(out: &mut FrameBuffer, header: Header) {
    let start = begin_frame(out);
    finish_frame(out, start, header);
}

/// Appends a frame whose payload is a copy of these bytes.
pub fn encode_bytes(out: &mut FrameBuffer, header: Header, payload: &[u8]) {
    let start = begin_frame(out);
    out.extend_from_slice(payload);
    finish_frame(out, start, header);
}

/// Appends a frame whose payload is the archive of `value`, built in place.
pub fn encode_archive<T>(out: &mut FrameBuffer, header: Header, value: &T)
where
    T: Archive + for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
{
    let start = begin_frame(out);
    archive(out, value);
    finish_frame(out, start, header);
}

/// Appends the archive of `value` alone, without header and padding. `out` is empty, or ends at a
/// multiple of 16 bytes.
pub fn archive<T>(out: &mut FrameBuffer, value: &T)
where
    T: Archive + for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
{
    // The serializer aligns by the writer's position, which counts from the buffer's start: a
    // multiple of 16 here.
    debug_assert_eq!(out.len() % 16, 0, "archives start aligned");
    *out = rkyv::api::high::to_bytes_in::<_, Error>(value, std::mem::take(out))
        .expect("archiving plain data into memory can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checked, ConceptKey};

    #[test]
    fn frames_of_a_run_are_found_one_after_the_other_with_aligned_payloads() {
        let key =
            ConceptKey { id: [1; 16], namespace: "a namespace that is longer than inline".into() };
        let mut out = FrameBuffer::new();
        encode_empty(&mut out, Header { opcode: 1, request: 1, ..Header::default() });
        encode_bytes(
            &mut out,
            Header { request: 2, flags: CHECKSUM, ..Header::default() },
            b"seven b",
        );
        encode_archive(&mut out, Header { request: 3, ..Header::default() }, &key);
        let mut rest: &[u8] = &out;
        let mut requests = Vec::new();
        while let Ok(Parsed::Frame(frame, used)) = parse(rest, 1000) {
            assert_eq!(frame.payload.as_ptr() as usize % 16, 0);
            requests.push(frame.header.request);
            if frame.header.request == 3 {
                assert_eq!(
                    Checked::<ConceptKey>::new(frame.payload).expect("valid").to_owned(),
                    key
                );
            }
            rest = &rest[used..];
        }
        assert_eq!((requests, rest.len()), (vec![1, 2, 3], 0));
    }

    #[test]
    fn a_beginning_says_how_much_is_needed() {
        let mut out = FrameBuffer::new();
        encode_bytes(&mut out, Header::default(), &[1; 40]);
        assert_eq!(parse(&out[..31], 100), Ok(Parsed::Partial(32)));
        assert_eq!(parse(&out[..79], 100), Ok(Parsed::Partial(80)));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_payload_arrives() {
        let header = Header { request: 9, length: 101, ..Header::default() };
        assert_eq!(
            parse(&header.encode(), 100),
            Err(FrameError::TooLong { length: 101, limit: 100, request: 9 })
        );
    }

    #[test]
    fn a_damaged_payload_is_refused() {
        let mut out = FrameBuffer::new();
        encode_bytes(
            &mut out,
            Header { flags: CHECKSUM, request: 5, ..Header::default() },
            b"payload",
        );
        out[HEADER_BYTES] ^= 1;
        assert!(matches!(parse(&out, 100), Err(FrameError::Checksum { request: 5, .. })));
    }
}
