//! The connections of a core that wait until the service has room. When there may be some, each is
//! tried again, and all get their turn.
//!
//! A connection that goes leaves its entry behind, which its serial shows to be void; void entries
//! are cleared away when they are most. So every step costs the same however many wait, and there
//! are never more than twice as many entries as connections that wait.

use std::collections::VecDeque;

use crate::connection::{ConnectionId, Waiting};
use crate::slots::Slots;

#[derive(Default)]
pub(crate) struct WaitingList {
    /// Those to be tried first in front; each that waits is there once.
    entries: VecDeque<ConnectionId>,
    void: usize,
    /// How many are still to be tried, since the service last had room.
    untried: usize,
    /// Who was in front then.
    first: Option<ConnectionId>,
    /// Whether the service has room again.
    has_room: bool,
    /// Connections that wait for nothing any more ([`Waiting::Again`]).
    roomy: Vec<usize>,
    /// Empty, kept for its memory.
    spare: Vec<usize>,
}

impl WaitingList {
    /// Adds a connection, which has just been told to wait.
    pub(crate) fn push(&mut self, id: ConnectionId) {
        self.entries.push_back(id);
    }

    /// A connection on the list does not wait any more.
    pub(crate) fn left(&mut self, connections: &Slots) {
        self.void += 1;
        if self.void * 2 > self.entries.len() {
            self.entries.retain(|entry| waits(connections, *entry));
            self.void = 0;
            self.untried = self.untried.min(self.entries.len());
        }
    }

    /// The service may have room: all that wait are to be tried at the end of the turn.
    pub(crate) fn resume(&mut self) {
        self.has_room = true;
    }

    /// A connection waits for nothing any more: it is to be tried at the end of the turn.
    pub(crate) fn again(&mut self, index: usize) {
        self.roomy.push(index);
    }

    /// Those that wait for nothing any more; to be given back to [`WaitingList::tried`].
    pub(crate) fn take_roomy(&mut self) -> Vec<usize> {
        std::mem::replace(&mut self.roomy, std::mem::take(&mut self.spare))
    }

    /// These were tried. Where the service has room, all that wait for it now are next.
    pub(crate) fn tried(&mut self, mut roomy: Vec<usize>) {
        roomy.clear();
        self.spare = roomy;
        if std::mem::take(&mut self.has_room) {
            self.untried = self.entries.len();
            self.first = self.entries.front().copied();
        }
    }

    /// Whether some are still to be tried.
    pub(crate) fn is_to_be_tried(&self) -> bool {
        self.has_room || !self.roomy.is_empty() || self.untried > 0
    }

    /// Takes the next one to be tried off the list.
    pub(crate) fn next(&mut self, connections: &Slots) -> Option<usize> {
        while self.untried > 0 {
            self.untried -= 1;
            let entry = self.entries.pop_front()?;
            if waits(connections, entry) {
                return Some(entry.index());
            }
            self.void = self.void.saturating_sub(1);
        }
        // All were tried. Who was first and is first again was served first: somebody else's turn.
        if let Some(first) = self.first.take()
            && self.entries.front() == Some(&first)
        {
            self.entries.rotate_left(1);
        }
        None
    }

    /// The connection of an entry by its number; `None` for void entries.
    pub(crate) fn get(&self, number: usize, connections: &Slots) -> Option<usize> {
        self.entries
            .get(number)
            .filter(|entry| waits(connections, **entry))
            .map(|entry| entry.index())
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn waits(connections: &Slots, id: ConnectionId) -> bool {
    connections.live(id).is_some_and(|connection| connection.waiting() == Waiting::Service)
}
