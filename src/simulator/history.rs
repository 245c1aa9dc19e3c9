//! What has happened in a run, in order, for whoever has to understand a failure.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use sutra_runtime::VirtualClock;

/// Events that are kept: the last of a run. A failure that was shrunk has fewer.
const KEPT: usize = 400;

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    step: u64,
    at: Duration,
    what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { step, at, what } = self;
        write!(f, "{step:>7}  {:>12.6} s  {what}", at.as_secs_f64())
    }
}

/// The last events of a run.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    time: VirtualClock,
    /// Steps of the scheduler so far.
    pub(crate) step: u64,
}

impl Journal {
    pub(crate) fn new(time: VirtualClock) -> Journal {
        Journal { entries: VecDeque::new(), time, step: 0 }
    }

    pub(crate) fn note(&mut self, what: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { step: self.step, at: self.time.elapsed(), what });
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries.into()
    }
}
