//! What the master's other threads say to its core, and the way there.

use std::sync::{Arc, OnceLock};

use sutra_driver::Ended;
use sutra_net::Postbox;
use tokio::sync::oneshot;

use super::forward::Done;
use super::overview::Overview;
use super::registry::Answered;

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

/// Says it to the core, where that runs; before it does, nobody has asked for anything.
pub(crate) fn post(home: &Home, message: Message) {
    if let Some(core) = home.get() {
        core.post(message);
    }
}
