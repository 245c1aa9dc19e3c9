//! The connections of a core that wait for the service to have room, so that each is tried again
//! when there may be some, and all get their turn.
//!
//! A connection that goes leaves its entry behind, which its serial shows to be void; void entries
//! are cleared away when they are most. So every step costs the same however many wait, and there
//! are never more than twice as many entries as connections that wait.

use std::collections::VecDeque;

use crate::connection::{Connection, Waiting};

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
}

impl WaitingList {
    /// Adds a connection, which has just been told to wait.
    pub(crate) fn push(&mut self, index: usize, serial: u64) {
        self.entries.push_back((index, serial));
    }

    /// A connection on the list does not wait any more.
    pub(crate) fn left(&mut self, connections: &[Option<Connection>]) {
        self.void += 1;
        if self.void * 2 > self.entries.len() {
            self.entries.retain(|entry| waits(connections, *entry));
            self.void = 0;
            self.untried = self.untried.min(self.entries.len());
        }
    }

    /// There may be room: all that wait now are to be tried.
    pub(crate) fn try_all(&mut self) {
        self.untried = self.entries.len();
        self.first = self.entries.front().copied();
    }

    /// Whether some are still to be tried.
    pub(crate) fn is_being_tried(&self) -> bool {
        self.untried > 0
    }

    /// Takes the next one to be tried off the list.
    pub(crate) fn next(&mut self, connections: &[Option<Connection>]) -> Option<usize> {
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
    pub(crate) fn get(&self, number: usize, connections: &[Option<Connection>]) -> Option<usize> {
        self.entries.get(number).filter(|entry| waits(connections, **entry)).map(|entry| entry.0)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn waits(connections: &[Option<Connection>], (index, serial): Entry) -> bool {
    let connection = connections.get(index).and_then(Option::as_ref);
    connection.is_some_and(|connection| connection.serial == serial && connection.waiting == Waiting::Service)
}
