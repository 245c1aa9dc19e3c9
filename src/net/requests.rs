//! From bytes to requests: frames are handed to the service where they lie, and wait where there is
//! no room for them.

use std::time::Duration;

use sutra_runtime::{Core, Socket, Stage};
use sutra_wire::{CHECKSUM, HEADER_BYTES, Header, Parsed, Status};

use crate::connection::{Phase, Protocol, Receiving, Waiting};
use crate::context::Context;
use crate::in_flight::Pending;
use crate::input::{Input, InputPool};
use crate::io::{Envelope, Io};
use crate::net::Net;
use crate::service::{Flow, ReplyTo, Request, Service};
use crate::translator::Manner;

/// Connections that are offered to the service in one turn although it has no room for them: some
/// 0.1 ms of work, however many wait.
const FUTILE_TRIES: usize = 64;

impl<S: Service> Net<S> {
    pub(crate) fn received(&mut self, core: &mut Core<Envelope<S::Message>>, socket: Socket, bytes: &[u8]) {
        let now = core.now();
        let Some(connection) = self.io.get(socket) else { return };
        connection.received = now;
        match connection.phase {
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
    pub(crate) fn feed(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, mut bytes: &[u8]) {
        let Some(connection) = self.io.connections.get_mut(index) else { return };
        let is_native = connection.is_native();
        let mut input = std::mem::take(&mut connection.input);
        let mut is_new = input.is_empty();
        if connection.waiting == Waiting::No {
            if !input.is_empty() {
                if is_native {
                    // The frame that was begun, and no more, so that the rest can be read where it
                    // lies.
                    bytes = top_up(&mut input, bytes, self.io.limits.max_payload, &mut self.io.inputs);
                } else {
                    input.extend(std::mem::take(&mut bytes), &mut self.io.inputs);
                }
                let used = self.run(core, index, input.bytes());
                input.consume(used, &mut self.io.inputs);
                is_new |= used > 0;
            }
            if input.is_empty() {
                if !is_native || bytes.as_ptr().addr().is_multiple_of(16) {
                    let used = self.run(core, index, bytes);
                    bytes = &bytes[used..];
                } else {
                    input.extend(std::mem::take(&mut bytes), &mut self.io.inputs);
                    let used = self.run(core, index, input.bytes());
                    input.consume(used, &mut self.io.inputs);
                }
            }
        }
        input.extend(bytes, &mut self.io.inputs);
        self.keep(core, index, input, is_new);
    }

    /// Puts a connection's unread bytes back, where there are any. `is_new`: another frame than the
    /// one that was kept before.
    fn keep(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, mut input: Input, is_new: bool) {
        core.enter_stage(Stage::Receive);
        if input.is_empty() {
            return;
        }
        let Io { connections, inputs, limits, .. } = &mut self.io;
        let Some(connection) =
            connections.get_mut(index).filter(|connection| matches!(connection.phase, Phase::Open | Phase::Ending))
        else {
            return input.clear(inputs);
        };
        connection.input = input;
        if is_new {
            connection.began = core.now();
        }
        if inputs.held() > limits.max_input {
            let message = format!(
                "this core's connections already hold {} bytes of unfinished frames, the limit; send smaller frames or try again",
                limits.max_input
            );
            return self.break_off(core, index, 0, Status::Busy, message);
        }
        self.keep_house(core);
    }

    /// Offers request after request to the service until the bytes, or the room, end. Returns how
    /// many bytes are done with.
    fn run(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, bytes: &[u8]) -> usize {
        match self.io.connections.get(index).map(|connection| &connection.protocol) {
            None => bytes.len(),
            Some(Protocol::Native) => self.run_native(core, index, bytes),
            Some(Protocol::Translated(_)) => self.run_translated(core, index, bytes),
        }
    }

    fn run_native(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let share = self.io.output_budget.share();
            let Io { connections, limits, .. } = &mut self.io;
            let Some(connection) = connections.get_mut(index) else { return bytes.len() };
            // Asked first: what has to wait is not parsed, and its checksum not computed, again and
            // again.
            if connection.in_flight >= limits.max_in_flight || connection.output_bytes() >= share {
                self.wait(core, index, Waiting::Room);
                return at;
            }
            core.enter_stage(Stage::Parse);
            match sutra_wire::parse(&bytes[at..], limits.max_payload) {
                Ok(Parsed::Frame(frame, used)) => {
                    if self.offer(core, index, frame.header, frame.payload) == Flow::Wait {
                        self.wait(core, index, Waiting::Service);
                        return at;
                    }
                    at += used;
                }
                Ok(Parsed::Partial(_)) => return at,
                Err(error) => {
                    self.break_off(core, index, error.request(), error.status(), error.to_string());
                    return bytes.len();
                }
            }
        }
        at
    }

    fn offer(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, header: Header, payload: &[u8]) -> Flow {
        let Some(connection) = self.io.connections.get_mut(index) else { return Flow::Taken };
        let deadline = match header.extra {
            0 => None,
            micros => connection.received.checked_add(Duration::from_micros(micros)),
        };
        connection.in_flight += 1;
        let pending = Pending {
            connection: index,
            serial: connection.serial,
            request: header.request,
            opcode: header.opcode,
            flags: header.flags & CHECKSUM,
            manner: Manner::default(),
            deadline,
        };
        let flow = self.offer_pending(core, pending, header, payload);
        if flow == Flow::Wait
            && let Some(connection) = self.io.connections.get_mut(index)
        {
            connection.in_flight -= 1;
            connection.waits_until = deadline;
        }
        flow
    }

    /// Offers a request that its connection counts as in flight.
    pub(crate) fn offer_pending(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        pending: Pending,
        header: Header,
        payload: &[u8],
    ) -> Flow {
        let deadline = pending.deadline;
        let reply_to = self.io.in_flight.insert(pending);
        let mut cx = Context { io: &mut self.io, core };
        if deadline.is_some_and(|deadline| deadline <= cx.now()) {
            // It has waited for room too long.
            refuse_late(&mut cx, reply_to);
            return Flow::Taken;
        }
        let flow = self.service.request(&mut cx, &Request { reply_to, header, payload });
        let is_answered = match flow {
            Flow::Taken => {
                core.count_request();
                self.io.counters.request(header.opcode);
                deadline.is_none() || !self.io.in_flight.contains(reply_to)
            }
            Flow::Wait => {
                let untouched = self.io.in_flight.remove(reply_to);
                debug_assert!(untouched.is_some(), "what has to wait was not answered");
                false
            }
        };
        if let (Some(deadline), false) = (deadline, is_answered) {
            self.io.in_flight.note_deadline(deadline);
        }
        flow
    }

    /// Reads no further from a connection until there is room for its next request.
    pub(crate) fn wait(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize, waiting: Waiting) {
        let Some(connection) = self.io.connections.get_mut(index) else { return };
        connection.waiting = waiting;
        self.io.counters.waits += 1;
        if waiting == Waiting::Service {
            self.io.waiting.push(index, connection.serial);
        }
        if connection.receiving == Receiving::On {
            connection.receiving = Receiving::Pausing;
            core.pause(connection.socket);
        }
    }

    /// Reads on, where that is wanted and not done.
    pub(crate) fn listen_to(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) {
        let Some(connection) = self.io.connections.get_mut(index) else { return };
        if connection.receiving == Receiving::Off
            && connection.phase == Phase::Open
            && connection.waiting == Waiting::No
        {
            connection.receiving = Receiving::On;
            core.receive(connection.socket);
        }
    }

    /// Tries the requests again that had to wait. Cost: linear in the connections that found room;
    /// of those that find none, some are asked in every turn until all were.
    pub(crate) fn retry(&mut self, core: &mut Core<Envelope<S::Message>>) {
        let roomier = self.io.waiting.roomier();
        for at in 0..roomier {
            let index = self.io.waiting.roomy(at);
            if self.io.connections.get(index).is_some_and(|connection| connection.waiting == Waiting::Again) {
                self.again(core, index);
            }
        }
        self.io.waiting.tried(roomier);
        let mut futile = 0;
        while futile < FUTILE_TRIES
            && let Some(index) = self.io.waiting.next(&self.io.connections)
        {
            futile += usize::from(!self.again(core, index));
        }
    }

    /// Takes up a connection where it had to wait; `false` where it still has to.
    fn again(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) -> bool {
        let share = self.io.output_budget.share();
        let Some(connection) = self.io.connections.get_mut(index) else { return false };
        connection.waiting = Waiting::No;
        if connection.output_bytes() >= share {
            // What was gathered while the last send was under way: sent at once, as its room is
            // wanted.
            self.io.send(core, index);
        }
        if !self.follow_up(core, index) {
            return false;
        }
        let Some(connection) = self.io.connections.get_mut(index) else { return false };
        let mut input = std::mem::take(&mut connection.input);
        let used = self.run(core, index, input.bytes());
        input.consume(used, &mut self.io.inputs);
        self.keep(core, index, input, true);
        self.listen_to(core, index);
        self.finish(core, index);
        used > 0
    }

    /// Answers the requests whose deadline has passed. Cost: a look at every request in flight and
    /// every connection that waits.
    pub(crate) fn deadlines(&mut self, core: &mut Core<Envelope<S::Message>>) {
        let mut expired = std::mem::take(&mut self.io.expired);
        self.io.in_flight.sweep(core.now(), &mut expired);
        let mut cx = Context { io: &mut self.io, core };
        for to in expired.drain(..) {
            refuse_late(&mut cx, to);
        }
        self.io.expired = expired;
        let Io { waiting, connections, in_flight, .. } = &mut self.io;
        let mut due = 0;
        for number in 0..waiting.len() {
            if let Some(index) = waiting.get(number, connections)
                && let Some(connection) = connections.get_mut(index)
                && let Some(deadline) = connection.waits_until
            {
                if deadline > core.now() {
                    in_flight.note_deadline(deadline);
                } else {
                    // Answered when it is offered again.
                    connection.waiting = Waiting::Again;
                    waiting.again(index);
                    due += 1;
                }
            }
        }
        for _ in 0..due {
            waiting.left(connections);
        }
    }
}

fn refuse_late<M: Send + 'static>(cx: &mut Context<'_, M>, to: ReplyTo) {
    let message = "the deadline passed before the request was done; a write may still take effect";
    cx.refuse(to, Status::DeadlineExceeded, message);
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
