//! What a server and its successor tell each other, as JSON: so each can say in words what it is,
//! whatever release the other is of.

use serde::{Deserialize, Serialize};

use super::profile::Profile;

/// The protocol of all this. Both ends have to speak the same. To be raised with every change of
/// the messages.
pub(super) const PROTOCOL: u32 = 1;

/// What they tell each other, in about this order.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Message {
    /// Successor: may I?
    Ask { protocol: u32, version: String },
    /// Server: no.
    Refused { why: String },
    /// Server: this is what there is.
    Profile(Box<Profile>),
    /// Successor: not with that.
    Declined { why: String },
    /// Successor: I am at it.
    Alive,
    /// Successor: all that could fail is done.
    Ready,
    /// Server: here is everything. With the file that tells what is known of the connections.
    Estate {
        /// Listening sockets: as many as there are ports, times cores.
        listeners: usize,
        /// Whether the admin port's is among them.
        admin: bool,
        /// The CPUs whose marks come.
        marks: Vec<usize>,
        connections: usize,
    },
    /// Server: with descriptors, in the order of the numbers above.
    Descriptors,
    /// Successor: I serve.
    Serving,
}
