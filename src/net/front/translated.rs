//! Connections that speak another protocol: from its messages to requests for the service.
//!
//! Cost besides the translator's: a pooled buffer for a request's archive; nothing else where
//! requests come one at a time. A message that has to wait is translated again when it is tried
//! again.

use sutra_runtime::{Core, Stage};
use sutra_wire::{Header, Status};

use super::Front;
use crate::connection::Waiting;
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::exchange::Asked;
use crate::in_flight::Unanswered;
use crate::io::Translation;
use crate::service::{Flow, Service};
use crate::translator::{Manner, Overlap};

impl<S: Service> Front<S> {
    /// Offers message after message to the service until the bytes, or the room, end. Returns how
    /// many bytes are done with.
    pub(super) fn run_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        bytes: &[u8],
    ) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let Some(connection) = self.io.get(index) else { return bytes.len() };
            if connection.waiting() == Waiting::Again {
                // A reply of several parts goes on at the end of this turn.
                return at;
            }
            if self.io.has_room(index) == Some(false) {
                self.io.wait(core, index, Waiting::Room);
                return at;
            }
            let mut payload = self.io.pools().buffer();
            let mut reply = self.io.pools().message();
            core.enter_stage(Stage::Parse);
            let done = match self.io.look_at(index, &bytes[at..], &mut payload, &mut reply) {
                Translation::Ask { opcode, manner, overlap, len } => {
                    self.ask(core, index, (opcode, manner, overlap), &payload).then_some(len)
                }
                Translation::Answered { len } => {
                    self.io.say(core, index, &reply);
                    Some(len)
                }
                Translation::Partial => None,
                Translation::Broken(reason) => {
                    self.io.break_off(core, index, 0, Status::TooLarge, reason);
                    Some(bytes.len() - at)
                }
            };
            self.io.pools().give_back(payload);
            self.io.pools().give_back_message(reply);
            match done {
                Some(len) => at += len,
                None => return at,
            }
        }
        at
    }

    /// Offers a request; `false` where it has to wait.
    fn ask(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        (opcode, manner, overlap): (u8, Manner, Overlap),
        payload: &[u8],
    ) -> bool {
        let Some(connection) = self.io.get_mut(index) else { return true };
        let in_flight = connection.in_flight();
        let Some(exchange) = connection.exchange() else { return true };
        if !exchange.admits(overlap, in_flight) {
            self.io.wait(core, index, Waiting::Turn);
            return false;
        }
        let asked = Asked::new(exchange.next(), opcode, manner);
        // Before it is offered: the service may answer at once.
        exchange.take(overlap, payload);
        connection.ask();
        self.io.count(Count::Translated);
        let flow = self.offer_translated(core, index, asked, payload);
        if flow == Flow::Wait {
            if let Some(connection) = self.io.get_mut(index) {
                connection.take_back(None);
                if let Some(exchange) = connection.exchange() {
                    exchange.take_back();
                }
            }
            self.io.take_back_count(Count::Translated);
            self.io.wait(core, index, Waiting::Service);
        }
        flow == Flow::Taken
    }

    fn offer_translated(
        &mut self,
        core: &mut Core<Envelope<S::Message>>,
        index: usize,
        asked: Asked,
        payload: &[u8],
    ) -> Flow {
        let Some(connection) = self.io.get(index) else { return Flow::Taken };
        let (opcode, request, length) = (asked.opcode(), asked.number(), payload.len() as u32);
        let header = Header { opcode, request, length, ..Header::default() };
        let request = Unanswered::translated(connection.id(), asked);
        self.offer_asked(core, request, header, payload)
    }

    /// Offers the request for the next part of a reply, where one waits; `false` where it still has
    /// to.
    pub(super) fn follow_up(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) -> bool {
        let Some(exchange) = self.io.exchange(index) else { return true };
        let Some((asked, payload)) = exchange.take_follow_up() else { return true };
        exchange.note_asked(&payload);
        let flow = self.offer_translated(core, index, asked, &payload);
        if flow == Flow::Taken {
            self.io.pools().give_back(payload);
            return true;
        }
        if let Some(exchange) = self.io.exchange(index) {
            exchange.put_back_follow_up(asked, payload);
        }
        self.io.wait(core, index, Waiting::Service);
        false
    }
}
