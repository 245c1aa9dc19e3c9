//! How far the checkpoint of an index is behind it, and whether one is being written.

/// How long after a failure a checkpoint is tried again, in µs.
const RETRY_AFTER: u64 = 60_000_000;

/// The state of an index's checkpoint. `lacks`: how many vectors of the index are not in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Save {
    Behind {
        lacks: u64,
    },
    /// A job writes one; the one before lacked so many.
    Saving {
        lacks: u64,
    },
    /// It could not be written. It may be tried again from `retry_at` on, by the monotonic clock.
    Failed {
        lacks: u64,
        retry_at: u64,
    },
}

impl Save {
    /// How many vectors a new checkpoint would have beyond the last.
    pub(super) fn lacks(&self) -> u64 {
        match *self {
            Self::Behind { lacks } | Self::Failed { lacks, .. } => lacks,
            Self::Saving { .. } => 0,
        }
    }

    /// Whether one may be written now.
    pub(super) fn may_begin(&self, now: u64) -> bool {
        match *self {
            Self::Behind { .. } => true,
            Self::Saving { .. } => false,
            Self::Failed { retry_at, .. } => now >= retry_at,
        }
    }

    /// So many more vectors are in the index. None come while a checkpoint is written.
    pub(super) fn add(&mut self, more: u64) {
        match self {
            Self::Behind { lacks } | Self::Saving { lacks } | Self::Failed { lacks, .. } => {
                *lacks += more;
            }
        }
    }

    /// There is another index, of which the checkpoint lacks so many.
    pub(super) fn reset(&mut self, lacks: u64) {
        *self = match *self {
            Self::Failed { retry_at, .. } => Self::Failed { lacks, retry_at },
            Self::Behind { .. } | Self::Saving { .. } => Self::Behind { lacks },
        };
    }

    /// A job writes one.
    pub(super) fn begin(&mut self) {
        *self = Self::Saving { lacks: self.lacks() };
    }

    /// That job has ended. Where there is another index by now, it says nothing of that one.
    pub(super) fn ended(&mut self, is_saved: bool, now: u64) {
        *self = match *self {
            Self::Saving { .. } if is_saved => Self::Behind { lacks: 0 },
            Self::Saving { lacks } => {
                Self::Failed { lacks, retry_at: now.saturating_add(RETRY_AFTER) }
            }
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_saved_is_saved_later() {
        let mut save = Save::Behind { lacks: 0 };
        save.add(10);
        save.begin();
        assert!(save.lacks() == 0 && !save.may_begin(5));
        save.ended(false, 5);
        assert_eq!(save.lacks(), 10);
        assert!(!save.may_begin(5 + RETRY_AFTER - 1) && save.may_begin(5 + RETRY_AFTER));
        save.add(1);
        save.begin();
        save.ended(true, 9);
        assert_eq!(save, Save::Behind { lacks: 0 });
    }

    #[test]
    fn the_end_of_a_checkpoint_says_nothing_of_an_index_that_came_since() {
        let mut save = Save::Behind { lacks: 10 };
        save.begin();
        save.reset(0);
        save.ended(false, 5);
        assert_eq!(save, Save::Behind { lacks: 0 });
    }
}
