//! What a connection of another protocol has under way: its requests by number, and replies that
//! must leave in their order.

use std::collections::VecDeque;

use sutra_wire::{FrameBuffer, Header};

use crate::passed::{ExchangeState, FollowUpState};
use crate::translator::{Manner, Overlap};

/// A request that a message became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TranslatedRequest {
    number: u64,
    opcode: u8,
    manner: Manner,
}

impl TranslatedRequest {
    /// `number`: its own among the requests of its connection.
    pub(crate) fn new(number: u64, opcode: u8, manner: Manner) -> Self {
        Self { number, opcode, manner }
    }

    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// As a frame would have it, with so many bytes of payload.
    pub(crate) fn header(self, length: usize) -> Header {
        Header {
            opcode: self.opcode,
            request: self.number,
            length: length as u32,
            ..Header::default()
        }
    }

    pub(crate) fn opcode(self) -> u8 {
        self.opcode
    }

    pub(crate) fn manner(self) -> Manner {
        self.manner
    }

    /// The request that continues it.
    pub(crate) fn followed_by(self, opcode: u8) -> Self {
        Self { opcode, ..self }
    }
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
    manner: Manner,
    /// Replies that came before their turn: that of request `due` + 1 first.
    early: VecDeque<Option<Vec<u8>>>,
    /// Bytes of those.
    held: usize,
    /// What a reply of several parts has gathered so far.
    gathered: Vec<u8>,
    /// The request that it answers, where that overlaps with none.
    asked: FrameBuffer,
    /// The request for its next part, and its payload.
    follow_up: Option<(TranslatedRequest, FrameBuffer)>,
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

    /// The next request is taken.
    pub(crate) fn take(&mut self, overlap: Overlap, payload: &[u8]) {
        self.next += 1;
        self.overlap = overlap;
        self.note_asked(if overlap == Overlap::Alone { payload } else { &[] });
    }

    /// The request that is asked goes on with this payload.
    fn note_asked(&mut self, payload: &[u8]) {
        self.asked.clear();
        self.asked.extend_from_slice(payload);
    }

    /// How the last message was spoken.
    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// A message was spoken like this. Returns the number that it would get as a request.
    pub(crate) fn spoken(&mut self, manner: Manner) -> u64 {
        self.manner = manner;
        self.next
    }

    /// What a reply of several parts has gathered so far, and the request that it answers.
    pub(crate) fn take_gathered(&mut self) -> (Vec<u8>, FrameBuffer) {
        (std::mem::take(&mut self.gathered), std::mem::take(&mut self.asked))
    }

    /// Keeps what has been gathered until the next part is there, which this request is to bring.
    pub(crate) fn follow_up(
        &mut self,
        asked: TranslatedRequest,
        payload: FrameBuffer,
        gathered: Vec<u8>,
    ) {
        self.gathered = gathered;
        self.follow_up = Some((asked, payload));
    }

    /// The request for the next part found no room.
    pub(crate) fn put_back_follow_up(&mut self, asked: TranslatedRequest, payload: FrameBuffer) {
        self.follow_up = Some((asked, payload));
    }

    /// The request for the next part, which is about to be offered.
    pub(crate) fn take_follow_up(&mut self) -> Option<(TranslatedRequest, FrameBuffer)> {
        let (asked, payload) = self.follow_up.take()?;
        self.note_asked(&payload);
        Some((asked, payload))
    }

    pub(crate) fn has_follow_up(&self) -> bool {
        self.follow_up.is_some()
    }

    /// The service did not take it after all.
    pub(crate) fn take_back(&mut self) {
        self.next -= 1;
    }

    /// A message was answered without a request: what is in flight stays what it is.
    pub(crate) fn note_answered(&mut self) {
        self.next += 1;
    }

    /// Whether the reply to this request is the next to leave.
    pub(crate) fn is_due(&self, number: u64) -> bool {
        number == self.due
    }

    /// Keeps a reply until those before it have left.
    pub(crate) fn keep(&mut self, number: u64, reply: Vec<u8>) {
        let Some(position) =
            number.checked_sub(self.due + 1).and_then(|position| usize::try_from(position).ok())
        else {
            return;
        };
        if self.early.len() <= position {
            self.early.resize_with(position + 1, || None);
        }
        self.held += reply.len();
        self.early[position] = Some(reply);
    }

    /// The reply that was due has left: the next one, where it is here already.
    pub(crate) fn left(&mut self) -> Option<Vec<u8>> {
        self.due += 1;
        let next = self.early.pop_front().flatten();
        self.held -= next.as_ref().map_or(0, Vec::len);
        next
    }

    /// What the next process has to know.
    pub(crate) fn pass_on(self) -> ExchangeState {
        let early = (self.due + 1..).zip(self.early);
        let follow_up = self.follow_up.map(|(asked, payload)| FollowUpState {
            number: asked.number,
            opcode: asked.opcode,
            manner: asked.manner.0,
            payload: payload.to_vec(),
        });
        ExchangeState {
            next: self.next,
            due: self.due,
            manner: self.manner.0,
            early: early.filter_map(|(number, reply)| Some((number, reply?))).collect(),
            gathered: self.gathered,
            asked: self.asked.to_vec(),
            follow_up,
        }
    }

    /// What another process has passed on.
    pub(crate) fn restored(state: ExchangeState) -> Self {
        let aligned = |bytes: &[u8]| {
            let mut buffer = FrameBuffer::new();
            buffer.extend_from_slice(bytes);
            buffer
        };
        let mut exchange = Self {
            next: state.next,
            due: state.due,
            // What is under way, if anything, is a reply of several parts.
            overlap: Overlap::Alone,
            manner: Manner(state.manner),
            gathered: state.gathered,
            asked: aligned(&state.asked),
            ..Self::default()
        };
        exchange.follow_up =
            state.follow_up.map(|FollowUpState { number, opcode, manner, payload }| {
                (TranslatedRequest::new(number, opcode, Manner(manner)), aligned(&payload))
            });
        for (number, reply) in state.early {
            exchange.keep(number, reply);
        }
        exchange
    }

    /// Bytes of replies that are kept, and of the one that is being gathered.
    pub(crate) fn held(&self) -> usize {
        self.held + self.gathered.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_their_requests() {
        let mut exchange = Exchange::default();
        for _ in 0..4 {
            exchange.take(Overlap::Reads, &[]);
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
        exchange.take(Overlap::Writes, &[]);
        assert!(exchange.admits(Overlap::Writes, 1));
        assert!(!exchange.admits(Overlap::Reads, 1) && !exchange.admits(Overlap::Alone, 1));
        assert!(exchange.admits(Overlap::Reads, 0));
        exchange.take(Overlap::Alone, &[]);
        assert!(!exchange.admits(Overlap::Alone, 1));
    }
}
