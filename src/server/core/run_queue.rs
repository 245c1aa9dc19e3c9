//! Long work, cut into slices. A turn of a core ends with one slice of one piece of long work, in
//! their order. So a small request never waits for more than one slice, and work of a thousand
//! slices does not hold up work of two.
//!
//! What a turn answers is sent when the turn is over. So a turn in which something arrived leaves
//! its slice to the next one, but never two turns in a row: a core that always has small requests
//! gets on with its long work all the same.
//!
//! A piece of long work has at most one entry here. It is put in when its next slice can be done at
//! once, and taken out for the slice. At the slice's end it puts itself in again, where there is
//! more to do. A slice is some 0.15 ms of work. What the queue holds is bounded by what each kind
//! of long work allows.

use std::collections::VecDeque;
use std::time::Duration;

use super::names::{BatchNumber, DeletionNumber, ShareNumber, TraversalNumber};

/// How long a slice of work that can be cut anywhere goes on: some tens of times what a turn of the
/// core costs besides.
pub(crate) const SLICE: Duration = Duration::from_micros(150);

/// Long work with a slice to do, by its kind and its number among those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LongWork {
    Deletion(DeletionNumber),
    Batch(BatchNumber),
    Traversal(TraversalNumber),
    Share(ShareNumber),
}

/// The long work of a core that is ready, first in, first out.
#[derive(Default)]
pub(crate) struct RunQueue {
    ready: VecDeque<LongWork>,
    /// Whether this turn has something to send, as far as is known.
    has_arrival: bool,
    /// Whether the turn before left its slice to this one.
    is_put_off: bool,
}

impl RunQueue {
    pub(crate) fn push(&mut self, work: LongWork) {
        debug_assert!(!self.ready.contains(&work), "{work:?} is ready already");
        self.ready.push_back(work);
    }

    /// Something arrived, which may have been answered.
    pub(crate) fn note_arrival(&mut self) {
        self.has_arrival = true;
    }

    /// The work whose turn it is, where this turn is for one.
    pub(crate) fn next(&mut self) -> Option<LongWork> {
        self.is_put_off = std::mem::take(&mut self.has_arrival) && !self.is_put_off;
        if self.is_put_off { None } else { self.ready.pop_front() }
    }

    /// Whether no work is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_takes_turns_and_a_turn_with_arrivals_is_left_out_but_never_two_in_a_row() {
        let mut queue = RunQueue::default();
        let jobs = [
            LongWork::Deletion(DeletionNumber(1)),
            LongWork::Share(ShareNumber(1)),
            LongWork::Traversal(TraversalNumber(2)),
        ];
        jobs.into_iter().for_each(|job| queue.push(job));
        assert_eq!(queue.next(), Some(jobs[0]));
        queue.note_arrival();
        assert_eq!(queue.next(), None);
        queue.note_arrival();
        assert_eq!(queue.next(), Some(jobs[1]));
        queue.note_arrival();
        assert_eq!(queue.next(), None);
        assert_eq!((queue.next(), queue.next()), (Some(jobs[2]), None));
        assert!(queue.is_empty());
    }
}
