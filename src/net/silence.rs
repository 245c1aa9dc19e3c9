//! Connections that have said nothing yet. None is closed for that alone, as clients may connect
//! early and speak late; but only so many are kept, and the oldest gives its place to a new one.

use std::collections::VecDeque;

use sutra_runtime::Core;
use tracing::info;

use crate::connection::Connection;
use crate::net::{Envelope, Io};

/// Which connections of a core are silent, the oldest first.
#[derive(Default)]
pub(crate) struct Silent {
    /// Slot and serial; those that have spoken or gone since are passed over.
    order: VecDeque<(usize, u64)>,
    count: usize,
}

impl Silent {
    fn add(&mut self, index: usize, serial: u64) {
        self.order.push_back((index, serial));
        self.count += 1;
    }

    /// One of them has spoken, or has gone.
    pub(crate) fn left(&mut self) {
        self.count -= 1;
    }

    /// The oldest.
    fn oldest(&mut self, connections: &[Option<Connection>]) -> Option<usize> {
        while let Some((index, serial)) = self.order.pop_front() {
            if is_silent(connections, index, serial) {
                return Some(index);
            }
        }
        None
    }

    /// Forgets those that have spoken or gone, where they are most. Cost: a look at each, spread
    /// over as many arrivals.
    fn tidy(&mut self, connections: &[Option<Connection>]) {
        if self.order.len() > 64 + 2 * self.count {
            self.order.retain(|(index, serial)| is_silent(connections, *index, *serial));
        }
    }
}

fn is_silent(connections: &[Option<Connection>], index: usize, serial: u64) -> bool {
    let connection = connections.get(index).and_then(Option::as_ref);
    connection.is_some_and(|connection| connection.serial == serial && connection.is_silent)
}

impl Io {
    /// A connection has come, which has said nothing yet.
    pub(crate) fn note_silent(&mut self, index: usize, serial: u64) {
        self.silent.tidy(&self.connections);
        self.silent.add(index, serial);
    }

    /// It has spoken.
    pub(crate) fn note_spoken(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && std::mem::take(&mut connection.is_silent)
        {
            self.silent.left();
        }
    }

    /// Makes room for one more connection where that takes the place of a silent one.
    pub(crate) fn make_place<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        let is_full = self.counters.connections >= self.limits.max_connections as u64;
        if !is_full && self.silent.count < self.limits.max_silent {
            return;
        }
        let Some(index) = self.silent.oldest(&self.connections) else { return };
        self.counters.closed_silent += 1;
        if let (Some(connection), Some(left_out)) = (&self.connections[index], self.log_limit.admit(core.now())) {
            let (peer, kept) = (connection.peer, self.limits.max_silent);
            info!(%peer, kept, left_out, "a connection that had said nothing gave its place to a new one");
        }
        self.drop_connection(core, index);
    }
}
