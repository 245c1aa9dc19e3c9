//! What the master's other threads say to its core, and the way there.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use sutra_driver::{Commit, DriverTimer, Ended};
use sutra_net::{Name, Postbox, ServiceMessage};
use tokio::sync::oneshot;

use crate::forward::Done;
use crate::overview::Overview;
use crate::registry::{AdminPort, Answered};

/// The way to the service's core, there once that runs.
pub(crate) type Home = Arc<OnceLock<Postbox<Message>>>;

/// What the read API asks of the core. An answer is a page: it holds up the core for as long as it
/// takes.
pub(crate) enum Question {
    Grid {
        agents_after: String,
        nodes_after: String,
        limit: u32,
        to: oneshot::Sender<Value>,
    },
    /// The latest where no event is named.
    Events {
        after: Option<u64>,
        limit: usize,
        to: oneshot::Sender<Value>,
    },
    /// Admin ports of agents behind this one, and the last agent of the page where there are more;
    /// `None` while not all have told theirs.
    AdminPorts {
        after: String,
        limit: usize,
        to: oneshot::Sender<Option<(Vec<AdminPort>, Option<String>)>>,
    },
}

/// What reaches the master's core from its other threads.
pub(crate) enum Message {
    /// An agent has answered, or has not.
    Done(Done),
    /// An agent was asked back.
    Answered { number: u64, answer: Answered },
    /// The background has done something for the log.
    Driver(Ended),
    /// The admin thread wants to know.
    Look { lists: bool, to: oneshot::Sender<Overview> },
    /// The read API asks.
    Ask(Question),
}

impl ServiceMessage for Message {
    type Token = Token;
    type Timer = Timer;
}

/// What the master's writes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Commit,
}

impl Name for Token {
    const ALL: &'static [Self] = &[Self::Commit];
}

impl From<Commit> for Token {
    fn from(_: Commit) -> Self {
        Self::Commit
    }
}

/// What the master's timers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Driver(DriverTimer),
    /// The ages of agents and nodes are looked at.
    Ages,
    /// Watchers that had no room are told again.
    Watchers,
}

impl Name for Timer {
    const ALL: &'static [Self] = &[
        Self::Driver(DriverTimer::Prepare),
        Self::Driver(DriverTimer::Offer),
        Self::Driver(DriverTimer::Look),
        Self::Ages,
        Self::Watchers,
    ];
}

impl From<DriverTimer> for Timer {
    fn from(timer: DriverTimer) -> Self {
        Self::Driver(timer)
    }
}

/// Says it to the core, where that runs; before it does, nobody has asked for anything.
pub(crate) fn post(home: &Home, message: Message) {
    if let Some(core) = home.get() {
        core.post(message);
    }
}
