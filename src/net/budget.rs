//! Reply bytes in memory of their own that are gathered or with the kernel, of all connections of a
//! core, and how many there may be.

use crate::limits::Limits;

/// What a connection may have gathered while all together hold too much: a client that reads what
/// it asks for hardly ever has more.
const SCARCE_OUTPUT: usize = 16 << 10;

pub(crate) struct OutputBudget {
    held: usize,
    /// How many all connections may hold together, and how many one.
    most: usize,
    share: usize,
}

impl OutputBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { held: 0, most: limits.max_output_held, share: limits.max_output }
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
}
