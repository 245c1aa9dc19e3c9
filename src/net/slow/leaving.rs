//! What is known of the answers that are on their way: for each send the one that began first, and
//! of the others how many there are.

use std::time::{Duration, Instant};

use sutra_wire::Status;

use crate::in_flight::Unanswered;
use crate::outbox::LeavingKey;

/// A request and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) request: Unanswered,
    pub(crate) status: Status,
    /// When the turn that answered began; its end is filled in when that has come.
    pub(crate) ready: Instant,
    pub(crate) bytes_out: usize,
}

impl Answered {
    /// How long it took until then.
    pub(super) fn took(&self, until: Instant) -> Duration {
        until.saturating_duration_since(self.request.began())
    }
}

/// The answers of one send.
struct Send {
    /// The one that began first.
    first: Answered,
    /// When that began which began last.
    last_began: Instant,
    answers: u32,
    /// Others than the first that were slow when they were ready.
    slow: u32,
}

/// The answers of all sends that are under way or to come, one place a send.
#[derive(Default)]
pub(super) struct Leaving {
    sends: Vec<Send>,
    free: Vec<LeavingKey>,
    /// Places whose first answer was given in this turn.
    of_this_turn: Vec<usize>,
}

impl Leaving {
    /// Adds an answer to those of a send.
    pub(super) fn add(
        &mut self,
        key: &mut Option<LeavingKey>,
        answered: Answered,
        threshold: Duration,
    ) {
        let Some(key) = key else {
            *key = Some(self.begin(answered));
            return;
        };
        let send = &mut self.sends[key.place()];
        let (now, began) = (answered.ready, answered.request.began());
        send.answers += 1;
        send.last_began = send.last_began.max(began);
        let mut other = answered;
        if began < send.first.request.began() {
            other = std::mem::replace(&mut send.first, answered);
            self.of_this_turn.push(key.place());
        }
        send.slow += u32::from(other.took(now) >= threshold);
    }

    fn begin(&mut self, first: Answered) -> LeavingKey {
        let send = Send { first, last_began: first.request.began(), answers: 1, slow: 0 };
        let key = match self.free.pop() {
            Some(key) => {
                self.sends[key.place()] = send;
                key
            }
            None => {
                self.sends.push(send);
                LeavingKey::of(self.sends.len() - 1)
            }
        };
        self.of_this_turn.push(key.place());
        key
    }

    /// The answers of this turn were ready by now. A place that was given back meanwhile, and
    /// taken again, was taken in this turn.
    pub(super) fn turn_ended(&mut self, now: Instant) {
        for place in self.of_this_turn.drain(..) {
            self.sends[place].first.ready = now;
        }
    }

    /// A send has ended, or never will: the answer that began first, and how many of the others
    /// were slow; `None` where not even that one was. Where the send itself took long, all were.
    pub(super) fn ended(
        &mut self,
        key: LeavingKey,
        now: Instant,
        threshold: Duration,
    ) -> Option<(Answered, u32)> {
        let Send { first, last_began, answers, slow } = &self.sends[key.place()];
        let is_slow = first.took(now) >= threshold;
        let all_are = now.saturating_duration_since(*last_began) >= threshold;
        let found = is_slow.then(|| (*first, if all_are { answers - 1 } else { *slow }));
        self.free.push(key);
        found
    }
}
