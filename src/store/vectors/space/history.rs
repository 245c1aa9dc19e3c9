//! What has come and gone in a space, for searches that are under way.

use std::collections::VecDeque;

/// The nodes that got a vector last, as many as a tenth of a second of writing brings.
const RECENT: usize = 4096;

/// A moment in the history of a space.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::vectors) struct Moment {
    /// Vectors that came or went, ever.
    changes: u64,
    /// Vectors that came, ever.
    came: u64,
    /// How often the tail was put together anew; another in every life.
    epoch: u64,
}

impl Moment {
    /// Whether the tail was put together anew between the two.
    pub(in crate::vectors) fn is_of_another_tail(&self, other: Self) -> bool {
        self.epoch != other.epoch
    }

    /// What came up to `now` was looked at, the last `left` aside.
    pub(in crate::vectors) fn looked_at(&mut self, now: Self, left: usize) {
        self.came = now.came - left as u64;
    }
}

/// What has come and gone.
pub(super) struct History {
    now: Moment,
    recent: VecDeque<u32>,
}

impl History {
    /// The history of an index in a new life, before any change.
    pub(super) fn new(life: u32) -> Self {
        let now = Moment { epoch: u64::from(life) << 32, ..Moment::default() };
        Self { now, recent: VecDeque::new() }
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// A node got a vector.
    pub(super) fn came(&mut self, node: u32) {
        self.now.changes += 1;
        self.now.came += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(node);
    }

    pub(super) fn went(&mut self) {
        self.now.changes += 1;
    }

    /// The tail was put together anew.
    pub(super) fn tail_is_new(&mut self) {
        self.now.epoch += 1;
    }

    pub(super) fn has_changed_since(&self, moment: Moment) -> bool {
        self.now.changes != moment.changes
    }

    /// The nodes that got a vector since then, as far back as they are known.
    pub(super) fn came_since(&self, moment: Moment) -> impl Iterator<Item = u32> {
        let known = self.recent.len();
        let count =
            usize::try_from(self.now.came - moment.came).map_or(known, |count| count.min(known));
        self.recent.range(known - count..).copied()
    }

    /// Bytes.
    pub(super) fn memory(&self) -> u64 {
        (self.recent.capacity() * size_of::<u32>()) as u64
    }
}
