//! Receive buffers: bytes in, frames out, each a view of the buffer that it was received into.
//!
//! A buffer with replies that are still read is not written. Another takes its place, and it comes
//! back into use when the last view of it is gone. The beginning of a frame at a buffer's end
//! moves, once, to the start of the next buffer. A caller that reads one reply after the other goes
//! back and forth between two buffers: no allocation, no copy.
//!
//! A view keeps its whole buffer alive, so the size of new buffers follows the traffic. It doubles
//! while reads fill them, up to 256 KiB. It halves while reads leave most of them empty, down to
//! 4 KiB, which is what a reply that is kept for long then costs.

use std::sync::Arc;

use sutra_wire::{FrameBuffer, FrameError, HEADER_BYTES, Parsed, SharedBytes, parse};

use crate::in_flight::Reply;

const SMALLEST: usize = 4 << 10;
const LARGEST: usize = 256 << 10;
const FIRST: usize = 16 << 10;
/// Buffers kept for another use while views of them are out.
const SPARES: usize = 4;

/// What a connection receives into.
pub(crate) struct ReceiveBuffer {
    current: Arc<FrameBuffer>,
    /// Bytes before this one were handed out.
    start: usize,
    /// Bytes from here on are free.
    filled: usize,
    /// What the frame that begins at `start` takes up, as far as is known.
    needed: usize,
    spares: Vec<Arc<FrameBuffer>>,
    /// Size of the next buffer to be allocated.
    size: usize,
    /// Longest payload accepted.
    limit: u32,
}

impl ReceiveBuffer {
    /// An empty one, for frames whose payloads are at most `limit` bytes long.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            current: allocate(FIRST),
            start: 0,
            filled: 0,
            needed: HEADER_BYTES,
            spares: Vec::with_capacity(SPARES),
            size: FIRST,
            limit,
        }
    }

    /// Where to receive into; never empty. Say how much came with [`ReceiveBuffer::received`].
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let rest = self.filled - self.start;
        match Arc::get_mut(&mut self.current) {
            // A buffer that was made for one long frame is not kept for short ones.
            Some(buffer)
                if buffer.len() >= self.needed
                    && (buffer.len() <= LARGEST || self.needed > LARGEST) =>
            {
                if self.start > 0 {
                    buffer.copy_within(self.start..self.filled, 0);
                }
            }
            _ => {
                let mut next = self.take(self.needed);
                let buffer =
                    Arc::get_mut(&mut next).expect("a buffer that is taken has no other owner");
                buffer[..rest].copy_from_slice(&self.current[self.start..self.filled]);
                let last = std::mem::replace(&mut self.current, next);
                if self.spares.len() < SPARES && last.len() <= LARGEST {
                    self.spares.push(last);
                }
            }
        }
        (self.start, self.filled) = (0, rest);
        let buffer = Arc::get_mut(&mut self.current)
            .expect("the current buffer was found or made unshared above");
        &mut buffer[rest..]
    }

    /// Takes note of `count` bytes in the space given last.
    pub(crate) fn received(&mut self, count: usize) {
        let free = self.current.len() - self.filled;
        assert!(count <= free, "more bytes than there was space for");
        self.filled += count;
        if count == free {
            self.size = (self.size * 2).min(LARGEST);
        } else if count < free / 4 {
            self.size = (self.size / 2).max(SMALLEST);
        }
    }

    /// The next whole frame, if one has come.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply>, FrameError> {
        match parse(&self.current[self.start..self.filled], self.limit)? {
            Parsed::Partial(needed) => {
                self.needed = needed;
                Ok(None)
            }
            Parsed::Frame(frame, used) => {
                let header = frame.header;
                let from = self.start + HEADER_BYTES;
                let payload = (header.length > 0).then(|| {
                    SharedBytes::new(self.current.clone(), from..from + header.length as usize)
                        .expect("a whole frame lies inside its buffer")
                });
                self.start += used;
                Ok(Some(Reply { header, payload }))
            }
        }
    }

    /// A spare buffer that nobody reads any more, else a new one. A new one is zeroed, once in its
    /// life.
    fn take(&mut self, needed: usize) -> Arc<FrameBuffer> {
        let free = self
            .spares
            .iter_mut()
            .position(|spare| spare.len() >= needed && Arc::get_mut(spare).is_some());
        match free {
            Some(at) => self.spares.swap_remove(at),
            None => {
                // Those that are read for long make room for those that will come back sooner.
                if self.spares.len() == SPARES {
                    self.spares.remove(0);
                }
                allocate(self.size.max(needed))
            }
        }
    }
}

fn allocate(bytes: usize) -> Arc<FrameBuffer> {
    let mut buffer = FrameBuffer::with_capacity(bytes);
    buffer.resize(bytes, 0);
    Arc::new(buffer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sutra_wire::{Header, encode_bytes};

    use super::*;

    fn frame(request: u64, payload: &[u8]) -> FrameBuffer {
        let mut out = FrameBuffer::new();
        encode_bytes(&mut out, Header { request, ..Header::default() }, payload);
        out
    }

    fn receive(buffer: &mut ReceiveBuffer, mut bytes: &[u8]) -> Vec<(u64, Option<SharedBytes>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let space = buffer.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            buffer.received(count);
            bytes = &bytes[count..];
            while let Some(reply) = buffer.next_reply().unwrap() {
                frames.push((reply.header.request, reply.payload));
            }
        }
        frames
    }

    #[test]
    fn a_run_of_frames_cut_anywhere_comes_out_whole_and_aligned() {
        let mut run = Vec::new();
        for request in 1..=3u8 {
            run.extend_from_slice(&frame(
                u64::from(request),
                &vec![request; 20 * usize::from(request)],
            ));
        }
        for cut in 0..run.len() {
            let mut buffer = ReceiveBuffer::new(1000);
            let mut frames = receive(&mut buffer, &run[..cut]);
            frames.extend(receive(&mut buffer, &run[cut..]));
            let requests: Vec<u64> = frames.iter().map(|(request, _)| *request).collect();
            assert_eq!(requests, [1, 2, 3], "cut at {cut}");
            for (request, payload) in frames {
                let payload = payload.unwrap();
                assert_eq!(*payload, vec![request as u8; 20 * request as usize]);
                assert_eq!(payload.as_ptr() as usize % 16, 0);
            }
        }
    }

    #[test]
    fn bytes_that_somebody_reads_are_never_written_again() {
        let mut buffer = ReceiveBuffer::new(100);
        let kept: Vec<_> = (0..50u8)
            .map(|i| receive(&mut buffer, &frame(u64::from(i), &[i; 64])).remove(0))
            .collect();
        for (request, payload) in kept {
            assert_eq!(*payload.unwrap(), [request as u8; 64]);
        }
    }

    #[test]
    fn replies_read_one_after_the_other_go_back_and_forth_between_two_buffers() {
        let mut buffer = ReceiveBuffer::new(100);
        let mut places = std::collections::HashSet::new();
        for i in 0..50 {
            let view = receive(&mut buffer, &frame(i, &[1; 64])).remove(0).1.unwrap();
            // The space for the next bytes is asked for while the reply is still in hand, as a
            // connection does.
            buffer.space();
            places.insert(view.as_ptr() as usize);
        }
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn a_frame_longer_than_a_buffer_gets_one_of_its_own_size() {
        let mut buffer = ReceiveBuffer::new(1 << 20);
        let payload = vec![7; 1 << 20];
        let frames = receive(&mut buffer, &frame(9, &payload));
        assert_eq!(**frames[0].1.as_ref().unwrap(), payload);
    }

    #[test]
    fn buffers_shrink_where_replies_are_small_and_kept() {
        let mut buffer = ReceiveBuffer::new(100);
        let kept: Vec<_> =
            (0..10).map(|i| receive(&mut buffer, &frame(i, &[1; 64])).remove(0).1).collect();
        assert_eq!((buffer.size, kept.len()), (SMALLEST, 10));
    }

    #[test]
    fn a_length_over_the_limit_ends_it() {
        let mut buffer = ReceiveBuffer::new(10);
        let bytes = frame(3, &[0; 11]);
        buffer.space()[..32].copy_from_slice(&bytes[..32]);
        buffer.received(32);
        let error = buffer.next_reply().unwrap_err();
        assert_eq!(error, FrameError::TooLong { length: 11, limit: 10, request: 3 });
    }
}
