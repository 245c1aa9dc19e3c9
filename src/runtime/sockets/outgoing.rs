//! What one send puts on the wire: bytes of its own, and shared pieces of regions sent from where
//! they lie.
//!
//! An `Outgoing` is pooled by its core, so in steady state building and sending one allocates
//! nothing. The kernel's view of it (iovecs and message header) lives inside the same box, which
//! stays put while a send is with the kernel.

use std::fmt;
use std::io::IoSlice;

use crate::region::RegionSlice;

/// Most iovecs that one sendmsg takes (IOV_MAX, sysconf(3)); what is beyond goes out with the next.
const MAX_IOVECS: usize = 1024;

/// Capacity that a recycled `Outgoing` keeps. Larger buffers go back to the allocator, so that one
/// large reply does not hold memory for ever.
const KEPT_BYTES: usize = 64 * 1024;
/// Pieces that a recycled one keeps room for.
const KEPT_PIECES: usize = 256;

/// Bytes to send, in order: those appended to [`Outgoing::bytes`], with shared pieces in between.
#[derive(Default)]
pub struct Outgoing {
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    /// Sum of the pieces' lengths.
    shared: usize,
    /// How much the kernel has taken already.
    sent: usize,
    iovecs: Vec<libc::iovec>,
    header: Option<libc::msghdr>,
}

struct Piece {
    /// Goes out after this many bytes of the buffer.
    at: usize,
    slice: RegionSlice,
}

/// How the rest of an `Outgoing` goes out: addresses into it or into the regions that it holds.
pub(crate) enum Parts {
    One { start: *const u8, len: usize },
    Many { header: *const libc::msghdr },
}

impl Outgoing {
    /// The bytes copied so far. Append at the end; what comes before the last
    /// [`Outgoing::push_shared`] must not be shortened.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends bytes that are sent from where they lie. The region is held until the kernel is done
    /// with it.
    pub fn push_shared(&mut self, slice: RegionSlice) {
        if slice.is_empty() {
            return;
        }
        self.shared += slice.len();
        self.pieces.push(Piece { at: self.buffer.len(), slice });
    }

    /// All bytes, copied and shared.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.shared
    }

    /// The bytes copied so far: what it holds in memory of its own.
    pub fn copied(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and lets go of the regions; keeps the memory for the next use.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.pieces.clear();
        self.iovecs.clear();
        self.header = None;
        self.shared = 0;
        self.sent = 0;
    }

    /// Appends what the kernel has not taken. Costs a copy of it.
    pub fn copy_rest(&self, into: &mut Vec<u8>) {
        let mut skip = self.sent;
        let mut append = |bytes: &[u8]| {
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            into.extend_from_slice(&bytes[skipped..]);
        };
        let mut copied = 0;
        for piece in &self.pieces {
            let at = piece.at.min(self.buffer.len());
            append(&self.buffer[copied.min(at)..at]);
            append(&piece.slice);
            copied = copied.max(at);
        }
        append(&self.buffer[copied..]);
    }

    /// How much the kernel has taken.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Whether the kernel has taken everything.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent >= self.len()
    }

    /// The kernel has taken so many bytes more.
    pub(crate) fn advance(&mut self, taken: usize) {
        self.sent += taken;
    }

    /// All of it is to be sent, whatever was sent before.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Clears and gives back what is larger than a pool should keep.
    pub(crate) fn reset(&mut self) {
        self.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        self.pieces.shrink_to(KEPT_PIECES);
        self.iovecs.shrink_to(KEPT_PIECES);
    }

    /// The parts from `sent` on, for the kernel; valid until `self` is changed or dropped. Costs no
    /// allocation once the iovec list has its room.
    pub(crate) fn parts(&mut self) -> Parts {
        self.iovecs.clear();
        let mut skip = self.sent;
        let mut copied = 0;
        for piece in &self.pieces {
            let at = piece.at.min(self.buffer.len());
            push(&mut self.iovecs, &mut skip, &self.buffer[copied.min(at)..at]);
            push(&mut self.iovecs, &mut skip, &piece.slice);
            copied = copied.max(at);
            if self.iovecs.len() >= MAX_IOVECS - 1 {
                break;
            }
        }
        if self.iovecs.len() < MAX_IOVECS - 1 {
            push(&mut self.iovecs, &mut skip, &self.buffer[copied..]);
        }
        match self.iovecs[..] {
            [one] => Parts::One { start: one.iov_base.cast_const().cast(), len: one.iov_len },
            _ => {
                // SAFETY: msghdr is a plain C structure for which all zeroes is the empty message.
                let header: &mut libc::msghdr = self.header.insert(unsafe { std::mem::zeroed() });
                header.msg_iov = self.iovecs.as_mut_ptr();
                header.msg_iovlen = self.iovecs.len();
                Parts::Many { header }
            }
        }
    }
}

/// Adds `bytes` to the list, less what of them was sent already. Bytes are only read through the
/// iovec, though its type says `mut`.
fn push(iovecs: &mut Vec<libc::iovec>, skip: &mut usize, bytes: &[u8]) {
    let skipped = (*skip).min(bytes.len());
    *skip -= skipped;
    let rest = IoSlice::new(&bytes[skipped..]);
    if !rest.is_empty() {
        iovecs.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("copied", &self.buffer.len())
            .field("shared", &self.shared)
            .field("pieces", &self.pieces.len())
            .field("sent", &self.sent)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::region::RegionWriter;

    fn shared(bytes: &[u8]) -> RegionSlice {
        let mut writer = RegionWriter::new(4096).unwrap();
        writer.writable()[..bytes.len()].copy_from_slice(bytes);
        writer.freeze(bytes.len());
        writer.region().slice(0..bytes.len()).unwrap()
    }

    /// What the kernel would read.
    fn wire(outgoing: &mut Outgoing) -> Vec<u8> {
        let read = |start: *const u8, len: usize| {
            // SAFETY: `parts` points into `outgoing`, which is borrowed for the whole of this
            // function.
            unsafe { std::slice::from_raw_parts(start, len) }.to_vec()
        };
        match outgoing.parts() {
            Parts::One { start, len } => read(start, len),
            Parts::Many { header } => {
                // SAFETY: as above; the header and its iovecs lie in `outgoing`.
                let iovecs =
                    unsafe { std::slice::from_raw_parts((*header).msg_iov, (*header).msg_iovlen) };
                iovecs.iter().flat_map(|iovec| read(iovec.iov_base.cast(), iovec.iov_len)).collect()
            }
        }
    }

    #[test]
    fn copied_and_shared_bytes_go_out_in_the_order_they_were_added() {
        let mut outgoing = Outgoing::default();
        outgoing.bytes().extend_from_slice(b"head");
        outgoing.push_shared(shared(b"BODY"));
        outgoing.push_shared(shared(b"MORE"));
        outgoing.bytes().extend_from_slice(b"tail");
        assert_eq!(outgoing.len(), 16);
        assert_eq!(wire(&mut outgoing), b"headBODYMOREtail");
    }

    #[test]
    fn a_send_goes_on_from_any_byte() {
        for sent in 0..16 {
            let mut outgoing = Outgoing::default();
            outgoing.push_shared(shared(b"BODY"));
            outgoing.bytes().extend_from_slice(b"middle");
            outgoing.push_shared(shared(b"LAST"));
            outgoing.bytes().extend_from_slice(b"ab");
            outgoing.sent = sent;
            assert_eq!(wire(&mut outgoing), &b"BODYmiddleLASTab"[sent..]);
            let mut rest = Vec::new();
            outgoing.copy_rest(&mut rest);
            assert_eq!(rest, &b"BODYmiddleLASTab"[sent..]);
        }
    }

    #[test]
    fn contiguous_bytes_need_no_iovecs() {
        let mut outgoing = Outgoing::default();
        outgoing.bytes().extend_from_slice(b"only");
        assert!(matches!(outgoing.parts(), Parts::One { len: 4, .. }));
        outgoing.clear();
        outgoing.push_shared(shared(b"shared"));
        assert!(matches!(outgoing.parts(), Parts::One { len: 6, .. }));
    }

    #[test]
    fn more_pieces_than_one_call_takes_go_out_in_several() {
        let mut outgoing = Outgoing::default();
        let piece = shared(b"x");
        for _ in 0..3000 {
            outgoing.push_shared(piece.clone());
            outgoing.bytes().push(b'y');
        }
        let mut sent = Vec::new();
        while outgoing.sent < outgoing.len() {
            let part = wire(&mut outgoing);
            assert!(!part.is_empty() && part.len() <= MAX_IOVECS);
            outgoing.sent += part.len();
            sent.extend(part);
        }
        assert_eq!(sent, b"xy".repeat(3000));
    }

    #[test]
    fn a_recycled_one_holds_no_region_and_little_memory() {
        let mut outgoing = Outgoing::default();
        let slice = shared(b"abc");
        let region = std::sync::Arc::downgrade(slice.region());
        outgoing.bytes().resize(1 << 20, 0);
        outgoing.push_shared(slice);
        outgoing.reset();
        assert!(outgoing.is_empty());
        assert!(region.upgrade().is_none());
        assert!(outgoing.bytes().capacity() <= KEPT_BYTES);
    }

    #[test]
    fn a_buffer_shortened_below_a_piece_sends_what_is_there() {
        let mut outgoing = Outgoing::default();
        outgoing.bytes().extend_from_slice(b"12345678");
        outgoing.push_shared(shared(b"S"));
        outgoing.bytes().truncate(2);
        outgoing.push_shared(shared(b"T"));
        assert_eq!(wire(&mut outgoing), b"12ST");
    }
}
