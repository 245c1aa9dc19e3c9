//! Long work, cut into slices: each turn of a core ends with one slice of one job, in turn, so that a small request never waits for more
//! than one slice, and a job of a thousand slices holds up none of two.
//!
//! A job has at most one entry here: it is put in when its next slice can be done at once, taken out for the slice, and puts itself in
//! again at the end where there is more to do. A slice is some 0.1 ms of work. What the queue holds is bounded by the jobs that each kind of
//! work allows.

use std::collections::VecDeque;
use std::time::Duration;

use sutra_net::Context;

use crate::message::Message;
use crate::service::StorageService;

/// How long a slice of work that can be cut anywhere goes on: some tens of times what a turn of the core costs besides.
pub(crate) const SLICE: Duration = Duration::from_micros(100);

/// A job with a slice to do, by the kind of work and its place among those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    Deletion(usize),
    Expansion(usize),
    Traversal(usize),
    Search(usize),
}

/// The jobs of a core that are ready, first in, first out.
#[derive(Default)]
pub(crate) struct RunQueue {
    ready: VecDeque<Work>,
}

impl RunQueue {
    pub(crate) fn push(&mut self, work: Work) {
        debug_assert!(!self.ready.contains(&work), "{work:?} is ready already");
        self.ready.push_back(work);
    }

    /// Whether nothing could be done at once.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

impl StorageService {
    /// Does the next slice of the job whose turn it is.
    pub(crate) fn advance_work(&mut self, cx: &mut Context<'_, Message>) {
        match self.run_queue.ready.pop_front() {
            Some(Work::Deletion(place)) => self.advance_deletion(cx, place),
            Some(Work::Expansion(place)) => self.advance_expansion(cx, place),
            Some(Work::Traversal(place)) => self.advance_traversal(cx, place),
            Some(Work::Search(place)) => self.advance_part(cx, place),
            None => {}
        }
    }
}
