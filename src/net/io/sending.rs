//! From replies to sends: what is gathered for a connection in a turn leaves in one send.

use sutra_runtime::{Core, Outgoing};
use tracing::info;

use super::Io;
use crate::counters::Count;
use crate::envelope::Envelope;
use crate::outbox::Sent;
use crate::slow::Answered;

impl Io {
    /// Adds what answers no request to what a connection sends next; otherwise as
    /// [`Io::gather_answer`].
    pub(crate) fn gather<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        append: impl FnOnce(&mut Outgoing),
    ) {
        self.gather_answer(core, index, None, append);
    }

    /// Adds an answer to what a connection sends next. One of which nothing is appended leaves
    /// later, by another call.
    ///
    /// Replies that come late, from other cores or the disk, can't be held back as requests can.
    /// Where all connections together hold too much, one that has more than its share waiting for
    /// it and does not read it is closed.
    pub(crate) fn gather_answer<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
        answered: Option<Answered>,
        append: impl FnOnce(&mut Outgoing),
    ) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let peer = connection.peer();
        let outbox = connection.outbox_mut();
        let before = outbox.len();
        let (added, nothing) = outbox.gather(|| core.outgoing(), append);
        self.unsent.add(added);
        if let Some(answered) = answered {
            match outbox.len() - before {
                0 => self.slow.waits(answered, peer),
                bytes_out => {
                    self.slow.leaves(outbox.answers(), Answered { bytes_out, ..answered });
                }
            }
        }
        if let Some(nothing) = nothing {
            return core.recycle(nothing);
        }
        if outbox.len() < self.limits.max_output || !self.unsent.is_full() {
            if outbox.mark() {
                self.unsent.mark(index);
            }
            return;
        }
        if outbox.is_sending() { self.close_unread(core, index) } else { self.send(core, index) }
    }

    /// Closes a connection whose replies wait unread while all together hold too much.
    pub(super) fn close_unread<M: Send + 'static>(
        &mut self,
        core: &mut Core<Envelope<M>>,
        index: usize,
    ) {
        let Some(peer) = self.connections.get(index).map(|connection| connection.peer()) else {
            return;
        };
        self.counters.count(Count::ClosedUnread);
        if let Some(left_out) = self.log_limit.admit(core.now()) {
            let held = self.unsent.held();
            info!(
                %peer,
                held,
                left_out,
                "a client does not read its replies while too many wait for others: closed"
            );
        }
        self.drop_connection(core, index);
    }

    /// Sends a connection's output, unless a send is under way: then its end will.
    /// What goes on elsewhere is sent there.
    pub(crate) fn send<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        if self.is_parting() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(index)
            && let Some(output) = connection.outbox_mut().begin(core.now())
        {
            core.send(connection.socket(), output);
        }
    }

    /// A send has ended. More is sent at the end of the turn, where that was gathered meanwhile;
    /// otherwise a connection that has nothing left to do is closed.
    pub(crate) fn sent<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Sent { copied, answers } = connection.sent(core.now());
        let (is_all, peer) = (connection.outbox().is_empty(), connection.peer());
        self.unsent.take(copied);
        if let Some(answers) = answers {
            self.slow.left(answers, peer, core.now());
        }
        self.make_room(index);
        if is_all {
            return self.finish(core, index);
        }
        if let Some(connection) = self.connections.get_mut(index)
            && connection.outbox_mut().mark()
        {
            self.unsent.mark(index);
        }
    }

    /// Sends what was gathered in this turn: one send a connection.
    pub(crate) fn flush<M: Send + 'static>(&mut self, core: &mut Core<Envelope<M>>) {
        if !self.unsent.has_marked() {
            return;
        }
        self.keep_house(core);
        while let Some(index) = self.unsent.next_marked() {
            if let Some(connection) = self.connections.get_mut(index) {
                connection.outbox_mut().unmark();
                self.send(core, index);
            }
        }
    }
}
