//! The requests of a connection that wait for their replies, found by their number.
//!
//! A request's number is its slot and the slot's generation, so a number is not used twice within
//! 2^32 uses of a slot. A request that nobody waits for any more keeps its slot until its reply has
//! come. The server still counts it, and a late reply finds its own slot and no other's. No
//! allocation once the slots exist.

use std::task::{Poll, Waker};

use sutra_wire::{Header, SharedBytes};

use crate::ClientError;

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) header: Header,
    pub(crate) payload: Option<SharedBytes>,
}

/// How a request ended.
pub(crate) type Outcome = Result<Reply, ClientError>;

enum State {
    Free,
    Waiting(Option<Waker>),
    Abandoned,
    Done(Outcome),
}

struct Slot {
    generation: u32,
    opcode: u8,
    state: State,
}

/// What a reply's number turned out to be.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Somebody waits for it; wake them, if they sleep.
    Delivered(Option<Waker>),
    /// Nobody waits for it any more. Its slot is free.
    Late,
    /// No request has this number, or it was another kind of request.
    Unknown,
}

#[derive(Default)]
pub(crate) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Requests that were sent and not answered, abandoned ones among them.
    unanswered: usize,
}

impl InFlight {
    /// Takes a slot and returns the request's number, which is never 0. The caller bounds how many
    /// there are.
    pub(crate) fn insert(&mut self, opcode: u8) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, opcode, state: State::Free });
            u32::try_from(self.slots.len() - 1)
                .expect("requests in flight are bounded far below 2^32")
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1).max(1);
        entry.opcode = opcode;
        entry.state = State::Waiting(None);
        self.unanswered += 1;
        u64::from(entry.generation) << 32 | u64::from(slot)
    }

    fn slot(&mut self, request: u64) -> Option<&mut Slot> {
        let (slot, generation) = (request as u32, (request >> 32) as u32);
        self.slots.get_mut(slot as usize).filter(|entry| entry.generation == generation)
    }

    fn release(&mut self, request: u64) {
        self.free.push(request as u32);
    }

    /// Gives a reply to the request that it belongs to.
    pub(crate) fn complete(&mut self, reply: Reply) -> Completion {
        let request = reply.header.request;
        let Some(slot) = self.slot(request).filter(|slot| slot.opcode == reply.header.opcode)
        else {
            return Completion::Unknown;
        };
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting(waker) => {
                slot.state = State::Done(Ok(reply));
                self.unanswered -= 1;
                Completion::Delivered(waker)
            }
            State::Abandoned => {
                self.unanswered -= 1;
                self.release(request);
                Completion::Late
            }
            other => {
                slot.state = other;
                Completion::Unknown
            }
        }
    }

    /// The outcome, once it is there; takes it, and the request's number is no longer valid. Until
    /// then `waker`, where one is given, is woken when it comes.
    pub(crate) fn poll(&mut self, request: u64, waker: Option<&Waker>) -> Poll<Outcome> {
        let slot =
            self.slot(request).expect("a request is polled by its owner only, until it is ready");
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Done(outcome) => {
                self.release(request);
                Poll::Ready(outcome)
            }
            State::Waiting(last) => {
                slot.state = State::Waiting(match (last, waker) {
                    (Some(last), Some(new)) if last.will_wake(new) => Some(last),
                    (last, new) => new.cloned().or(last),
                });
                Poll::Pending
            }
            State::Free | State::Abandoned => {
                unreachable!("the slot is its owner's until the outcome is taken")
            }
        }
    }

    /// Takes back a request that was not sent.
    pub(crate) fn withdraw(&mut self, request: u64) {
        if let Some(slot) = self.slot(request) {
            slot.state = State::Free;
            self.unanswered -= 1;
            self.release(request);
        }
    }

    /// Nobody waits for this request any more.
    pub(crate) fn abandon(&mut self, request: u64) {
        let Some(slot) = self.slot(request) else { return };
        match slot.state {
            State::Waiting(_) => slot.state = State::Abandoned,
            State::Done(_) => {
                slot.state = State::Free;
                self.release(request);
            }
            State::Free | State::Abandoned => {}
        }
    }

    /// Ends every request that waits with this error and collects who is to be woken.
    pub(crate) fn fail(&mut self, error: &ClientError, wakers: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            if let State::Waiting(waker) = &mut slot.state {
                wakers.extend(waker.take());
                slot.state = State::Done(Err(error.clone()));
            }
        }
        self.unanswered = 0;
    }

    /// Requests that were sent and not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(request: u64, opcode: u8) -> Reply {
        Reply { header: Header { request, opcode, ..Header::default() }, payload: None }
    }

    fn answered(in_flight: &mut InFlight, request: u64) -> Option<u64> {
        match in_flight.poll(request, Some(Waker::noop())) {
            Poll::Ready(outcome) => outcome.ok().map(|reply| reply.header.request),
            Poll::Pending => None,
        }
    }

    #[test]
    fn replies_in_any_order_reach_their_own_requests() {
        let mut in_flight = InFlight::default();
        let requests = [in_flight.insert(1), in_flight.insert(2), in_flight.insert(1)];
        for (at, opcode) in [(2, 1), (0, 1), (1, 2)] {
            assert!(matches!(
                in_flight.complete(reply(requests[at], opcode)),
                Completion::Delivered(None)
            ));
        }
        for request in requests {
            assert_eq!(answered(&mut in_flight, request), Some(request));
        }
        assert_eq!(in_flight.unanswered(), 0);
    }

    #[test]
    fn a_late_reply_is_never_taken_for_anothers() {
        let mut in_flight = InFlight::default();
        let first = in_flight.insert(1);
        in_flight.abandon(first);
        let second = in_flight.insert(1);
        assert_ne!(first as u32, second as u32, "the slot is taken until the late reply has come");
        assert!(matches!(in_flight.complete(reply(first, 1)), Completion::Late));
        let third = in_flight.insert(1);
        assert_eq!(first as u32, third as u32);
        assert!(
            matches!(in_flight.complete(reply(first, 1)), Completion::Unknown),
            "nor is it taken twice"
        );
        assert_eq!(
            [answered(&mut in_flight, second), answered(&mut in_flight, third)],
            [None, None]
        );
        assert_eq!(in_flight.unanswered(), 2);
    }

    #[test]
    fn numbers_that_were_never_given_and_other_kinds_of_replies_are_unknown() {
        let mut in_flight = InFlight::default();
        let request = in_flight.insert(1);
        for stranger in [reply(0, 1), reply(request + 1, 1), reply(u64::MAX, 1), reply(request, 2)]
        {
            assert!(matches!(in_flight.complete(stranger), Completion::Unknown));
        }
        assert!(matches!(in_flight.complete(reply(request, 1)), Completion::Delivered(_)));
        assert!(
            matches!(in_flight.complete(reply(request, 1)), Completion::Unknown),
            "a second answer"
        );
    }

    #[test]
    fn a_lost_connection_ends_every_request_with_its_reason() {
        let mut in_flight = InFlight::default();
        let waiting = in_flight.insert(1);
        let asleep = in_flight.insert(1);
        assert_eq!(answered(&mut in_flight, asleep), None);
        let mut wakers = Vec::new();
        in_flight.fail(&ClientError::closed("server", "reset"), &mut wakers);
        assert_eq!(wakers.len(), 1);
        for request in [waiting, asleep] {
            let outcome = in_flight.poll(request, None);
            assert!(matches!(outcome, Poll::Ready(Err(ClientError::Closed { .. }))));
        }
    }

    #[test]
    fn an_answer_that_nobody_took_frees_its_slot() {
        let mut in_flight = InFlight::default();
        let request = in_flight.insert(1);
        in_flight.complete(reply(request, 1));
        in_flight.abandon(request);
        assert_eq!(in_flight.insert(1) as u32, request as u32);
    }
}
