//! What has happened lately: a ring of events, numbered so that the numbers rise over restarts.
//!
//! A number is the count of the master's starts and, below it, the event's own count. The starts
//! are counted in the log.

use std::collections::VecDeque;

use sutra_wire::grid::{EventKind, GridEvent};

use crate::registry::Happening;

/// Events that are kept for whoever watches: a thousand agents that come back after a restart, with
/// a few nodes each.
const KEPT: usize = 4096;
/// Bits of an event's own count. 53 bits, which JSON readers have, leave two million starts.
const COUNT_BITS: u32 = 32;

/// What has happened lately.
pub(crate) struct Events {
    ring: VecDeque<GridEvent>,
    /// The number of the last event, or of the one before the first.
    last: u64,
}

impl Events {
    /// For the master's start of this number.
    pub(crate) fn new(starts: u64) -> Self {
        Self { ring: VecDeque::new(), last: starts << COUNT_BITS }
    }

    pub(crate) fn happened(&mut self, event: Happening, wall: u64) {
        self.last += 1;
        if self.ring.len() == KEPT {
            self.ring.pop_front();
        }
        let Happening { kind, agent_id, node_id, name, detail } = event;
        tracing::info!(agent_id, node_id, name, detail, "{kind}");
        let kind = kind as u8;
        self.ring.push_back(GridEvent {
            number: self.last,
            at: wall,
            agent_id,
            node_id,
            name,
            detail,
            kind,
        });
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The number before that of the oldest event that is kept.
    fn before_first(&self) -> u64 {
        self.last - self.ring.len() as u64
    }

    /// The number before that of the oldest of the latest `count`.
    pub(crate) fn before_latest(&self, count: usize) -> u64 {
        self.last - self.ring.len().min(count) as u64
    }

    /// The event to tell to whoever has seen all up to `seen`; `None` where there is none yet.
    pub(crate) fn after(&self, seen: u64, wall: u64) -> Option<GridEvent> {
        let before_first = self.before_first();
        if seen < before_first {
            let detail =
                "these events are not kept any more; ask for the agents and nodes as they are"
                    .into();
            let kind = EventKind::Missed as u8;
            return Some(GridEvent {
                number: before_first,
                at: wall,
                detail,
                kind,
                ..GridEvent::default()
            });
        }
        let at = usize::try_from(seen - before_first).ok()?;
        self.ring.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(agent_id: &str) -> Happening {
        let (node_id, name, detail) = (String::new(), String::new(), String::new());
        Happening {
            kind: EventKind::AgentRegistered,
            agent_id: agent_id.into(),
            node_id,
            name,
            detail,
        }
    }

    #[test]
    fn events_come_once_each_and_in_order() {
        let mut events = Events::new(3);
        let start = events.last();
        assert_eq!(events.after(start, 0), None);
        events.happened(event("a"), 5);
        events.happened(event("b"), 6);
        let first = events.after(start, 0).unwrap();
        assert_eq!((first.agent_id.as_str(), first.at), ("a", 5));
        let second = events.after(first.number, 0).unwrap();
        assert_eq!((second.agent_id.as_str(), second.number), ("b", first.number + 1));
        assert_eq!(events.after(second.number, 0), None);
        assert!(Events::new(4).last() > second.number);
    }

    #[test]
    fn what_is_not_kept_is_said_to_be_missing() {
        let mut events = Events::new(1);
        let start = events.last();
        for _ in 0..KEPT + 10 {
            events.happened(event("a"), 0);
        }
        let missed = events.after(start, 7).unwrap();
        assert_eq!((missed.kind, missed.number), (EventKind::Missed as u8, start + 10));
        assert_eq!(events.after(missed.number, 0).unwrap().number, start + 11);
        // Whoever has seen an earlier start's events is told too.
        assert_eq!(Events::new(2).after(missed.number, 0).unwrap().kind, EventKind::Missed as u8);
    }
}
