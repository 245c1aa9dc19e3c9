//! This core's side of the mailboxes: credits, so that every request that another core takes can be
//! answered; and an outbox for the moments in which a mailbox is full.

use std::collections::VecDeque;

use sutra_net::Context;

use super::message::{Body, Message};

/// Requests that a core may have under way at each other core. A mailbox holds [`MAILBOX`]
/// messages: the answers to these, the other core's own requests, their associations' in-edges, the
/// removals of deletions, and a batch and a part of each traversal.
const CREDITS: u32 = 256;
/// Messages that a mailbox between two cores holds.
pub(crate) const MAILBOX: usize = 1024;

/// Bytes of the mailbox from one core to another; a server has one for every ordered pair. They are
/// address space until messages have gone round it once.
pub const fn mailbox_bytes() -> usize {
    MAILBOX * size_of::<Message>()
}

/// The way to one other core.
#[derive(Default)]
struct Peer {
    under_way: u32,
    /// Messages that found the mailbox full. Bounded by the requests that are unanswered on both
    /// cores and by the removals that deletions have under way: each causes at most one message at
    /// a time. And by the traversals of both cores: each has one batch under way at the other core.
    /// For that it sends two messages at most (go on, and let go) before that core answers. It gets
    /// two at most (edges of up to 28 KiB, and the end) before it sends another. Its number is not
    /// used again before the end.
    outbox: VecDeque<Message>,
}

pub(crate) struct Peers {
    peers: Vec<Peer>,
}

impl Peers {
    pub(crate) fn new(cores: usize) -> Self {
        Self { peers: (0..cores).map(|_| Peer::default()).collect() }
    }

    /// Whether another request may be sent to the core; its answer gives the credit back.
    pub(crate) fn take_credit(&mut self, core: usize) -> bool {
        let peer = &mut self.peers[core];
        let free = peer.under_way < CREDITS;
        peer.under_way += u32::from(free);
        free
    }

    /// An answer came.
    pub(crate) fn give_back(&mut self, core: usize) {
        let peer = &mut self.peers[core];
        peer.under_way = peer.under_way.saturating_sub(1);
    }

    /// Posts a message, in order after those that wait in the outbox.
    pub(crate) fn post(
        &mut self,
        cx: &mut Context<'_, Message>,
        core: usize,
        clock: u64,
        body: Body,
    ) {
        let outbox = &mut self.peers[core].outbox;
        let message = Message { clock, body };
        if !outbox.is_empty() {
            outbox.push_back(message);
        } else if let Err(message) = cx.send(core, message) {
            outbox.push_back(message);
        }
    }

    /// Posts what waits; says whether anything still does.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_, Message>) -> bool {
        let mut left = false;
        for (core, peer) in self.peers.iter_mut().enumerate() {
            while let Some(message) = peer.outbox.pop_front() {
                if let Err(message) = cx.send(core, message) {
                    peer.outbox.push_front(message);
                    left = true;
                    break;
                }
            }
        }
        left
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.peers.iter().all(|peer| peer.outbox.is_empty())
    }
}
