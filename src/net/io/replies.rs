//! From the service's answers to frames: each finds its connection, or nothing.

use std::net::SocketAddr;
use std::time::Instant;

use sutra_runtime::Core;
use sutra_wire::{MORE, Status};

use super::Io;
use crate::envelope::Envelope;
use crate::in_flight::ReplyTo;
use crate::output::{self, Body};
use crate::protocol::Protocol;
use crate::slow::Answered;

/// What became of a part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PartSent {
    /// It is on its way.
    Sent,
    /// The client reads too slowly: it was not sent.
    Full,
    /// Nobody waits for it any more: the request is to be refused, which gives its slot back.
    Gone,
}

impl Io {
    /// Whether anybody still waits for the answer.
    pub(crate) fn is_waiting(&self, to: ReplyTo) -> bool {
        self.in_flight
            .get(to)
            .is_some_and(|request| self.connections.live(request.connection()).is_some())
    }

    /// Whether the client that waits for the answer asks nothing more.
    pub(crate) fn has_left(&self, to: ReplyTo) -> bool {
        self.in_flight.get(to).is_some_and(|request| {
            self.connections
                .live(request.connection())
                .is_none_or(|connection| connection.has_left())
        })
    }

    /// Where a request came from.
    pub(crate) fn peer(&self, to: ReplyTo) -> Option<SocketAddr> {
        let connection = self.in_flight.get(to)?.connection();
        self.connections.live(connection).map(|connection| connection.peer())
    }

    /// Names what a request is about, by its id.
    pub(crate) fn about(&mut self, to: ReplyTo, subject: [u8; 16]) {
        self.in_flight.about(to, subject);
    }

    /// A request's write has been in the log since then.
    pub(crate) fn logged(&mut self, to: ReplyTo, since: Instant) {
        self.in_flight.logged(to, since);
    }

    /// Answers a request, if it is still waiting.
    pub(crate) fn reply<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        to: ReplyTo,
        status: Status,
        sequence: u64,
        body: Body<'_>,
    ) {
        let Some(request) = self.in_flight.remove(to) else { return };
        let Some(connection) = self.connections.live_mut(request.connection()) else { return };
        if status.is_error() {
            self.counters.error(status);
        }
        self.latencies.note(request.opcode(), request.arrived());
        let answered = Answered { request, status, ready: core.now(), bytes_out: 0 };
        let index = request.connection().index();
        match connection.protocol() {
            Protocol::Native => {
                connection.answered();
                let header = request.reply_header(status, 0, sequence);
                self.gather_answer(core, index, Some(answered), |output| {
                    output::append(output, header, body);
                });
                self.make_room(index);
            }
            Protocol::Translated(_) => {
                self.reply_translated(core, index, answered, sequence, &body);
            }
        }
    }

    /// What would become of one more part of an answer.
    pub(crate) fn has_room_for_part(&self, to: ReplyTo) -> PartSent {
        let connection =
            self.in_flight.get(to).and_then(|request| self.connections.live(request.connection()));
        let Some(connection) = connection else { return PartSent::Gone };
        debug_assert!(
            matches!(connection.protocol(), Protocol::Native),
            "other protocols know no parts"
        );
        if connection.outbox().len() < self.unsent.share() {
            PartSent::Sent
        } else {
            PartSent::Full
        }
    }

    /// Sends one more part of an answer, which goes on waiting.
    pub(crate) fn reply_part<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        to: ReplyTo,
        sequence: u64,
        part: &[u8],
    ) {
        let Some(request) = self.in_flight.get(to) else { return };
        let (index, header) =
            (request.connection().index(), request.reply_header(Status::Ok, MORE, sequence));
        self.gather(core, index, |output| output::append(output, header, Body::Bytes(part)));
    }
}
