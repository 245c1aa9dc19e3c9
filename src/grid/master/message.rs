//! What the master's other threads say to its core, and the way there.

use std::sync::{Arc, OnceLock};

use sutra_driver::{Commit, DriverTimer, Ended};
use sutra_net::{Name, Postbox, ServiceMessage};
use tokio::sync::oneshot;

use crate::forward::Done;
use crate::overview::Overview;
use crate::registry::Answered;

/// The way to the service's core, there once that runs.
pub(crate) type Home = Arc<OnceLock<Postbox<Message>>>;

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
