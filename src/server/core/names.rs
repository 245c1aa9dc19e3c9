//! Names: what a core waits for, and what cores ask each other to work on.
//!
//! Each is a type of its own, so that none can be handed over in the place of another. Numbers are
//! given by the core that owns what they stand for, and mean something on that core alone.

use sutra_driver::{Commit, DriverTimer};
use sutra_net::Name;

/// What a core's writes and syncs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Commit,
    /// Writes that were acknowledged before are made durable.
    Sync,
}

impl Name for Token {
    const ALL: &'static [Self] = &[Self::Commit, Self::Sync];
}

impl From<Commit> for Token {
    fn from(_: Commit) -> Self {
        Self::Commit
    }
}

/// What a core's timers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Driver(DriverTimer),
    Sync,
    /// A cut for a backup has taken too long.
    Cut,
}

impl Name for Timer {
    const ALL: &'static [Self] = &[
        Self::Driver(DriverTimer::Prepare),
        Self::Driver(DriverTimer::Offer),
        Self::Driver(DriverTimer::Look),
        Self::Sync,
        Self::Cut,
    ];
}

impl From<DriverTimer> for Timer {
    fn from(timer: DriverTimer) -> Self {
        Self::Driver(timer)
    }
}

/// A deletion of the core that works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeletionNumber(pub(crate) usize);

/// A deletion of this core's whose tombstone is on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BurialNumber(pub(crate) usize);

/// One of a core's traversals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraversalNumber(pub(crate) usize);

/// A batch of another core's traversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchNumber(pub(crate) usize);

/// A vector search of the core that was asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SearchNumber(pub(crate) usize);

/// A core's share of a vector search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShareNumber(pub(crate) usize);

/// A cut for a backup, of the core that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutNumber(pub(crate) u64);

/// A question to all cores, of the core that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuestionNumber(pub(crate) usize);
