//! From bytes to requests: frames are handed to the service where they lie, and wait where there is
//! no room for them.

use std::time::Duration;

use sutra_runtime::{Core, Socket, Stage};
use sutra_wire::{HEADER_BYTES, Header, Parsed, Status};

use super::Front;
use super::retries::refuse_late;
use crate::connection::{Phase, Waiting};
use crate::context::Context;
use crate::envelope::Envelope;
use crate::in_flight::Unanswered;
use crate::input::{Input, InputPool};
use crate::service::{Flow, Request, Service};

impl<S: Service> Front<S> {
    pub(super) fn received(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, bytes: &[u8]) {
        let Some(connection) = self.io.of(socket) else { return };
        connection.note_received(core.now());
        match connection.phase() {
            Phase::Hello => self.greeted(core, socket, bytes),
            Phase::Open | Phase::Ending => {
                if !connection.is_native() {
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
    pub(super) fn feed(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, mut bytes: &[u8]) {
        let Some(connection) = self.io.get_mut(index) else { return };
        let is_native = connection.is_native();
        let mut input = std::mem::take(connection.input());
        let mut is_new = input.is_empty();
        if connection.waiting() == Waiting::No {
            if !input.is_empty() {
                if is_native {
                    // The frame that was begun, and no more, so that the rest can be read where it
                    // lies.
                    let max_payload = self.io.limits().max_payload;
                    bytes = top_up(&mut input, bytes, max_payload, self.io.inputs());
                } else {
                    input.extend(std::mem::take(&mut bytes), self.io.inputs());
                }
                let used = self.run(core, index, input.bytes());
                input.consume(used, self.io.inputs());
                is_new |= used > 0;
            }
            if input.is_empty() {
                if !is_native || bytes.as_ptr().addr().is_multiple_of(16) {
                    let used = self.run(core, index, bytes);
                    bytes = &bytes[used..];
                } else {
                    input.extend(std::mem::take(&mut bytes), self.io.inputs());
                    let used = self.run(core, index, input.bytes());
                    input.consume(used, self.io.inputs());
                }
            }
        }
        input.extend(bytes, self.io.inputs());
        self.keep(core, index, input, is_new);
    }

    /// Puts a connection's unread bytes back, where there are any. `is_new`: another frame than the
    /// one that was kept before.
    pub(super) fn keep(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, input: Input, is_new: bool) {
        core.enter_stage(Stage::Receive);
        if input.is_empty() || !self.io.keep_input(index, input, is_new.then(|| core.now())) {
            return;
        }
        if self.io.holds_too_much_input() {
            let message = format!(
                "this core's connections already hold {} bytes of unfinished frames, the limit; send smaller frames or try again",
                self.io.limits().max_input
            );
            return self.io.break_off(core, index, 0, Status::Busy, message);
        }
        self.io.keep_house(core);
    }

    /// Offers request after request to the service until the bytes, or the room, end. Returns how
    /// many bytes are done with.
    pub(super) fn run(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, bytes: &[u8]) -> usize {
        match self.io.get(index).map(|connection| connection.is_native()) {
            None => bytes.len(),
            Some(true) => self.run_native(core, index, bytes),
            Some(false) => self.run_translated(core, index, bytes),
        }
    }

    fn run_native(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            // Asked first: what has to wait is not parsed, and its checksum not computed, again and
            // again.
            let Some(has_room) = self.io.has_room(index) else { return bytes.len() };
            if !has_room {
                self.io.wait(core, index, Waiting::Room);
                return at;
            }
            core.enter_stage(Stage::Parse);
            match sutra_wire::parse(&bytes[at..], self.io.limits().max_payload) {
                Ok(Parsed::Frame(frame, used)) => {
                    if self.offer(core, index, frame.header, frame.payload) == Flow::Wait {
                        self.io.wait(core, index, Waiting::Service);
                        return at;
                    }
                    at += used;
                }
                Ok(Parsed::Partial(_)) => return at,
                Err(error) => {
                    self.io.break_off(core, index, error.request(), error.status(), error.to_string());
                    return bytes.len();
                }
            }
        }
        at
    }

    fn offer(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, header: Header, payload: &[u8]) -> Flow {
        let Some(connection) = self.io.get_mut(index) else { return Flow::Taken };
        let deadline = match header.extra {
            0 => None,
            micros => connection.received().checked_add(Duration::from_micros(micros)),
        };
        connection.ask();
        let request = Unanswered::native(connection.id(), &header, deadline);
        let flow = self.offer_asked(core, request, header, payload);
        if flow == Flow::Wait
            && let Some(connection) = self.io.get_mut(index)
        {
            connection.take_back(deadline);
        }
        flow
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

/// Adds to the frame that `input` begins with what is missing of it; returns the bytes behind it.
fn top_up<'a>(input: &mut Input, mut bytes: &'a [u8], max_payload: u32, pool: &mut InputPool) -> &'a [u8] {
    // Twice at most: for the header, then for what that says. A whole frame is left to be parsed
    // once, by whoever handles it.
    while !bytes.is_empty()
        && let Ok(Parsed::Partial(whole)) = sutra_wire::parse(input.bytes(), max_payload)
    {
        let is_known = input.bytes().len() >= HEADER_BYTES;
        let missing = (whole - input.bytes().len()).min(bytes.len());
        input.extend(&bytes[..missing], pool);
        bytes = &bytes[missing..];
        if is_known {
            break;
        }
    }
    bytes
}
