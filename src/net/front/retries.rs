//! Requests that had to wait: tried again when there is room, and answered at their deadline.

use sutra_runtime::Core;
use sutra_wire::Status;

use super::Front;
use crate::connection::Waiting;
use crate::context::Context;
use crate::envelope::Envelope;
use crate::in_flight::{Arrival, ReplyTo, Unanswered};
use crate::service::{Flow, Service};

/// Connections that are offered to the service in one turn although it has no room for them: some
/// 0.1 ms of work, however many wait.
const FUTILE_TRIES: usize = 64;

impl<S: Service> Front<S> {
    /// Tries the requests again that had to wait. Cost: linear in the connections that found room;
    /// of those that find none, some are asked in every turn until all were.
    pub(super) fn retry(&mut self, core: &mut Core<Envelope<S::Message>>) {
        let roomy = self.io.take_roomy();
        for index in &roomy {
            if self.io.get(*index).is_some_and(|connection| connection.waiting() == Waiting::Again)
            {
                self.again(core, *index);
            }
        }
        self.io.tried(roomy);
        let mut futile = 0;
        while futile < FUTILE_TRIES
            && let Some(index) = self.io.next_waiting()
        {
            futile += usize::from(!self.again(core, index));
        }
    }

    /// Takes up a connection where it had to wait; `false` where it still has to.
    fn again(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) -> bool {
        if !self.io.take_up(core, index) || !self.follow_up(core, index) {
            return false;
        }
        let Some(connection) = self.io.get_mut(index) else { return false };
        let mut input = std::mem::take(connection.input());
        let used = self.run(core, index, input.bytes(), None);
        input.consume(used, self.io.inputs());
        self.keep(core, index, input, true);
        self.io.listen_to(core, index);
        self.io.finish(core, index);
        used > 0
    }

    /// Offers the request for the next part of a reply, where one waits; `false` where it still has
    /// to.
    fn follow_up(&mut self, core: &mut Core<Envelope<S::Message>>, index: usize) -> bool {
        let Some((connection, asked, payload)) = self.io.take_follow_up(index) else { return true };
        let header = asked.header(payload.len());
        let now = core.now();
        let arrival = Arrival { began: now, arrived: now, offered: now, bytes: payload.len() };
        let request = Unanswered::new(connection, &header, asked.manner(), &arrival, None);
        if self.offer_asked(core, request, header, &payload) == Flow::Taken {
            self.io.pools().give_back(payload);
            return true;
        }
        self.io.put_back_follow_up(index, asked, payload);
        self.io.wait(core, index, Waiting::Service);
        false
    }

    /// Answers the requests whose deadline has passed. Cost: a look at every request in flight and
    /// every connection that waits.
    pub(super) fn deadlines(&mut self, core: &mut Core<Envelope<S::Message>>) {
        let mut expired = self.io.take_expired(core.now());
        let mut cx = Context::new(&mut self.io, core);
        for to in expired.drain(..) {
            refuse_late(&mut cx, to);
        }
        self.io.keep_expired(expired);
        self.io.try_expired(core.now());
    }
}

/// Refuses a request whose deadline has passed.
pub(super) fn refuse_late<M: Send + 'static>(cx: &mut Context<'_, M>, to: ReplyTo) {
    let message = "the deadline passed before the request was done; a write may still take effect";
    cx.refuse(to, Status::DeadlineExceeded, message);
}
