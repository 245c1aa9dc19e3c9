//! Connections that have said nothing yet. None is closed for that alone, as clients may connect
//! early and speak late. But only so many are kept: the oldest is closed for a new one.

use std::collections::VecDeque;

use crate::connection::{Connection, ConnectionId};
use crate::slots::Slots;

/// Which connections of a core are silent, the oldest first.
#[derive(Default)]
pub(crate) struct Silent {
    /// Those that have spoken or gone since are passed over.
    order: VecDeque<ConnectionId>,
    count: usize,
}

impl Silent {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn add(&mut self, id: ConnectionId) {
        self.order.push_back(id);
        self.count += 1;
    }

    /// One of them has spoken, or has gone.
    pub(crate) fn left(&mut self) {
        self.count -= 1;
    }

    /// The oldest.
    pub(crate) fn oldest(&mut self, connections: &Slots) -> Option<usize> {
        while let Some(id) = self.order.pop_front() {
            if is_silent(connections, id) {
                return Some(id.index());
            }
        }
        None
    }

    /// Forgets those that have spoken or gone, where they are most. Cost: a look at each, spread
    /// over as many arrivals.
    pub(crate) fn tidy(&mut self, connections: &Slots) {
        if self.order.len() > 64 + 2 * self.count {
            self.order.retain(|id| is_silent(connections, *id));
        }
    }
}

fn is_silent(connections: &Slots, id: ConnectionId) -> bool {
    connections.live(id).is_some_and(Connection::is_silent)
}
