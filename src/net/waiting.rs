//! The connections of a core that wait for the service to have room, so that each is tried again
//! when there may be some, and all get their turn.
//!
//! A connection that goes leaves its entry behind, which its serial shows to be void; void entries
//! are cleared away when they are most. So every step costs the same however many wait, and there
//! are never more than twice as many entries as connections that wait.

use std::collections::VecDeque;

use crate::connection::Waiting;
use crate::connections::Connections;

/// A connection's place, and its serial.
type Entry = (usize, u64);

#[derive(Default)]
pub(crate) struct WaitingList {
    /// Those to be tried first in front; each that waits is there once.
    entries: VecDeque<Entry>,
    void: usize,
    /// How many are still to be tried, since the service last had room.
    untried: usize,
    /// Who was in front then.
    first: Option<Entry>,
    /// Whether the service has room again.
    has_room: bool,
    /// Connections that wait for nothing any more ([`Waiting::Again`]).
    roomy: Vec<usize>,
}

impl WaitingList {
    /// Adds a connection, which has just been told to wait.
    pub(crate) fn push(&mut self, index: usize, serial: u64) {
        self.entries.push_back((index, serial));
    }

    /// A connection on the list does not wait any more.
    pub(crate) fn left(&mut self, connections: &Connections) {
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

    /// How many wait for nothing any more.
    pub(crate) fn roomier(&self) -> usize {
        self.roomy.len()
    }

    /// The one of these at this place.
    pub(crate) fn roomy(&self, at: usize) -> usize {
        self.roomy[at]
    }

    /// So many of these were tried. Where the service has room, all that wait for it now are next.
    pub(crate) fn tried(&mut self, roomier: usize) {
        self.roomy.drain(..roomier);
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
    pub(crate) fn next(&mut self, connections: &Connections) -> Option<usize> {
        while self.untried > 0 {
            self.untried -= 1;
            let entry = self.entries.pop_front()?;
            if waits(connections, entry) {
                return Some(entry.0);
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

    /// The places on the list, those of void entries included, by number.
    pub(crate) fn get(&self, number: usize, connections: &Connections) -> Option<usize> {
        self.entries.get(number).filter(|entry| waits(connections, **entry)).map(|entry| entry.0)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn waits(connections: &Connections, (index, serial): Entry) -> bool {
    connections.live(index, serial).is_some_and(|connection| connection.waiting == Waiting::Service)
}
