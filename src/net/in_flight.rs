//! The requests of a core that are not answered yet, so that a reply finds its connection, a
//! deadline its request, and what comes too late nothing.
//!
//! Cost: a slot taken and given back a request; no allocation once the slots exist. Deadlines are
//! found by a sweep when the earliest of them has come, not kept in order: almost every request is
//! answered long before. A connection that goes leaves its requests here until the service answers
//! them, since the service can't take them back either; so closing costs nothing for them.

use std::time::{Duration, Instant};

use sutra_wire::{CHECKSUM, Header, Status};

use crate::connection::ConnectionId;
use crate::exchange::TranslatedRequest;
use crate::translator::Manner;

/// Sweeps are at least this far apart, which is as exact as timers are. For every slot that a sweep
/// looks at, the next one is later by `SWEEP_EACH`: a hundred times what the look takes. So clients
/// that choose their deadlines to differ can't have a core do nothing else.
const SWEEP: Duration = Duration::from_millis(1);
const SWEEP_EACH: Duration = Duration::from_micros(1);

/// Names one unanswered request on its core. Stale names (answered, timed out, connection gone) are
/// ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    slot: u32,
    generation: u32,
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its first bytes were looked at.
    pub(crate) began: Instant,
    /// When its last bytes had arrived, or those that came after it.
    pub(crate) arrived: Instant,
    /// When it was offered to the service.
    pub(crate) offered: Instant,
    /// Its length, as it came.
    pub(crate) bytes: usize,
}

/// A request that waits for its answer: where that goes, and what its header repeats. And what is
/// told of it should it take long, as small as may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered {
    connection: ConnectionId,
    request: u64,
    opcode: u8,
    flags: u8,
    /// Of a request in another protocol.
    manner: Manner,
    arrived: Instant,
    deadline: Option<Instant>,
    bytes: u32,
    /// In µs: from its first bytes until it had arrived, and from then until it was offered.
    receive: u32,
    wait: u32,
    /// The id of what it is about, where the service has named it.
    subject: Option<[u8; 16]>,
    /// Since when its write has been in the log.
    logged: Option<Instant>,
}

impl Unanswered {
    /// One with this header, or that another protocol's message became.
    pub(crate) fn new(
        connection: ConnectionId,
        header: &Header,
        manner: Manner,
        arrival: &Arrival,
        deadline: Option<Instant>,
    ) -> Self {
        let Header { request, opcode, flags, .. } = *header;
        let Arrival { began, arrived, offered, bytes } = *arrival;
        Self {
            connection,
            request,
            opcode,
            flags: flags & CHECKSUM,
            manner,
            arrived,
            deadline,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            receive: micros(began, arrived),
            wait: micros(arrived, offered),
            subject: None,
            logged: None,
        }
    }

    /// Whose it is.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// What it asks, where it came in another protocol.
    pub(crate) fn asked(&self) -> TranslatedRequest {
        TranslatedRequest::new(self.request, self.opcode, self.manner)
    }

    /// Its operation's number.
    pub(crate) fn opcode(&self) -> u8 {
        self.opcode
    }

    /// When its last bytes had arrived, or those that came after it.
    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// When its first bytes were looked at.
    pub(crate) fn began(&self) -> Instant {
        if self.receive == 0 { self.arrived } else { self.arrived - time(self.receive) }
    }

    /// Its length, as it came.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// The id of what it is about.
    pub(crate) fn subject(&self) -> Option<[u8; 16]> {
        self.subject
    }

    /// From its first bytes until it had arrived.
    pub(crate) fn receive(&self) -> Duration {
        time(self.receive)
    }

    /// From then until it was offered to the service that took it.
    pub(crate) fn wait(&self) -> Duration {
        time(self.wait)
    }

    /// Since when its write has been in the log.
    pub(crate) fn logged(&self) -> Option<Instant> {
        self.logged
    }

    /// Until when it is to be answered.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The header of its answer, or with [`sutra_wire::MORE`] of a part of that.
    pub(crate) fn reply_header(&self, status: Status, more: u8, sequence: u64) -> Header {
        Header {
            opcode: self.opcode,
            status: status as u8,
            flags: self.flags | more,
            request: self.request,
            extra: sequence,
            ..Header::default()
        }
    }
}

fn micros(from: Instant, to: Instant) -> u32 {
    // Almost always both are the time of one turn.
    if from == to {
        return 0;
    }
    u32::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u32::MAX)
}

fn time(micros: u32) -> Duration {
    Duration::from_micros(u64::from(micros))
}

struct Slot {
    generation: u32,
    request: Option<Unanswered>,
}

#[derive(Default)]
pub(crate) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// No deadline that was noted is earlier than this; `None` where none was.
    earliest: Option<Instant>,
    swept: Option<Instant>,
    /// Empty, kept for its memory.
    spare: Vec<ReplyTo>,
}

impl InFlight {
    pub(crate) fn insert(&mut self, request: Unanswered) -> ReplyTo {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, request: None });
            u32::try_from(self.slots.len() - 1)
                .expect("2^32 slots would take more memory than there is")
        });
        let entry = &mut self.slots[slot as usize];
        entry.request = Some(request);
        ReplyTo { slot, generation: entry.generation }
    }

    /// Takes the request out: it is being answered, or offered again later.
    pub(crate) fn remove(&mut self, to: ReplyTo) -> Option<Unanswered> {
        let entry = self
            .slots
            .get_mut(to.slot as usize)
            .filter(|entry| entry.generation == to.generation)?;
        let request = entry.request.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(to.slot);
        Some(request)
    }

    /// The request, where it is not answered yet.
    pub(crate) fn get(&self, to: ReplyTo) -> Option<&Unanswered> {
        self.slots
            .get(to.slot as usize)
            .filter(|slot| slot.generation == to.generation)?
            .request
            .as_ref()
    }

    /// Names what the request is about.
    pub(crate) fn about(&mut self, to: ReplyTo, subject: [u8; 16]) {
        if let Some(request) = self.get_mut(to) {
            request.subject = Some(subject);
        }
    }

    /// The request's write has been in the log since then.
    pub(crate) fn logged(&mut self, to: ReplyTo, since: Instant) {
        if let Some(request) = self.get_mut(to) {
            request.logged = Some(since);
        }
    }

    fn get_mut(&mut self, to: ReplyTo) -> Option<&mut Unanswered> {
        let slot = self.slots.get_mut(to.slot as usize);
        slot.filter(|slot| slot.generation == to.generation)?.request.as_mut()
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

    /// The requests whose deadline has passed; they stay until removed. The list is to be given
    /// back, empty, to [`InFlight::swept`]. Cost: a look at every slot.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<ReplyTo> {
        self.swept = Some(now);
        let mut expired = std::mem::take(&mut self.spare);
        let mut earliest: Option<Instant> = None;
        for (slot, entry) in (0..).zip(&self.slots) {
            match entry.request.as_ref().and_then(|request| request.deadline) {
                Some(deadline) if deadline <= now => {
                    expired.push(ReplyTo { slot, generation: entry.generation });
                }
                Some(deadline) => {
                    earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
                }
                None => {}
            }
        }
        self.earliest = earliest;
        expired
    }

    /// Those that a sweep found were answered.
    pub(crate) fn swept(&mut self, expired: Vec<ReplyTo>) {
        debug_assert!(expired.is_empty(), "all of them were answered");
        self.spare = expired;
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: u64, deadline: Option<Instant>) -> Unanswered {
        let header = Header { request, ..Header::default() };
        let (connection, now) = (ConnectionId::new(1, 1), Instant::now());
        let arrival = Arrival { began: now, arrived: now, offered: now, bytes: 0 };
        Unanswered::new(connection, &header, Manner::default(), &arrival, deadline)
    }

    #[test]
    fn an_answered_request_can_not_be_answered_again() {
        let mut in_flight = InFlight::default();
        let first = in_flight.insert(asked(1, None));
        assert!(in_flight.contains(first));
        assert_eq!(in_flight.remove(first).map(|asked| asked.request), Some(1));
        let second = in_flight.insert(asked(2, None));
        assert_eq!(first.slot, second.slot);
        assert!(!in_flight.contains(first));
        assert!(in_flight.remove(first).is_none());
        assert_eq!(in_flight.remove(second).map(|asked| asked.request), Some(2));
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn only_requests_past_their_deadline_expire_and_the_next_deadline_is_known() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let soon = in_flight.insert(asked(1, Some(after(1))));
        in_flight.insert(asked(2, Some(after(9))));
        in_flight.note_deadline(after(9));
        in_flight.note_deadline(after(1));
        assert_eq!(in_flight.next_sweep(0), Some(after(1)));
        assert_eq!(in_flight.sweep(after(2)), [soon]);
        assert_eq!(in_flight.next_sweep(0), Some(after(9)));
    }

    #[test]
    fn deadlines_that_follow_each_other_closely_share_a_sweep() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        in_flight.note_deadline(now);
        assert!(in_flight.sweep(now).is_empty());
        assert_eq!(in_flight.next_sweep(0), None);
        in_flight.note_deadline(now + Duration::from_micros(1));
        assert_eq!(in_flight.next_sweep(0), Some(now + SWEEP));
        assert_eq!(in_flight.next_sweep(1_000_000), Some(now + SWEEP + Duration::from_secs(1)));
    }
}
