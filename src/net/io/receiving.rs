//! What connections have sent, and which of them wait until more is taken from them.

use std::time::Instant;

use sutra_runtime::Core;

use super::Io;
use crate::connection::Waiting;
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::in_flight::{ReplyTo, Unanswered};
use crate::input::{Input, InputPool};

/// Whether a connection's next message may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// It has too much unanswered or unsent.
    NoRoom,
    /// No request is begun for now.
    Held,
    /// A reply of several parts goes on first, at the end of this turn.
    Later,
    /// The connection has gone.
    Gone,
}

impl Io {
    /// The buffers of unfinished frames.
    pub(crate) fn inputs(&mut self) -> &mut InputPool {
        &mut self.inputs
    }

    /// Puts a connection's unread bytes back. `began`: now, where they begin another frame than the
    /// one that was kept before. Returns whether the connection takes them.
    pub(crate) fn keep_input(
        &mut self,
        index: usize,
        input: Input,
        began: Option<Instant>,
    ) -> bool {
        let kept = match self.connections.get_mut(index) {
            Some(connection) => connection.keep(input).map(|()| connection),
            None => Err(input),
        };
        match kept {
            Ok(connection) => {
                if let Some(now) = began {
                    connection.begin(now);
                }
                true
            }
            Err(mut unwanted) => {
                unwanted.clear(&mut self.inputs);
                false
            }
        }
    }

    /// Whether connections hold more bytes of unfinished frames than they may.
    pub(crate) fn holds_too_much_input(&self) -> bool {
        self.inputs.held() > self.limits.max_input
    }

    /// Whether a connection's next message may be looked at.
    pub(crate) fn readiness(&self, index: usize) -> Readiness {
        let Some(connection) = self.connections.get(index) else { return Readiness::Gone };
        if connection.waiting() == Waiting::Again {
            return Readiness::Later;
        }
        if self.is_holding() {
            return Readiness::Held;
        }
        let unsent = connection.outbox().len() + connection.protocol().held();
        let has_room =
            connection.in_flight() < self.limits.max_in_flight && unsent < self.unsent.share();
        if has_room { Readiness::Ready } else { Readiness::NoRoom }
    }

    /// Whether messages can be read where these bytes of a connection lie.
    pub(crate) fn reads_at(&self, index: usize, bytes: &[u8]) -> bool {
        self.connections.get(index).is_none_or(|connection| connection.protocol().reads_at(bytes))
    }

    /// Adds to what a connection's `input` begins with; returns the bytes behind it.
    pub(crate) fn top_up<'a>(
        &mut self,
        index: usize,
        input: &mut Input,
        bytes: &'a [u8],
    ) -> &'a [u8] {
        let Some(connection) = self.connections.get(index) else { return bytes };
        connection.protocol().top_up(input, bytes, self.limits.max_payload, &mut self.inputs)
    }

    /// A request is offered to the service, which knows it by what is returned.
    pub(crate) fn offer(&mut self, request: Unanswered) -> ReplyTo {
        self.in_flight.insert(request)
    }

    /// The service has taken a request: sees to its deadline.
    pub(crate) fn taken(&mut self, to: ReplyTo, opcode: u8, deadline: Option<Instant>) {
        self.counters.request(opcode);
        if let Some(deadline) = deadline
            && self.in_flight.contains(to)
        {
            self.in_flight.note_deadline(deadline);
        }
    }

    /// The service has no room for a request, which is offered again later.
    pub(crate) fn not_taken(&mut self, to: ReplyTo, deadline: Option<Instant>) {
        let untouched = self.in_flight.remove(to);
        debug_assert!(untouched.is_some(), "what has to wait was not answered");
        if let Some(deadline) = deadline {
            self.in_flight.note_deadline(deadline);
        }
    }

    /// Reads no further from a connection until there is room for its next request.
    pub(crate) fn wait<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        waiting: Waiting,
    ) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let pauses = connection.wait(waiting);
        if waiting != Waiting::Held {
            self.counters.count(Count::Waits);
        }
        if waiting == Waiting::Service {
            self.waiting.push(connection.id());
        }
        if pauses {
            core.pause(connection.socket());
        }
    }

    /// Reads on, where that is wanted and not done.
    pub(crate) fn listen_to<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
    ) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.listen()
        {
            core.receive(connection.socket());
        }
    }

    /// A reply or a send of the connection is done: where it waited for that, it is tried again at
    /// the end of the turn.
    pub(super) fn make_room(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.has_room()
        {
            connection.try_again();
            self.waiting.again(index);
        }
    }

    /// Has a connection tried again at the end of the turn that waits for no other reason than its
    /// own.
    pub(super) fn try_again(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            debug_assert_ne!(connection.waiting(), Waiting::Service, "it has offered nothing");
            if connection.try_again() {
                self.waiting.again(index);
            }
        }
    }

    /// The service may have room: all that wait for it are tried at the end of the turn.
    pub(crate) fn resume(&mut self) {
        self.waiting.resume();
    }

    /// Whether some are to be tried.
    pub(crate) fn has_retries(&self) -> bool {
        self.waiting.is_to_be_tried()
    }

    /// Those that wait for nothing any more; to be given back to [`Io::tried`].
    pub(crate) fn take_roomy(&mut self) -> Vec<usize> {
        self.waiting.take_roomy()
    }

    /// These were tried: those that wait for the service are next.
    pub(crate) fn tried(&mut self, roomy: Vec<usize>) {
        self.waiting.tried(roomy);
    }

    /// The next that waits for the service and is to be tried.
    pub(crate) fn next_waiting(&mut self) -> Option<usize> {
        self.waiting.next(&self.connections)
    }

    /// A connection is tried again: it waits for nothing now. Where it has gathered too much while
    /// its last send was under way, that is sent at once, as its room is wanted.
    pub(crate) fn take_up<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
    ) -> bool {
        let share = self.unsent.share();
        let Some(connection) = self.connections.get_mut(index) else { return false };
        connection.wait_no_longer();
        if connection.outbox().len() >= share {
            self.send(core, index);
        }
        true
    }

    /// When deadlines are to be looked at next.
    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        self.in_flight.next_sweep(self.waiting.len())
    }

    /// The requests whose deadline has passed; to be given back, empty, to [`Io::keep_expired`].
    /// Cost: a look at every request in flight.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<ReplyTo> {
        self.in_flight.sweep(now)
    }

    pub(crate) fn keep_expired(&mut self, expired: Vec<ReplyTo>) {
        self.in_flight.swept(expired);
    }

    /// Has those tried again whose waiting request has passed its deadline: it is answered then.
    /// Cost: a look at every connection that waits.
    pub(crate) fn try_expired(&mut self, now: Instant) {
        let Io { waiting, connections, in_flight, .. } = self;
        let mut due = 0;
        for number in 0..waiting.len() {
            if let Some(index) = waiting.get(number, connections)
                && let Some(connection) = connections.get_mut(index)
                && let Some(deadline) = connection.waits_until()
            {
                if deadline > now {
                    in_flight.note_deadline(deadline);
                } else {
                    connection.try_again();
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
