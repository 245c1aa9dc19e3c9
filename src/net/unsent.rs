//! What all connections of a core have to send: how many reply bytes in memory of their own are
//! gathered or with the kernel, how many there may be, and who sends at the end of the turn.

use crate::limits::Limits;

/// What a connection may have gathered while all together hold too much: a client that reads what
/// it asks for hardly ever has more.
const SCARCE_OUTPUT: usize = 16 << 10;

pub(crate) struct Unsent {
    held: usize,
    /// How many all connections may hold together, and how many one.
    most: usize,
    share: usize,
    /// Slots of the connections that send at the end of the turn.
    marked: Vec<usize>,
}

impl Unsent {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { held: 0, most: limits.max_output_held, share: limits.max_output, marked: Vec::new() }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.held += bytes;
    }

    /// So many were sent, or thrown away.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.held -= bytes;
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Whether replies that nobody has read take up all that they may on this core.
    pub(crate) fn is_full(&self) -> bool {
        self.held >= self.most
    }

    /// How many reply bytes may wait for a connection before its requests do: less while all
    /// together hold too much.
    pub(crate) fn share(&self) -> usize {
        if self.is_full() { self.share.min(SCARCE_OUTPUT) } else { self.share }
    }

    /// A connection sends at the end of the turn.
    pub(crate) fn mark(&mut self, index: usize) {
        self.marked.push(index);
    }

    /// Whether any does.
    pub(crate) fn has_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// The next one that does.
    pub(crate) fn next_marked(&mut self) -> Option<usize> {
        self.marked.pop()
    }
}
