//! Whom to answer when a change has landed, and with what.

use sutra_net::ReplyTo;

/// Whom to answer, and how.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) to: ReplyTo,
    pub(crate) what: What,
}

/// An answer's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// To an agent that has registered.
    Registered,
    /// Nothing but that it is done.
    Done,
    /// A node, as it is by then.
    Node(String),
}
