//! From bytes to requests, each protocol in its way: the next message is found in what a connection
//! has sent, and noted in what the connection has under way.
//!
//! Cost: a frame is handed on where it lies. A message is translated into a pooled buffer, and
//! again when it is tried again after a wait.

use std::time::{Duration, Instant};

use sutra_runtime::Core;
use sutra_wire::{FrameBuffer, FrameError, Header, Parsed, Status};

use super::Io;
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::exchange::TranslatedRequest;
use crate::in_flight::{Arrival, Unanswered};
use crate::protocol::Protocol;
use crate::translator::{Manner, Overlap, Translated};

/// What bytes begin with.
pub(crate) enum Next<'a> {
    /// Of no message all has arrived.
    Partial,
    /// A request.
    Request(Incoming<'a>),
    /// A message that asks nothing of the service, and was answered; its length in bytes.
    Answered(usize),
    /// No message.
    Broken(Refusal),
}

/// A request that has arrived, as a frame has it.
pub(crate) struct Incoming<'a> {
    header: Header,
    payload: &'a [u8],
    /// In bytes, as it came.
    length: usize,
    /// What only translated requests have; no frame's is asked for it.
    manner: Manner,
    overlap: Overlap,
}

impl Incoming<'_> {
    pub(crate) fn header(&self) -> Header {
        self.header
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.payload
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

/// What bytes that are no message are answered with.
pub(crate) struct Refusal {
    /// The request that they begin; 0 where they tell none.
    pub(crate) request: u64,
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        Self { request: error.request(), status: error.status(), message: error.to_string() }
    }
}

impl Io {
    /// Finds the message that a connection's bytes begin with. `written` gets the payload of a
    /// request that does not lie in the bytes.
    pub(crate) fn next_message<'a, M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        bytes: &'a [u8],
        written: &'a mut FrameBuffer,
    ) -> Next<'a> {
        let Some(connection) = self.connections.get(index) else { return Next::Partial };
        match connection.protocol() {
            Protocol::Native => next_frame(bytes, self.limits.max_payload),
            Protocol::Translated(_) => self.next_translated(core, index, bytes, written),
        }
    }

    fn next_translated<'a, M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        bytes: &[u8],
        written: &'a mut FrameBuffer,
    ) -> Next<'a> {
        let Some(translator) = self.translation.translator() else { return Next::Partial };
        let length = match translator.measure(bytes) {
            Ok(Some(length)) if length <= bytes.len() => length,
            Ok(_) => return Next::Partial,
            Err(message) => {
                return Next::Broken(Refusal { request: 0, status: Status::TooLarge, message });
            }
        };
        if written.capacity() == 0 {
            *written = self.pools.buffer();
        }
        written.clear();
        let mut reply = self.pools.message();
        let translated = translator.request(&bytes[..length], written, &mut reply);
        let (Translated::Request { manner, .. } | Translated::Answered { manner }) = translated;
        let number =
            self.exchange(index).map(|exchange| exchange.spoken(manner)).unwrap_or_default();
        let next = match translated {
            Translated::Request { opcode, overlap, .. } => {
                let header = TranslatedRequest::new(number, opcode, manner).header(written.len());
                Next::Request(Incoming { header, payload: written, length, manner, overlap })
            }
            Translated::Answered { .. } => {
                self.say(core, index, &reply);
                Next::Answered(length)
            }
        };
        self.pools.give_back_message(reply);
        next
    }

    /// Counts a request in flight that is about to be offered to the service, which may answer at
    /// once. `None` where others of its connection must be answered first. `began`: when its first
    /// bytes came, where that was before the others.
    pub(crate) fn ask(
        &mut self,
        index: usize,
        request: &Incoming<'_>,
        began: Option<Instant>,
        now: Instant,
    ) -> Option<Unanswered> {
        let connection = self.connections.get_mut(index)?;
        let in_flight = connection.in_flight();
        match connection.protocol_mut() {
            Protocol::Native => {}
            Protocol::Translated(exchange) => {
                if !exchange.admits(request.overlap, in_flight) {
                    return None;
                }
                exchange.take(request.overlap, request.payload);
                self.counters.count(Count::Translated);
            }
        }
        connection.ask();
        let arrived = connection.received();
        let deadline = match request.header.extra {
            0 => None,
            micros => arrived.checked_add(Duration::from_micros(micros)),
        };
        let (began, bytes) = (began.unwrap_or(arrived), request.length);
        let arrival = Arrival { began, arrived, offered: now, bytes };
        let Incoming { header, manner, .. } = request;
        Some(Unanswered::new(connection.id(), header, *manner, &arrival, deadline))
    }

    /// The service did not take the request, which has this deadline.
    pub(crate) fn take_back(&mut self, index: usize, deadline: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.take_back(deadline);
        match connection.protocol_mut() {
            Protocol::Native => {}
            Protocol::Translated(exchange) => {
                exchange.take_back();
                self.counters.take_back(Count::Translated);
            }
        }
    }
}

#[inline]
fn next_frame(bytes: &[u8], max_payload: u32) -> Next<'_> {
    match sutra_wire::parse(bytes, max_payload) {
        Ok(Parsed::Frame(frame, length)) => {
            let (manner, overlap) = (Manner::default(), Overlap::default());
            let (header, payload) = (frame.header, frame.payload);
            Next::Request(Incoming { header, payload, length, manner, overlap })
        }
        Ok(Parsed::Partial(_)) => Next::Partial,
        Err(error) => Next::Broken(error.into()),
    }
}
