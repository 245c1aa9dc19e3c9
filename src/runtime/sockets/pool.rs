//! `Outgoing`s that are kept for the next sends, so that a send in steady state allocates nothing.

use crate::sockets::outgoing::Outgoing;

/// As many as there are sockets with a send in flight in a busy turn.
const KEPT: usize = 256;

/// The `Outgoing`s of one core that are not in use.
#[derive(Debug, Default)]
pub(super) struct OutgoingPool {
    #[allow(
        clippy::vec_box,
        reason = "an `Outgoing` in use lies in a box, which moves in and out whole"
    )]
    kept: Vec<Box<Outgoing>>,
}

impl OutgoingPool {
    /// An empty one.
    pub(super) fn take(&mut self) -> Box<Outgoing> {
        self.kept.pop().unwrap_or_default()
    }

    /// Takes one back, its regions let go.
    pub(super) fn give_back(&mut self, mut outgoing: Box<Outgoing>) {
        if self.kept.len() < KEPT {
            outgoing.reset();
            self.kept.push(outgoing);
        }
    }
}
