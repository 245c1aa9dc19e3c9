//! The requests of a core that are not answered yet, so that a reply finds its connection, a deadline its request, and what comes
//! too late nothing.
//!
//! Cost: a slot taken and given back a request; no allocation once the slots exist. Deadlines are found by a sweep when the earliest
//! of them has come, not kept in order: almost every request is answered long before.

use std::time::Instant;

use crate::service::ReplyTo;

/// Where a reply goes and what its header repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) connection: usize,
    pub(crate) serial: u64,
    pub(crate) request: u64,
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    pub(crate) deadline: Option<Instant>,
}

struct Slot {
    generation: u32,
    pending: Option<Pending>,
}

#[derive(Default)]
pub(crate) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// No deadline is earlier than this; `None` where none is set.
    earliest: Option<Instant>,
}

impl InFlight {
    pub(crate) fn insert(&mut self, pending: Pending) -> ReplyTo {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, pending: None });
            u32::try_from(self.slots.len() - 1).expect("connections × in-flight bound stays below 2^32")
        });
        let entry = &mut self.slots[slot as usize];
        entry.pending = Some(pending);
        ReplyTo { slot, generation: entry.generation }
    }

    /// Takes the request out: it is being answered, or given up.
    pub(crate) fn remove(&mut self, to: ReplyTo) -> Option<Pending> {
        let entry = self.slots.get_mut(to.slot as usize).filter(|entry| entry.generation == to.generation)?;
        let pending = entry.pending.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(to.slot);
        Some(pending)
    }

    /// Notes the deadline of a request that was not answered at once.
    pub(crate) fn watch(&mut self, to: ReplyTo) {
        let entry = self.slots.get(to.slot as usize).filter(|entry| entry.generation == to.generation);
        if let Some(deadline) = entry.and_then(|entry| entry.pending.as_ref()?.deadline) {
            self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
    }

    /// When [`InFlight::expired`] has something to look for.
    pub(crate) fn earliest_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Collects the requests whose deadline has passed into `expired`; they stay until removed.
    pub(crate) fn expired(&mut self, now: Instant, expired: &mut Vec<ReplyTo>) {
        self.earliest = None;
        for (slot, entry) in self.slots.iter().enumerate() {
            match entry.pending.as_ref().and_then(|pending| pending.deadline) {
                Some(deadline) if deadline <= now => {
                    expired.push(ReplyTo { slot: slot as u32, generation: entry.generation });
                }
                Some(deadline) => {
                    self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
                }
                None => {}
            }
        }
    }

    /// Gives up every request of a connection that is gone.
    pub(crate) fn forget(&mut self, connection: usize, serial: u64) {
        for slot in 0..self.slots.len() {
            let entry = &self.slots[slot];
            if entry.pending.is_some_and(|pending| pending.connection == connection && pending.serial == serial) {
                self.remove(ReplyTo { slot: slot as u32, generation: self.slots[slot].generation });
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pending(request: u64, deadline: Option<Instant>) -> Pending {
        Pending { connection: 1, serial: 1, request, opcode: 0, flags: 0, deadline }
    }

    #[test]
    fn an_answered_request_can_not_be_answered_again() {
        let mut in_flight = InFlight::default();
        let first = in_flight.insert(pending(1, None));
        assert_eq!(in_flight.remove(first).map(|pending| pending.request), Some(1));
        let second = in_flight.insert(pending(2, None));
        assert!(in_flight.remove(first).is_none());
        assert_eq!(in_flight.remove(second).map(|pending| pending.request), Some(2));
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn only_requests_past_their_deadline_expire_and_the_next_deadline_is_known() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        let soon = in_flight.insert(pending(1, Some(now + Duration::from_secs(1))));
        let late = in_flight.insert(pending(2, Some(now + Duration::from_secs(9))));
        in_flight.watch(late);
        in_flight.watch(soon);
        assert_eq!(in_flight.earliest_deadline(), Some(now + Duration::from_secs(1)));
        let mut expired = Vec::new();
        in_flight.expired(now + Duration::from_secs(2), &mut expired);
        assert_eq!(expired, [soon]);
        assert_eq!(in_flight.earliest_deadline(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn the_requests_of_a_closed_connection_are_given_up() {
        let mut in_flight = InFlight::default();
        let gone = in_flight.insert(pending(1, None));
        let other = in_flight.insert(Pending { connection: 2, ..pending(2, None) });
        in_flight.forget(1, 1);
        assert!(in_flight.remove(gone).is_none());
        assert!(in_flight.remove(other).is_some());
    }
}
