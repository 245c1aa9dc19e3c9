//! Who is here: how many connections each core has, and which of this core's have said nothing yet.

use std::sync::Arc;

use crate::connection::ConnectionId;
use crate::loads::Loads;
use crate::silence::Silent;
use crate::slots::Slots;

/// Told of every connection that comes, speaks first, or goes.
#[derive(Default)]
pub(crate) struct Census {
    silent: Silent,
    /// How many connections each core has, where there is a translator.
    loads: Option<Arc<Loads>>,
}

impl Census {
    /// Counts for all cores, with those that share `loads`.
    pub(crate) fn share(&mut self, loads: Arc<Loads>) {
        self.loads = Some(loads);
    }

    /// A connection has come to this core.
    pub(crate) fn came(&mut self, core: usize, id: ConnectionId, connections: &Slots) {
        if let Some(loads) = &self.loads {
            loads.add(core);
        }
        self.silent.tidy(connections);
        self.silent.add(id);
    }

    /// A connection has spoken that was silent.
    pub(crate) fn spoke(&mut self) {
        self.silent.left();
    }

    /// A connection has gone from this core.
    pub(crate) fn went(&mut self, core: usize, was_silent: bool) {
        if let Some(loads) = &self.loads {
            loads.take(core);
        }
        if was_silent {
            self.silent.left();
        }
    }

    /// How many have said nothing yet.
    pub(crate) fn silent(&self) -> usize {
        self.silent.count()
    }

    /// The one that has said nothing for longest.
    pub(crate) fn longest_silent(&mut self, connections: &Slots) -> Option<usize> {
        self.silent.oldest(connections)
    }

    /// The core that is to have the next connection: the one with the fewest. It is counted there
    /// at once, so that the next of a burst goes elsewhere. `None` where cores are not compared.
    pub(crate) fn place(&self, here: usize) -> Option<usize> {
        let loads = self.loads.as_ref()?;
        let to = loads.least(here);
        loads.add(to);
        Some(to)
    }

    /// A connection that was counted for a core by [`Census::place`] is about to come, and to be
    /// counted then; or it does not go there.
    pub(crate) fn unplace(&self, core: usize) {
        if let Some(loads) = &self.loads {
            loads.take(core);
        }
    }
}
