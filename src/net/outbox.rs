//! What a connection has to send: replies gathered for its next send, and the send that is with the
//! kernel.

use std::num::NonZeroU32;
use std::time::Instant;

use sutra_runtime::Outgoing;

/// Names what is known of the answers in one send (`slow/leaving.rs`), until that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeavingKey(NonZeroU32);

impl LeavingKey {
    /// Of this place in a list.
    pub(crate) fn of(place: usize) -> Self {
        let number = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("2^32 sends would take more memory than there is"))
    }

    /// That place.
    pub(crate) fn place(&self) -> usize {
        self.0.get() as usize - 1
    }
}

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
    /// What is known of the answers among what is gathered, and in the send.
    gathered_answers: Option<LeavingKey>,
    sending_answers: Option<LeavingKey>,
}

/// A send that has ended.
pub(crate) struct Sent {
    /// How many bytes of its own memory it had.
    pub(crate) copied: usize,
    /// The answers that were in it.
    pub(crate) answers: Option<LeavingKey>,
}

impl Outbox {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            gathered: None,
            is_marked: false,
            sending: 0,
            sending_copied: 0,
            moved: now,
            gathered_answers: None,
            sending_answers: None,
        }
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

    /// What is known of the answers among what is gathered.
    pub(crate) fn answers(&mut self) -> &mut Option<LeavingKey> {
        &mut self.gathered_answers
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
        self.sending_answers = self.gathered_answers.take();
        Some(output)
    }

    /// The send has ended.
    pub(crate) fn sent(&mut self, now: Instant) -> Sent {
        (self.sending, self.moved) = (0, now);
        let (copied, answers) =
            (std::mem::take(&mut self.sending_copied), self.sending_answers.take());
        Sent { copied, answers }
    }

    /// Gives up what is unsent.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        let buffer = self.gathered.take();
        let gathered = buffer.as_ref().map_or(0, |output| output.copied());
        Abandoned {
            copied: std::mem::take(&mut self.sending_copied) + gathered,
            buffer,
            answers: [self.sending_answers.take(), self.gathered_answers.take()],
        }
    }
}

/// What was unsent when it was given up.
pub(crate) struct Abandoned {
    /// How many bytes of its own memory it has.
    pub(crate) copied: usize,
    pub(crate) buffer: Option<Box<Outgoing>>,
    /// The answers of the send that was under way, and of the one to come.
    pub(crate) answers: [Option<LeavingKey>; 2],
}
