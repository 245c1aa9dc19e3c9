//! Replies in another protocol: the service's answers are worded by the translator, and leave in
//! the order of their requests.

use sutra_runtime::Core;
use sutra_wire::{FrameBuffer, Status};

use super::Io;
use crate::envelope::Envelope;
use crate::exchange::{Asked, Exchange};
use crate::output::Body;
use crate::translator::{Answer, Manner, Overlap, Translated, Wording};

/// A message that was looked at.
pub(crate) enum Translation {
    /// It has not arrived as a whole.
    Partial,
    /// It asks something of the service; its length in bytes.
    Ask { opcode: u8, manner: Manner, overlap: Overlap, len: usize },
    /// It is answered with the message that was written; its length in bytes.
    Answered { len: usize },
    /// It is no message, for this reason.
    Broken(String),
}

impl Io {
    /// What a connection of another protocol has under way.
    pub(crate) fn exchange(&mut self, index: usize) -> Option<&mut Exchange> {
        self.connections.get_mut(index)?.exchange()
    }

    /// Translates the message that a connection's bytes begin with.
    pub(crate) fn look_at(
        &mut self,
        index: usize,
        bytes: &[u8],
        payload: &mut FrameBuffer,
        reply: &mut Vec<u8>,
    ) -> Translation {
        let Some(translator) = self.translator.as_mut() else { return Translation::Partial };
        let len = match translator.measure(bytes) {
            Ok(Some(len)) if len <= bytes.len() => len,
            Ok(_) => return Translation::Partial,
            Err(reason) => return Translation::Broken(reason),
        };
        let (manner, message) = match translator.request(&bytes[..len], payload, reply) {
            Translated::Request { opcode, manner, overlap } => {
                (manner, Translation::Ask { opcode, manner, overlap, len })
            }
            Translated::Answered { manner } => (manner, Translation::Answered { len }),
        };
        if let Some(exchange) = self.exchange(index) {
            exchange.note_manner(manner);
        }
        message
    }

    /// Words the service's answer. It was taken out of those in flight already. Cost: no copy of
    /// its own where the reply is due.
    pub(super) fn reply_translated<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        asked: Asked,
        status: Status,
        sequence: u64,
        body: &Body<'_>,
    ) {
        let Some(exchange) = self.exchange(index) else { return };
        let is_due = exchange.is_due(asked.number());
        let (mut gathered, mut payload) = exchange.take_gathered();
        self.output_budget.take(gathered.len());
        let Some(mut translator) = self.translator.take() else { return };
        let answer = Answer { opcode: asked.opcode(), status, sequence, payload: body.bytes() };
        let mut wording = Wording::Complete;
        if is_due {
            self.gather(core, index, |output| {
                wording = translator.reply(asked.manner(), answer, &mut gathered, &mut payload, output.bytes());
            });
        } else {
            let mut message = self.pools.message();
            wording = translator.reply(asked.manner(), answer, &mut gathered, &mut payload, &mut message);
            self.keep_message(core, index, asked.number(), message);
        }
        self.translator = Some(translator);
        match wording {
            Wording::Complete => {
                if payload.capacity() > 0 {
                    self.pools.give_back(payload);
                }
                if is_due {
                    self.say_those_kept(core, index);
                }
                if let Some(connection) = self.connections.get_mut(index) {
                    connection.answered();
                }
                self.make_room(index);
            }
            Wording::Ask { opcode } => {
                let gathered_bytes = gathered.len();
                let Some(exchange) = self.exchange(index) else { return };
                exchange.follow_up(asked.followed_by(opcode), payload, gathered);
                self.output_budget.add(gathered_bytes);
                self.try_again(index);
            }
        }
    }

    /// Words an error that no request caused, in its turn.
    pub(super) fn say_error<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize, reason: &str) {
        let mut message = self.pools.message();
        let manner = self.exchange(index).map(|exchange| exchange.manner()).unwrap_or_default();
        if let Some(translator) = self.translator.as_mut() {
            translator.error(manner, reason, &mut message);
        }
        self.say(core, index, &message);
        self.pools.give_back_message(message);
        if self.exchange(index).is_some_and(|exchange| exchange.has_follow_up()) {
            // What it gathers comes before the error.
            self.try_again(index);
        }
    }

    /// Sends a message in the place of a reply to a request that comes after all those so far.
    pub(crate) fn say<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize, message: &[u8]) {
        let Some(exchange) = self.exchange(index) else { return };
        let number = exchange.next();
        exchange.note_answered();
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
