//! Another protocol in front of the same service: its messages become native requests, and native
//! replies become its messages.
//!
//! Such a protocol numbers nothing: replies leave in the order of their requests, whatever the
//! order in which the service gives them. A client that sends several requests at once expects them
//! to be done one after the other; so reads may overlap with reads and writes with writes, and
//! whatever is of the other kind waits until those before it are answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

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
        /// Its operation.
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
        /// Its operation.
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
    fn request(&mut self, message: &[u8], payload: &mut FrameBuffer, reply: &mut Vec<u8>) -> Translated;

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

/// What a connection of another protocol has under way.
#[derive(Default)]
pub(crate) struct Exchange {
    /// The number that its next request gets.
    next: u64,
    /// The request whose reply is to leave next.
    due: u64,
    /// What those in flight are.
    overlap: Overlap,
    /// How the last message was spoken.
    pub(crate) manner: Manner,
    /// Replies that came before their turn: that of request `due` + 1 first.
    early: VecDeque<Option<Vec<u8>>>,
    /// Bytes of those.
    held: usize,
    /// What a reply of several parts has gathered so far.
    pub(crate) gathered: Vec<u8>,
    /// The request that it answers, where that overlaps with none.
    pub(crate) asked: FrameBuffer,
    /// The request for its next part.
    pub(crate) follow_up: Option<FollowUp>,
}

/// A request that continues another.
pub(crate) struct FollowUp {
    pub(crate) number: u64,
    pub(crate) manner: Manner,
    pub(crate) opcode: u8,
    pub(crate) payload: FrameBuffer,
}

impl Exchange {
    /// Whether a request may be offered now.
    pub(crate) fn admits(&self, overlap: Overlap, in_flight: u32) -> bool {
        in_flight == 0 || (overlap == self.overlap && overlap != Overlap::Alone)
    }

    /// The number that the next request would get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The next request was taken.
    pub(crate) fn took(&mut self, overlap: Overlap) {
        self.next += 1;
        self.overlap = overlap;
    }

    /// It was not taken after all.
    pub(crate) fn took_back(&mut self) {
        self.next -= 1;
    }

    /// A message was answered without a request: what is in flight stays what it is.
    pub(crate) fn took_answered(&mut self) {
        self.next += 1;
    }

    /// Whether the reply to this request is the next to leave.
    pub(crate) fn is_due(&self, number: u64) -> bool {
        number == self.due
    }

    /// Keeps a reply until those before it have left.
    pub(crate) fn keep(&mut self, number: u64, reply: Vec<u8>) {
        let Some(place) = number.checked_sub(self.due + 1).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        if self.early.len() <= place {
            self.early.resize_with(place + 1, || None);
        }
        self.held += reply.len();
        self.early[place] = Some(reply);
    }

    /// The reply that was due has left: the next one, where it is here already.
    pub(crate) fn left(&mut self) -> Option<Vec<u8>> {
        self.due += 1;
        let next = self.early.pop_front().flatten();
        self.held -= next.as_ref().map_or(0, Vec::len);
        next
    }

    /// Bytes of replies that are kept, and of the one that is being gathered.
    pub(crate) fn held(&self) -> usize {
        self.held + self.gathered.len()
    }
}

/// How many connections each core has, so that one can be put where there are fewest.
#[derive(Debug)]
pub struct Loads(Box<[AtomicU32]>);

impl Loads {
    /// For so many cores.
    pub fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| AtomicU32::new(0)).collect())
    }

    pub(crate) fn add(&self, core: usize) {
        self.0[core].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, core: usize) {
        self.0[core].fetch_sub(1, Ordering::Relaxed);
    }

    /// The core with the fewest; `here` where others have as few.
    pub(crate) fn least(&self, here: usize) -> usize {
        let load = |core: usize| self.0[core].load(Ordering::Relaxed);
        (0..self.0.len()).min_by_key(|core| (load(*core), *core != here)).unwrap_or(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_their_requests() {
        let mut exchange = Exchange::default();
        for _ in 0..4 {
            exchange.took(Overlap::Reads);
        }
        exchange.keep(2, vec![2]);
        exchange.keep(1, vec![1]);
        assert_eq!(exchange.held(), 2);
        assert!(exchange.is_due(0));
        assert_eq!(exchange.left(), Some(vec![1]));
        assert_eq!(exchange.left(), Some(vec![2]));
        assert_eq!(exchange.left(), None);
        assert!(exchange.is_due(3));
    }

    #[test]
    fn reads_overlap_with_reads_and_writes_with_writes_only() {
        let mut exchange = Exchange::default();
        assert!(exchange.admits(Overlap::Alone, 0));
        exchange.took(Overlap::Writes);
        assert!(exchange.admits(Overlap::Writes, 1));
        assert!(!exchange.admits(Overlap::Reads, 1) && !exchange.admits(Overlap::Alone, 1));
        assert!(exchange.admits(Overlap::Reads, 0));
        exchange.took(Overlap::Alone);
        assert!(!exchange.admits(Overlap::Alone, 1));
    }

    #[test]
    fn a_connection_goes_where_the_fewest_are() {
        let loads = Loads::new(3);
        assert_eq!(loads.least(2), 2);
        loads.add(2);
        loads.add(0);
        assert_eq!(loads.least(2), 1);
        loads.add(1);
        loads.take(0);
        assert_eq!(loads.least(2), 0);
    }
}
