//! Another protocol in front of the same service: its messages become native requests, and native
//! replies become its messages.
//!
//! Such a protocol numbers nothing: replies leave in the order of their requests, whatever the
//! order in which the service gives them. A client that sends several requests at once expects them
//! to be done one after the other. So reads may overlap with reads, and writes with writes. A
//! request of the other kind waits until those before it are answered.

use sutra_wire::{FrameBuffer, Status};

/// What a translator must remember of a request to word its reply. Means nothing to this layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner(pub u32);

/// Which requests of its connection a request may overlap with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Others that change nothing.
    #[default]
    Reads,
    /// Others that change something. They take effect in their order where they concern the same
    /// thing.
    Writes,
    /// None.
    Alone,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translated {
    /// A request: its payload was written to the buffer for it.
    Request {
        /// The native operation that it asks for.
        opcode: u8,
        /// To be given back with its reply.
        manner: Manner,
        /// What it may overlap with.
        overlap: Overlap,
    },
    /// It asks nothing of the service: the reply was written.
    Answered {
        /// How it was spoken.
        manner: Manner,
    },
}

/// A native reply to be worded.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The operation that was asked for.
    pub opcode: u8,
    /// What became of the request.
    pub status: Status,
    /// The sequence that the service gives.
    pub sequence: u64,
    /// The reply's archive, 16-byte aligned; an error's message where the status is one.
    pub payload: &'a [u8],
}

/// What became of a native reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// The message is complete.
    Complete,
    /// One message holds several native replies: another request, whose payload was written, is to
    /// be asked first. Only for one that overlaps with none.
    Ask {
        /// The native operation that it asks for.
        opcode: u8,
    },
}

/// One protocol's reading and wording. One a core; nothing may block. Messages that it writes are
/// appended whole.
pub trait Translator: 'static {
    /// How long the message is that `bytes` begin with; `None` where they are too few to tell.
    ///
    /// # Errors
    /// With the reason, where this is the beginning of no message: the connection is closed after
    /// it.
    fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, String>;

    /// Reads one whole message. `payload` is empty and gets a request's archive, `reply` gets what
    /// is answered at once.
    fn request(
        &mut self,
        message: &[u8],
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Translated;

    /// Words a reply. `gathered` is empty at a request's first reply, and kept until its last.
    /// `payload` holds the archive of a request that overlaps with none, to be made the further
    /// request's; it is empty for others.
    fn reply(
        &mut self,
        manner: Manner,
        answer: Answer<'_>,
        gathered: &mut Vec<u8>,
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Wording;

    /// Words an error that is no request's, in the manner of the connection's last message; the
    /// default where it had none.
    fn error(&mut self, manner: Manner, message: &str, reply: &mut Vec<u8>);
}
