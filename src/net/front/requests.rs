//! From bytes to requests: one loop, whatever protocol they are in. Frames are handed to the
//! service where they lie; what finds no room waits.

use std::time::Instant;

use sutra_runtime::{Core, Socket, Stage};
use sutra_wire::{FrameBuffer, Header, Status};

use super::Front;
use super::retries::refuse_late;
use crate::connection::{Phase, Waiting};
use crate::context::Context;
use crate::envelope::Envelope;
use crate::in_flight::Unanswered;
use crate::input::Input;
use crate::io::{Incoming, Next, Readiness, Refusal};
use crate::service::{Flow, Request, Service};

impl<S: Service> Front<S> {
    pub(super) fn received(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        socket: Socket,
        bytes: &[u8],
    ) {
        let Some(connection) = self.io.of(socket) else { return };
        connection.note_received(core.now());
        match connection.phase() {
            Phase::Hello => self.greeted(core, socket, bytes),
            Phase::Open | Phase::Ending => {
                // One that says no Hello speaks with its first message.
                if connection.is_silent() {
                    self.io.note_spoken(socket.index());
                }
                self.feed(core, socket.index(), bytes);
            }
            Phase::Refused | Phase::Lingering => {}
        }
    }

    /// Hands the requests in `bytes` to the service; keeps what is left of them. Cost: none beyond
    /// the service's for what arrived whole (and aligned, where it is native); one copy of what did
    /// not.
    pub(super) fn feed(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        mut bytes: &[u8],
    ) {
        let Some(connection) = self.io.get_mut(index) else { return };
        let began = connection.has_half_a_frame().then(|| connection.began());
        let mut input = std::mem::take(connection.input());
        let mut is_new = input.is_empty();
        if connection.waiting() == Waiting::No {
            if !input.is_empty() {
                // What was begun, and no more where that can be told, so that the rest can be read
                // where it lies.
                bytes = self.io.top_up(index, &mut input, bytes);
                let used = self.run(core, index, input.bytes(), began);
                input.consume(used, self.io.inputs());
                is_new |= used > 0;
            }
            if input.is_empty() {
                if self.io.reads_at(index, bytes) {
                    let used = self.run(core, index, bytes, None);
                    bytes = &bytes[used..];
                } else {
                    input.extend(std::mem::take(&mut bytes), self.io.inputs());
                    let used = self.run(core, index, input.bytes(), None);
                    input.consume(used, self.io.inputs());
                }
            }
        }
        input.extend(bytes, self.io.inputs());
        self.keep(core, index, input, is_new);
    }

    /// Puts a connection's unread bytes back, where there are any. `is_new`: another frame than the
    /// one that was kept before.
    pub(super) fn keep(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        input: Input,
        is_new: bool,
    ) {
        core.enter_stage(Stage::Receive);
        if input.is_empty() || !self.io.keep_input(index, input, is_new.then(|| core.now())) {
            return;
        }
        if self.io.holds_too_much_input() {
            let message = format!(
                "this core's connections already hold {} bytes of unfinished frames, the limit; \
                 send smaller frames or try again",
                self.io.limits().max_input
            );
            return self.io.break_off(
                core,
                index,
                Refusal { request: 0, status: Status::Busy, message },
            );
        }
        self.io.keep_house(core);
    }

    /// Offers request after request to the service until the bytes, or the room, end. `began`: when
    /// the first bytes of the first of them came, where that was before the others. Returns how
    /// many bytes are done with.
    pub(super) fn run(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        bytes: &[u8],
        mut began: Option<Instant>,
    ) -> usize {
        let mut written = FrameBuffer::new();
        let mut at = 0;
        while at < bytes.len() {
            // Asked first: what has to wait is not parsed, and its checksum not computed, again and
            // again.
            match self.io.readiness(index) {
                Readiness::Ready => {}
                Readiness::NoRoom => {
                    self.io.wait(core, index, Waiting::Room);
                    break;
                }
                Readiness::Held => {
                    self.io.wait(core, index, Waiting::Held);
                    break;
                }
                Readiness::Later => break,
                Readiness::Gone => {
                    at = bytes.len();
                    break;
                }
            }
            core.enter_stage(Stage::Parse);
            match self.io.next_message(core, index, &bytes[at..], &mut written) {
                Next::Request(request) => match self.offer(core, index, &request, began.take()) {
                    Waiting::No => at += request.length(),
                    waiting => {
                        self.io.wait(core, index, waiting);
                        break;
                    }
                },
                Next::Answered(length) => at += length,
                Next::Partial => break,
                Next::Broken(refusal) => {
                    self.io.broken(core, index, refusal);
                    at = bytes.len();
                }
            }
        }
        if written.capacity() > 0 {
            self.io.pools().give_back(written);
        }
        at
    }

    /// Offers a request; returns what it has to wait for.
    fn offer(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        request: &Incoming<'_>,
        began: Option<Instant>,
    ) -> Waiting {
        let Some(unanswered) = self.io.ask(index, request, began, core.now()) else {
            return Waiting::Turn;
        };
        let deadline = unanswered.deadline();
        match self.offer_asked(core, unanswered, request.header(), request.payload()) {
            Flow::Taken => Waiting::No,
            Flow::Wait => {
                self.io.take_back(index, deadline);
                Waiting::Service
            }
        }
    }

    /// Offers a request that its connection counts as in flight.
    pub(super) fn offer_asked(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        request: Unanswered,
        header: Header,
        payload: &[u8],
    ) -> Flow {
        let deadline = request.deadline();
        let reply_to = self.io.offer(request);
        let mut cx = Context::new(&mut self.io, core);
        if deadline.is_some_and(|deadline| deadline <= cx.now()) {
            // It has waited for room too long.
            refuse_late(&mut cx, reply_to);
            return Flow::Taken;
        }
        let flow = self.service.request(&mut cx, &Request { reply_to, header, payload });
        match flow {
            Flow::Taken => {
                core.count_request();
                self.io.taken(reply_to, header.opcode, deadline);
            }
            Flow::Wait => self.io.not_taken(reply_to, deadline),
        }
        flow
    }
}
