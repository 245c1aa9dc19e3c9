//! The requests of a core that are not answered yet, so that a reply finds its connection, a
//! deadline its request, and what comes too late nothing.
//!
//! Cost: a slot taken and given back a request; no allocation once the slots exist. Deadlines are
//! found by a sweep when the earliest of them has come, not kept in order: almost every request is
//! answered long before. A connection that goes leaves its requests here until the service answers
//! them, since the service can't take them back either; so closing costs nothing for them.

use std::time::{Duration, Instant};

use crate::service::ReplyTo;
use crate::translator::Manner;

/// Sweeps are at least so far apart, which is as exact as timers are; and so much farther for
/// everything that they look at, which takes some hundredth of that. So clients that choose their
/// deadlines to differ can't have a core do nothing else.
const SWEEP: Duration = Duration::from_millis(1);
const SWEEP_EACH: Duration = Duration::from_micros(1);

/// Where a reply goes and what its header repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) connection: usize,
    pub(crate) serial: u64,
    pub(crate) request: u64,
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    /// Of a request in another protocol.
    pub(crate) manner: Manner,
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
    /// No deadline that was noted is earlier than this; `None` where none was.
    earliest: Option<Instant>,
    swept: Option<Instant>,
}

impl InFlight {
    pub(crate) fn insert(&mut self, pending: Pending) -> ReplyTo {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, pending: None });
            u32::try_from(self.slots.len() - 1).expect("2^32 slots would take more memory than there is")
        });
        let entry = &mut self.slots[slot as usize];
        entry.pending = Some(pending);
        ReplyTo { slot, generation: entry.generation }
    }

    /// Takes the request out: it is being answered, or offered again later.
    pub(crate) fn remove(&mut self, to: ReplyTo) -> Option<Pending> {
        let entry = self.slots.get_mut(to.slot as usize).filter(|entry| entry.generation == to.generation)?;
        let pending = entry.pending.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(to.slot);
        Some(pending)
    }

    /// The request, where it is not answered yet.
    pub(crate) fn get(&self, to: ReplyTo) -> Option<&Pending> {
        self.slots.get(to.slot as usize).filter(|slot| slot.generation == to.generation)?.pending.as_ref()
    }

    /// Whether the request is not answered yet.
    pub(crate) fn contains(&self, to: ReplyTo) -> bool {
        self.get(to).is_some()
    }

    /// Has a sweep made when this deadline has come.
    pub(crate) fn note_deadline(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// When [`InFlight::sweep`] is to be called, with so many others to be looked at then.
    pub(crate) fn next_sweep(&self, others: usize) -> Option<Instant> {
        let earliest = self.earliest?;
        let looks = u32::try_from(self.slots.len() + others).unwrap_or(u32::MAX);
        Some(self.swept.map_or(earliest, |swept| earliest.max(swept + SWEEP + SWEEP_EACH * looks)))
    }

    /// Collects the requests whose deadline has passed into `expired`; they stay until removed.
    /// Cost: a look at every slot.
    pub(crate) fn sweep(&mut self, now: Instant, expired: &mut Vec<ReplyTo>) {
        self.swept = Some(now);
        let mut earliest: Option<Instant> = None;
        for (slot, entry) in (0..).zip(&self.slots) {
            match entry.pending.as_ref().and_then(|pending| pending.deadline) {
                Some(deadline) if deadline <= now => expired.push(ReplyTo { slot, generation: entry.generation }),
                Some(deadline) => earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline))),
                None => {}
            }
        }
        self.earliest = earliest;
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(request: u64, deadline: Option<Instant>) -> Pending {
        Pending { connection: 1, serial: 1, request, opcode: 0, flags: 0, manner: Manner::default(), deadline }
    }

    #[test]
    fn an_answered_request_can_not_be_answered_again() {
        let mut in_flight = InFlight::default();
        let first = in_flight.insert(pending(1, None));
        assert!(in_flight.contains(first));
        assert_eq!(in_flight.remove(first).map(|pending| pending.request), Some(1));
        let second = in_flight.insert(pending(2, None));
        assert_eq!(first.slot, second.slot);
        assert!(!in_flight.contains(first));
        assert!(in_flight.remove(first).is_none());
        assert_eq!(in_flight.remove(second).map(|pending| pending.request), Some(2));
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn only_requests_past_their_deadline_expire_and_the_next_deadline_is_known() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let soon = in_flight.insert(pending(1, Some(after(1))));
        in_flight.insert(pending(2, Some(after(9))));
        in_flight.note_deadline(after(9));
        in_flight.note_deadline(after(1));
        assert_eq!(in_flight.next_sweep(0), Some(after(1)));
        let mut expired = Vec::new();
        in_flight.sweep(after(2), &mut expired);
        assert_eq!(expired, [soon]);
        assert_eq!(in_flight.next_sweep(0), Some(after(9)));
    }

    #[test]
    fn deadlines_that_follow_each_other_closely_share_a_sweep() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        in_flight.note_deadline(now);
        in_flight.sweep(now, &mut Vec::new());
        assert_eq!(in_flight.next_sweep(0), None);
        in_flight.note_deadline(now + Duration::from_micros(1));
        assert_eq!(in_flight.next_sweep(0), Some(now + SWEEP));
        assert_eq!(in_flight.next_sweep(1_000_000), Some(now + SWEEP + Duration::from_secs(1)));
    }
}
