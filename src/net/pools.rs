//! Buffers of a core that are kept for their memory: aligned ones for archives, others for messages
//! of another protocol, and one for the reply that is being archived.

use sutra_wire::FrameBuffer;

/// Largest buffer kept for the next archived reply.
const SCRATCH_BYTES: usize = 256 << 10;
/// Largest aligned buffer kept for the next request that travels, and how many are kept.
const ALIGNED_BYTES: usize = 64 << 10;
const ALIGNED: usize = 1024;
/// Largest buffer kept for the next message of another protocol, and how many are kept.
const MESSAGE_BYTES: usize = 64 << 10;
const MESSAGES: usize = 256;

#[derive(Default)]
pub(crate) struct Pools {
    aligned: Vec<FrameBuffer>,
    messages: Vec<Vec<u8>>,
    scratch: FrameBuffer,
}

impl Pools {
    /// An empty aligned buffer.
    pub(crate) fn buffer(&mut self) -> FrameBuffer {
        self.aligned.pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&mut self, mut buffer: FrameBuffer) {
        if buffer.capacity() <= ALIGNED_BYTES && self.aligned.len() < ALIGNED {
            buffer.clear();
            self.aligned.push(buffer);
        }
    }

    /// An empty buffer for a message.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        self.messages.pop().unwrap_or_default()
    }

    pub(crate) fn give_back_message(&mut self, mut message: Vec<u8>) {
        if message.capacity() <= MESSAGE_BYTES && self.messages.len() < MESSAGES {
            message.clear();
            self.messages.push(message);
        }
    }

    /// The empty buffer in which replies are archived.
    pub(crate) fn scratch(&mut self) -> FrameBuffer {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch
    }

    pub(crate) fn keep_scratch(&mut self, scratch: FrameBuffer) {
        if scratch.capacity() <= SCRATCH_BYTES {
            self.scratch = scratch;
        }
    }
}
