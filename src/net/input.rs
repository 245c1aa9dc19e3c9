//! Bytes of a connection that could not be handled where they arrived: the beginning of a frame, or
//! frames that wait for room.
//!
//! Frames in it start on 16-byte boundaries, as in a receive buffer. An empty one owns nothing.

use sutra_wire::FrameBuffer;

/// Largest emptied buffer that goes back to the pool; a larger one held one big frame and is freed.
const POOLED_BYTES: usize = 64 << 10;
/// Buffers a core keeps for its next partial frames.
const POOLED_BUFFERS: usize = 64;

#[derive(Default)]
pub(crate) struct Input {
    buffer: FrameBuffer,
    start: usize,
}

impl Input {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Appends bytes; grows by doubling, so it never holds room for more than twice what has
    /// arrived.
    pub(crate) fn extend(&mut self, bytes: &[u8], pool: &mut InputPool) {
        if bytes.is_empty() {
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer = pool.buffers.pop().unwrap_or_default();
        }
        if self.start > 0 && self.buffer.len() + bytes.len() > self.buffer.capacity() {
            let kept = self.buffer.len() - self.start;
            self.buffer.copy_within(self.start.., 0);
            self.buffer.resize(kept, 0);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
        pool.held += bytes.len();
    }

    /// Drops the first `count` bytes, whole frames; an emptied buffer goes back to the pool.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut InputPool) {
        self.start += count;
        pool.held -= count;
        if self.is_empty() {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.start = 0;
            if buffer.capacity() <= POOLED_BYTES
                && buffer.capacity() > 0
                && pool.buffers.len() < POOLED_BUFFERS
            {
                buffer.clear();
                pool.buffers.push(buffer);
            }
        }
    }

    pub(crate) fn clear(&mut self, pool: &mut InputPool) {
        self.consume(self.bytes().len(), pool);
    }
}

/// A core's spare input buffers, and how many bytes its connections hold.
#[derive(Default)]
pub(crate) struct InputPool {
    buffers: Vec<FrameBuffer>,
    held: usize,
}

impl InputPool {
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_after_a_frame_stays_aligned_and_in_order() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        input.extend(&[1; 48], &mut pool);
        input.extend(&[2; 20], &mut pool);
        input.consume(48, &mut pool);
        assert_eq!((input.bytes(), input.bytes().as_ptr() as usize % 16), (&[2u8; 20][..], 0));
        input.extend(&[3; 4000], &mut pool);
        assert_eq!((&input.bytes()[..20], input.bytes().len()), (&[2u8; 20][..], 4020));
        assert_eq!(input.bytes().as_ptr() as usize % 16, 0);
        assert_eq!(pool.held(), 4020);
    }

    #[test]
    fn an_emptied_input_owns_nothing_and_its_buffer_is_used_again() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        input.extend(&[1; 100], &mut pool);
        input.clear(&mut pool);
        assert_eq!((input.buffer.capacity(), pool.buffers.len(), pool.held()), (0, 1, 0));
        input.extend(&[1; 10], &mut pool);
        assert!(pool.buffers.is_empty());
    }
}
