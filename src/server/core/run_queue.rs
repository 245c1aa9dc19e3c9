//! Long work, cut into slices: a turn of a core ends with one slice of one job, in turn, so that a
//! small request never waits for more than one slice, and a job of a thousand slices holds up none
//! of two.
//!
//! What a turn answers is sent when the turn is over. So a turn in which something arrived leaves
//! its slice to the next one, but never two turns in a row: a core that always has small requests
//! gets on with its long work all the same.
//!
//! A job has at most one entry here: it is put in when its next slice can be done at once, taken
//! out for the slice, and puts itself in again at the end where there is more to do. A slice is
//! some 0.15 ms of work. What the queue holds is bounded by the jobs that each kind of work allows.

use std::collections::VecDeque;
use std::time::Duration;

use super::names::{BatchSlot, DeletionNumber, ShareNumber, TraversalPlace};

/// How long a slice of work that can be cut anywhere goes on: some tens of times what a turn of the
/// core costs besides.
pub(crate) const SLICE: Duration = Duration::from_micros(150);

/// A job with a slice to do, by the kind of work and its place among those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    Deletion(DeletionNumber),
    Batch(BatchSlot),
    Traversal(TraversalPlace),
    Search(ShareNumber),
}

/// The jobs of a core that are ready, first in, first out.
#[derive(Default)]
pub(crate) struct RunQueue {
    ready: VecDeque<Work>,
    /// Whether this turn has something to send, as far as is known.
    has_arrival: bool,
    /// Whether the turn before left its slice to this one.
    is_put_off: bool,
}

impl RunQueue {
    pub(crate) fn push(&mut self, work: Work) {
        debug_assert!(!self.ready.contains(&work), "{work:?} is ready already");
        self.ready.push_back(work);
    }

    /// Something arrived, which may have been answered.
    pub(crate) fn note_arrival(&mut self) {
        self.has_arrival = true;
    }

    /// The job whose turn it is, where this turn is for one.
    pub(crate) fn next(&mut self) -> Option<Work> {
        self.is_put_off = std::mem::take(&mut self.has_arrival) && !self.is_put_off;
        if self.is_put_off { None } else { self.ready.pop_front() }
    }

    /// Whether nothing could be done at once.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_take_turns_and_a_turn_with_arrivals_is_left_out_but_never_two_in_a_row() {
        let mut queue = RunQueue::default();
        let jobs =
            [Work::Deletion(DeletionNumber(1)), Work::Search(ShareNumber(1)), Work::Traversal(TraversalPlace(2))];
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
