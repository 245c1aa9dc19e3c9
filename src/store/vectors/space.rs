//! The vectors of one namespace on one shard: which there are, which of them the index holds, and
//! what is to be done about the rest.
//!
//! A vector has an *ordinal*. An embedding that changes gets a new one, and the old one is dead at
//! once: searches pass over what the index holds of it. What the index lacks is in the *tail*,
//! which is scanned. When the dead outnumber the living, a new index is built beside the old one,
//! which serves until it is replaced; then the dead ordinals are free. So memory stays in
//! proportion to what lives.

mod growth;
mod history;
mod roster;
mod save;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::history::History;
pub(super) use self::history::Moment;
use self::roster::Roster;
pub(super) use self::roster::Vector;
use self::save::Save;
pub(super) use self::slot::Slot;
use super::coarse::Coarse;

/// Fewer vectors than this are scanned: it takes about as long as an index search.
pub(super) const MIN_INDEXED: u64 = 1024;

/// A namespace's vectors on a shard.
pub(super) struct Space {
    dimension: u32,
    life: u32,
    roster: Roster,
    slot: Slot,
    save: Save,
    /// An index that is not used any more.
    discarded: Option<Arc<Coarse>>,
    /// Vectors that the last job inserted; many at first.
    pace: usize,
    /// Whether a search waits for the index.
    wanted: Arc<AtomicBool>,
    /// After a failure of the index: not before, by the monotonic clock.
    retry_at: u64,
    history: History,
    /// Whether it is in the queue of spaces with work.
    is_queued: bool,
}

impl Space {
    /// An empty one. `life` tells it from those that its namespace had before, on this shard.
    pub(super) fn new(dimension: u32, life: u32) -> Self {
        Self {
            dimension,
            life,
            roster: Roster::default(),
            slot: Slot::Empty,
            save: Save::Behind { lacks: 0 },
            discarded: None,
            pace: usize::MAX / 2,
            wanted: Arc::default(),
            retry_at: 0,
            history: History::new(life),
            is_queued: false,
        }
    }

    /// How many numbers its vectors have.
    pub(super) fn dimension(&self) -> u32 {
        self.dimension
    }

    /// Tells it from those that its namespace had before, on this shard.
    pub(super) fn life(&self) -> u32 {
        self.life
    }

    /// Takes an index from a checkpoint, into a space that is empty; its vectors are dead until
    /// they are [`Space::revive`]d. `false`, and nothing is changed, where its ordinals make no
    /// sense.
    pub(super) fn take_in(&mut self, coarse: Coarse) -> bool {
        let makes_sense = self.roster.take_in(&coarse);
        if makes_sense {
            self.slot = Slot::home(coarse);
        }
        makes_sense
    }

    /// Its indexes, which are not used any more.
    pub(super) fn into_indexes(self) -> impl Iterator<Item = Arc<Coarse>> {
        self.slot.into_indexes().chain(self.discarded)
    }

    /// Gives a dead ordinal, which the index holds behind the entry of `head`, the vector that it
    /// was given for. `false` where it has one already.
    pub(super) fn revive(&mut self, ordinal: u32, head: u32, vector: Vector) -> bool {
        self.roster.revive(ordinal, head, vector)
    }

    /// The living vectors behind an entry of the index.
    pub(super) fn behind(&self, head: u32) -> impl Iterator<Item = u32> {
        self.roster.behind(head)
    }

    /// How many vectors an entry of the index has behind it.
    pub(super) fn count_behind(&self, head: u32) -> usize {
        self.behind(head).size_hint().0
    }

    /// Adds a vector; returns its ordinal.
    pub(super) fn add(&mut self, vector: Vector) -> u32 {
        self.history.came(vector.node);
        self.roster.add(vector)
    }

    /// A vector was replaced or deleted.
    pub(super) fn kill(&mut self, ordinal: u32) {
        self.history.went();
        self.roster.kill(ordinal);
    }

    /// Whether the index holds vectors that are dead.
    pub(super) fn has_dead(&self) -> bool {
        self.roster.dead() > 0
    }

    /// A living vector.
    pub(super) fn vector(&self, ordinal: u32) -> Option<&Vector> {
        self.roster.vector(ordinal)
    }

    /// Ordinals that there were: all living ones are below.
    pub(super) fn ordinals(&self) -> u32 {
        self.roster.ordinals()
    }

    /// How many vectors live.
    pub(super) fn live(&self) -> u64 {
        self.roster.live()
    }

    /// How many of them the index holds.
    pub(super) fn indexed_count(&self) -> u64 {
        self.roster.indexed()
    }

    /// Vectors that the index holds and finds, and those that it does not hold yet or that were not
    /// looked for.
    pub(super) fn progress(&self) -> (u64, u64) {
        let unchecked = self.slot.unchecked().min(self.roster.indexed());
        (self.roster.indexed() - unchecked, self.roster.tail().len() as u64 + unchecked)
    }

    /// Vectors that no index holds yet.
    pub(super) fn tail(&self) -> &[u32] {
        self.roster.tail()
    }

    /// Zero vectors, which no index holds.
    pub(super) fn zeros(&self) -> &[u32] {
        self.roster.zeros()
    }

    /// Where the index is.
    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// This moment, for a search that begins.
    pub(super) fn now(&self) -> Moment {
        self.history.now()
    }

    /// Whether a vector came or went since then.
    pub(super) fn has_changed_since(&self, moment: Moment) -> bool {
        self.history.has_changed_since(moment)
    }

    /// The nodes that got a vector since then, as far back as they are known.
    pub(super) fn came_since(&self, moment: Moment) -> impl Iterator<Item = u32> {
        self.history.came_since(moment)
    }

    /// A search waits for the index: whoever has it is to bring it back soon.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be put into the queue of spaces with work, in which it counts as being
    /// from now on.
    pub(super) fn enqueue(&mut self) -> bool {
        let is_due = !self.is_queued && self.has_work();
        self.is_queued |= is_due;
        is_due
    }

    /// It was taken from that queue.
    pub(super) fn dequeued(&mut self) {
        self.is_queued = false;
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        self.roster.memory()
            + self.history.memory()
            + self.slot.memory()
            + self.discarded.as_ref().map_or(0, |discarded| discarded.memory())
    }
}

#[cfg(test)]
mod tests;
