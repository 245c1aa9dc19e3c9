//! Connections that have said nothing yet. None is closed for that alone, as clients may connect
//! early and speak late; but only so many are kept, and the oldest gives its place to a new one.

use std::collections::VecDeque;

use crate::connections::Connections;

/// Which connections of a core are silent, the oldest first.
#[derive(Default)]
pub(crate) struct Silent {
    /// Slot and serial; those that have spoken or gone since are passed over.
    order: VecDeque<(usize, u64)>,
    pub(crate) count: usize,
}

impl Silent {
    pub(crate) fn add(&mut self, index: usize, serial: u64) {
        self.order.push_back((index, serial));
        self.count += 1;
    }

    /// One of them has spoken, or has gone.
    pub(crate) fn left(&mut self) {
        self.count -= 1;
    }

    /// The oldest.
    pub(crate) fn oldest(&mut self, connections: &Connections) -> Option<usize> {
        while let Some((index, serial)) = self.order.pop_front() {
            if is_silent(connections, index, serial) {
                return Some(index);
            }
        }
        None
    }

    /// Forgets those that have spoken or gone, where they are most. Cost: a look at each, spread
    /// over as many arrivals.
    pub(crate) fn tidy(&mut self, connections: &Connections) {
        if self.order.len() > 64 + 2 * self.count {
            self.order.retain(|(index, serial)| is_silent(connections, *index, *serial));
        }
    }
}

fn is_silent(connections: &Connections, index: usize, serial: u64) -> bool {
    connections.live(index, serial).is_some_and(|connection| connection.is_silent)
}
