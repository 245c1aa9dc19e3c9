//! Replies in another protocol: the service's answers are worded by the translator, and leave in
//! the order of their requests.

use sutra_runtime::Core;
use sutra_wire::{ErrorMessage, FrameBuffer, Header, encode_archive};

use super::{Io, Refusal};
use crate::connection::ConnectionId;
use crate::envelope::Envelope;
use crate::exchange::{Exchange, TranslatedRequest};
use crate::output::Body;
use crate::protocol::Protocol;
use crate::slow::Answered;
use crate::translator::{Answer, Wording};

impl Io {
    /// What a connection of another protocol has under way.
    pub(super) fn exchange(&mut self, index: usize) -> Option<&mut Exchange> {
        self.connections.get_mut(index)?.protocol_mut().exchange()
    }

    /// The request for the next part of a connection's reply, where one waits, and whose it is.
    pub(crate) fn take_follow_up(
        &mut self,
        index: usize,
    ) -> Option<(ConnectionId, TranslatedRequest, FrameBuffer)> {
        let connection = self.connections.get_mut(index)?;
        let id = connection.id();
        let (asked, payload) = connection.protocol_mut().exchange()?.take_follow_up()?;
        Some((id, asked, payload))
    }

    /// That request found no room.
    pub(crate) fn put_back_follow_up(
        &mut self,
        index: usize,
        asked: TranslatedRequest,
        payload: FrameBuffer,
    ) {
        if let Some(exchange) = self.exchange(index) {
            exchange.put_back_follow_up(asked, payload);
        }
    }

    /// Words the service's answer. It was taken out of those in flight already. Cost: no copy of
    /// its own where the reply is due.
    pub(super) fn reply_translated<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        answered: Answered,
        sequence: u64,
        body: &Body<'_>,
    ) {
        let (asked, status) = (answered.request.asked(), answered.status);
        let Some(exchange) = self.exchange(index) else { return };
        let is_due = exchange.is_due(asked.number());
        let (mut gathered, mut payload) = exchange.take_gathered();
        self.unsent.take(gathered.len());
        let Some(mut translator) = self.translation.take() else { return };
        let answer = Answer { opcode: asked.opcode(), status, sequence, payload: body.bytes() };
        let mut wording = Wording::Complete;
        if is_due {
            self.gather_answer(core, index, Some(answered), |output| {
                wording = translator.reply(
                    asked.manner(),
                    answer,
                    &mut gathered,
                    &mut payload,
                    output.bytes(),
                );
            });
        } else {
            let mut message = self.pools.message();
            wording =
                translator.reply(asked.manner(), answer, &mut gathered, &mut payload, &mut message);
            if let Some(connection) = self.connections.get(index) {
                let bytes_out = message.len();
                self.slow.waits(Answered { bytes_out, ..answered }, connection.peer());
            }
            self.keep_message(core, index, asked.number(), message);
        }
        self.translation.put_back(translator);
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
                self.unsent.add(gathered_bytes);
                self.try_again(index);
            }
        }
    }

    /// Says why a connection is read no further.
    pub(super) fn say_refusal<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        refusal: Refusal,
    ) {
        let Some(connection) = self.connections.get(index) else { return };
        let Refusal { request, status, message } = refusal;
        match connection.protocol() {
            Protocol::Native => {
                let mut frame = FrameBuffer::new();
                let header = Header { status: status as u8, request, ..Header::default() };
                encode_archive(&mut frame, header, &ErrorMessage { message });
                self.gather(core, index, |output| output.bytes().extend_from_slice(&frame));
            }
            Protocol::Translated(_) => self.say_error(core, index, &message),
        }
    }

    /// Words an error that no request caused, in its turn.
    fn say_error<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        reason: &str,
    ) {
        let mut message = self.pools.message();
        let manner = self.exchange(index).map(|exchange| exchange.manner()).unwrap_or_default();
        if let Some(translator) = self.translation.translator() {
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
    pub(super) fn say<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        message: &[u8],
    ) {
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
            self.unsent.take(message.len());
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
        self.unsent.add(len);
        if is_beyond_share && self.unsent.is_full() {
            self.close_unread(core, index);
        }
    }
}
