//! What a connection has to send: replies gathered for its next send, and the send that is with the
//! kernel.

use std::time::Instant;

use sutra_runtime::Outgoing;

pub(crate) struct Outbox {
    /// Never empty. Where there is something, the connection is marked or sending.
    gathered: Option<Box<Outgoing>>,
    /// Whether the connection is on the core's list of those with something to send.
    is_marked: bool,
    /// Bytes of the send that is with the kernel, 0 for none.
    sending: usize,
    /// What of them is memory of its own, and not the service's.
    sending_copied: usize,
    /// When a send last began or ended.
    moved: Instant,
}

impl Outbox {
    pub(crate) fn new(now: Instant) -> Self {
        Self { gathered: None, is_marked: false, sending: 0, sending_copied: 0, moved: now }
    }

    /// Bytes gathered and not yet on their way.
    pub(crate) fn len(&self) -> usize {
        self.gathered.as_ref().map_or(0, |output| output.len())
    }

    /// Bytes of the send that is with the kernel, 0 for none.
    pub(crate) fn sending(&self) -> usize {
        self.sending
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.sending > 0
    }

    /// Whether nothing is gathered.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_none()
    }

    /// Whether all has been sent.
    pub(crate) fn is_done(&self) -> bool {
        self.is_empty() && !self.is_sending()
    }

    /// When a send last began or ended.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// Appends to what is gathered. Returns by how many bytes of its own memory that grew, and the
    /// buffer back where nothing is in it.
    pub(crate) fn gather(
        &mut self,
        buffer: impl FnOnce() -> Box<Outgoing>,
        append: impl FnOnce(&mut Outgoing),
    ) -> (usize, Option<Box<Outgoing>>) {
        let output = self.gathered.get_or_insert_with(buffer);
        let before = output.copied();
        append(output);
        let added = output.copied() - before;
        (added, self.gathered.take_if(|output| output.is_empty()))
    }

    /// Whether it was not marked before.
    pub(crate) fn mark(&mut self) -> bool {
        !std::mem::replace(&mut self.is_marked, true)
    }

    /// It was taken off the core's list.
    pub(crate) fn unmark(&mut self) {
        self.is_marked = false;
    }

    /// Begins a send of what is gathered, unless one is under way.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Box<Outgoing>> {
        if self.is_sending() {
            return None;
        }
        let output = self.gathered.take()?;
        (self.sending, self.sending_copied, self.moved) = (output.len(), output.copied(), now);
        Some(output)
    }

    /// The send has ended. Returns how many bytes of its own memory it had.
    pub(crate) fn sent(&mut self, now: Instant) -> usize {
        (self.sending, self.moved) = (0, now);
        std::mem::take(&mut self.sending_copied)
    }

    /// Gives up what is unsent: how many bytes of its own memory it has, and the buffer.
    pub(crate) fn abandon(&mut self) -> (usize, Option<Box<Outgoing>>) {
        let gathered = self.gathered.take();
        let copied = gathered.as_ref().map_or(0, |output| output.copied());
        (std::mem::take(&mut self.sending_copied) + copied, gathered)
    }
}
