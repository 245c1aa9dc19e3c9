//! Connections that speak another protocol: from its messages to requests for the service, and from
//! replies to its messages.
//!
//! Cost besides the translator's: a pooled buffer for a request's archive; nothing else where
//! requests come one at a time. A message that has to wait is translated again when it is tried
//! again.

use sutra_runtime::{Core, Stage};
use sutra_wire::{FrameBuffer, Header, Status};

use crate::connection::Waiting;
use crate::in_flight::Pending;
use crate::io::{Envelope, Io};
use crate::net::Net;
use crate::output::Body;
use crate::service::{Flow, Service};
use crate::translator::{Answer, Exchange, FollowUp, Manner, Overlap, Translated, Wording};

/// A message that was looked at.
enum Next {
    /// It has not arrived as a whole.
    Partial,
    /// It asks something of the service; its length in bytes.
    Ask { opcode: u8, manner: Manner, overlap: Overlap, len: usize },
    /// It is answered with the message that was written; its length in bytes.
    Answered { manner: Manner, len: usize },
    /// It is no message, for this reason.
    Broken(String),
}

impl<S: Service> Net<S> {
    /// Offers message after message to the service until the bytes, or the room, end. Returns how
    /// many bytes are done with.
    pub(crate) fn run_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        bytes: &[u8],
    ) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let share = self.io.output_budget.share();
            let max_in_flight = self.io.limits.max_in_flight;
            let Some(connection) = self.io.connections.get(index) else { return bytes.len() };
            if connection.waiting == Waiting::Again {
                // A reply of several parts goes on at the end of this turn.
                return at;
            }
            let held = connection.held();
            if connection.in_flight >= max_in_flight || connection.output_bytes() + held >= share {
                self.wait(core, index, Waiting::Room);
                return at;
            }
            let mut payload = self.io.pools.buffer();
            let mut reply = self.io.pools.message();
            core.enter_stage(Stage::Parse);
            let next = self.io.look_at(&bytes[at..], &mut payload, &mut reply);
            if let Next::Ask { manner, .. } | Next::Answered { manner, .. } = next
                && let Some(exchange) = self.io.exchange(index)
            {
                exchange.manner = manner;
            }
            let done = match next {
                Next::Ask { opcode, manner, overlap, len } => {
                    let asked = self.ask_translated(core, index, opcode, manner, overlap, &payload);
                    asked.then_some(len)
                }
                Next::Answered { len, .. } => {
                    self.io.say(core, index, &reply);
                    Some(len)
                }
                Next::Partial => None,
                Next::Broken(reason) => {
                    self.break_off(core, index, 0, Status::TooLarge, reason);
                    Some(bytes.len() - at)
                }
            };
            self.io.pools.give_back(payload);
            self.io.pools.give_back_message(reply);
            match done {
                Some(len) => at += len,
                None => return at,
            }
        }
        at
    }

    /// Offers a request; `false` where it has to wait.
    fn ask_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        opcode: u8,
        manner: Manner,
        overlap: Overlap,
        payload: &[u8],
    ) -> bool {
        let Some(connection) = self.io.connections.get_mut(index) else { return true };
        let in_flight = connection.in_flight;
        let Some(exchange) = connection.exchange() else { return true };
        if !exchange.admits(overlap, in_flight) {
            self.wait(core, index, Waiting::Turn);
            return false;
        }
        let number = exchange.next();
        // Before it is offered: the service may answer at once.
        exchange.took(overlap);
        exchange.asked.clear();
        if overlap == Overlap::Alone {
            exchange.asked.extend_from_slice(payload);
        }
        connection.in_flight += 1;
        self.io.counters.translated += 1;
        let flow = self.offer_translated(core, index, number, opcode, manner, payload);
        if flow == Flow::Wait {
            if let Some(connection) = self.io.connections.get_mut(index) {
                connection.in_flight -= 1;
                if let Some(exchange) = connection.exchange() {
                    exchange.took_back();
                }
            }
            self.io.counters.translated -= 1;
            self.wait(core, index, Waiting::Service);
        }
        flow == Flow::Taken
    }

    fn offer_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        number: u64,
        opcode: u8,
        manner: Manner,
        payload: &[u8],
    ) -> Flow {
        let Some(connection) = self.io.connections.get(index) else { return Flow::Taken };
        let header = Header { opcode, request: number, length: payload.len() as u32, ..Header::default() };
        let pending = Pending {
            connection: index,
            serial: connection.serial,
            request: number,
            opcode,
            flags: 0,
            manner,
            deadline: None,
        };
        self.offer_pending(core, pending, header, payload)
    }

    /// Offers the request for the next part of a reply, where one waits; `false` where it still has
    /// to.
    pub(crate) fn follow_up(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) -> bool {
        let Some(follow_up) = self.io.exchange(index).and_then(|exchange| exchange.follow_up.take()) else {
            return true;
        };
        let FollowUp { number, manner, opcode, payload } = follow_up;
        if let Some(exchange) = self.io.exchange(index) {
            exchange.asked.clear();
            exchange.asked.extend_from_slice(&payload);
        }
        let flow = self.offer_translated(core, index, number, opcode, manner, &payload);
        if flow == Flow::Taken {
            self.io.pools.give_back(payload);
            return true;
        }
        if let Some(exchange) = self.io.exchange(index) {
            exchange.follow_up = Some(FollowUp { number, manner, opcode, payload });
        }
        self.wait(core, index, Waiting::Service);
        false
    }
}

impl Io {
    /// Translates the message that the bytes begin with.
    fn look_at(&mut self, bytes: &[u8], payload: &mut FrameBuffer, reply: &mut Vec<u8>) -> Next {
        let Some(translator) = self.translator.as_mut() else { return Next::Partial };
        let len = match translator.measure(bytes) {
            Ok(Some(len)) if len <= bytes.len() => len,
            Ok(_) => return Next::Partial,
            Err(reason) => return Next::Broken(reason),
        };
        match translator.request(&bytes[..len], payload, reply) {
            Translated::Request { opcode, manner, overlap } => Next::Ask { opcode, manner, overlap, len },
            Translated::Answered { manner } => Next::Answered { manner, len },
        }
    }

    /// Words the service's answer. It was taken out of those in flight already. Cost: no copy of
    /// its own where the reply is due.
    pub(crate) fn reply_translated<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        pending: Pending,
        status: Status,
        sequence: u64,
        body: &Body<'_>,
    ) {
        let (index, number, manner) = (pending.connection, pending.request, pending.manner);
        let Some(exchange) = self.exchange(index) else { return };
        let is_due = exchange.is_due(number);
        let mut gathered = std::mem::take(&mut exchange.gathered);
        let mut payload = std::mem::take(&mut exchange.asked);
        self.output_budget.take(gathered.len());
        let Some(mut translator) = self.translator.take() else { return };
        let answer = Answer { opcode: pending.opcode, status, sequence, payload: body.bytes() };
        let mut wording = Wording::Complete;
        if is_due {
            self.gather(core, index, |output| {
                wording = translator.reply(manner, answer, &mut gathered, &mut payload, output.bytes());
            });
        } else {
            let mut message = self.pools.message();
            wording = translator.reply(manner, answer, &mut gathered, &mut payload, &mut message);
            self.keep_message(core, index, number, message);
        }
        self.translator = Some(translator);
        if wording == Wording::Complete {
            gathered = Vec::new();
        }
        let gathered_bytes = gathered.len();
        let Some(exchange) = self.exchange(index) else { return };
        exchange.gathered = gathered;
        match wording {
            Wording::Complete => {
                if payload.capacity() > 0 {
                    self.pools.give_back(payload);
                }
                if is_due {
                    self.say_those_kept(core, index);
                }
                if let Some(connection) = self.connections.get_mut(index) {
                    connection.in_flight -= 1;
                }
                self.make_room(index);
            }
            Wording::Ask { opcode } => {
                exchange.follow_up = Some(FollowUp { number, manner, opcode, payload });
                self.output_budget.add(gathered_bytes);
                self.try_again(index);
            }
        }
    }

    fn exchange(&mut self, index: usize) -> Option<&mut Exchange> {
        self.connections.get_mut(index)?.exchange()
    }

    /// Words an error that no request caused, in its turn.
    pub(crate) fn say_error<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize, reason: &str) {
        let mut message = self.pools.message();
        let manner = self.exchange(index).map(|exchange| exchange.manner).unwrap_or_default();
        if let Some(translator) = self.translator.as_mut() {
            translator.error(manner, reason, &mut message);
        }
        self.say(core, index, &message);
        self.pools.give_back_message(message);
        if self.exchange(index).is_some_and(|exchange| exchange.follow_up.is_some()) {
            // What it gathers comes before the error.
            self.try_again(index);
        }
    }

    /// Sends a message in the place of a reply to a request that comes after all those so far.
    fn say<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize, message: &[u8]) {
        let Some(exchange) = self.exchange(index) else { return };
        let number = exchange.next();
        exchange.took_answered();
        if exchange.is_due(number) {
            self.gather(core, index, |output| output.bytes().extend_from_slice(message));
            self.say_those_kept(core, index);
        } else {
            let mut copy = self.pools.message();
            copy.extend_from_slice(message);
            self.keep_message(core, index, number, copy);
        }
    }

    /// The reply that was due has been sent: so are those behind it that have waited for it.
    fn say_those_kept<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        while let Some(message) = self.exchange(index).and_then(Exchange::left) {
            self.output_budget.take(message.len());
            self.gather(core, index, |output| output.bytes().extend_from_slice(&message));
            self.pools.give_back_message(message);
        }
    }

    /// Keeps a reply that came before its turn.
    fn keep_message<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        number: u64,
        message: Vec<u8>,
    ) {
        let max_output = self.limits.max_output;
        let Some(exchange) = self.exchange(index) else { return };
        let len = message.len();
        exchange.keep(number, message);
        let is_beyond_share = exchange.held() >= max_output;
        self.output_budget.add(len);
        if is_beyond_share && self.output_budget.is_full() {
            self.close_unread(core, index);
        }
    }
}
