//! What a server asks of its cores that passes its connections on to another process, and what they
//! give.

use std::sync::mpsc::Sender;

use sutra_runtime::{Listener, ListenerId};

use crate::passed::Passed;

/// What a core says when it was asked to hold requests: its number when none is under way any more,
/// or why its connections can't be passed on now.
pub type Held = Result<usize, String>;

/// A step on the way. Each is ignored where the one before was not taken, or the core drains.
pub enum Step {
    /// Begin no request, and tell when none is under way.
    Hold(Sender<Held>),
    /// Go on as before.
    GoOn,
    /// Give up listeners and connections.
    Part(Sender<Parted>),
}

/// What a core gives up.
pub enum Parted {
    /// This core begins to.
    Begun(usize),
    /// A listener; what waits in its backlog stays there.
    Listener {
        /// Of this core.
        core: usize,
        /// Its number.
        id: ListenerId,
        /// The listener.
        listener: Listener,
    },
    /// A connection.
    Connection {
        /// Of this core.
        core: usize,
        /// The connection.
        passed: Passed,
    },
}

/// How far a core is with passing its connections on.
#[derive(Default)]
pub(crate) enum Passing {
    /// It serves them.
    #[default]
    No,
    /// It begins no request. Whoever asked for that is told when none is under way.
    Holding(Option<Sender<Held>>),
    /// They are withdrawn.
    Parting(Sender<Parted>),
}
