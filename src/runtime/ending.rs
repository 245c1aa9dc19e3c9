//! How the cores end together: each says when it is drained, and none ends before all are.
//!
//! A core that was drained can get work again, from another core, and takes its word back then. So
//! the last one that is drained looks at all of them, and ends them. One that fails ends all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What all cores share of their end.
pub(crate) struct Ending {
    stop: AtomicBool,
    /// By core: whether it has nothing left to do. Given up again when something arrives.
    drained: Box<[AtomicBool]>,
    /// Set once by the first core that finds all drained, or by one that fails.
    over: AtomicBool,
    /// Wakes every core that sleeps.
    wake_all: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

impl Ending {
    pub(crate) fn new(cores: usize, wake_all: impl Fn() + Send + Sync + 'static) -> Ending {
        Ending {
            stop: AtomicBool::new(false),
            drained: (0..cores).map(|_| AtomicBool::new(false)).collect(),
            over: AtomicBool::new(false),
            wake_all: Box::new(wake_all),
        }
    }

    /// Asks all cores to shut down.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        (self.wake_all)();
    }

    /// Ends all cores at once, whatever they have left to do.
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        (self.wake_all)();
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Ends all cores when it is dropped: held by each of them, for whatever way it may end in.
pub(crate) struct EndAll(Arc<Ending>);

impl EndAll {
    pub(crate) fn new(ending: &Arc<Ending>) -> EndAll {
        EndAll(Arc::clone(ending))
    }
}

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One core's part in the end of all.
pub(crate) struct Leaving {
    ending: Arc<Ending>,
    core: usize,
    /// Whether the handler was told to shut down.
    is_told: bool,
}

impl Leaving {
    pub(crate) fn new(ending: Arc<Ending>, core: usize) -> Leaving {
        Leaving { ending, core, is_told: false }
    }

    /// Whether the handler is to be told now that it shall shut down. `true` once.
    pub(crate) fn take_call(&mut self) -> bool {
        let is_due = !self.is_told && self.ending.is_stopping();
        self.is_told |= is_due;
        is_due
    }

    /// Whether there is something here that the core must not sleep over.
    pub(crate) fn is_news(&self) -> bool {
        self.ending.is_over() || (!self.is_told && self.ending.is_stopping())
    }

    /// Whether the core is to end now. `is_drained` tells whether nothing is left that it has to
    /// do; asked only once the handler was told to shut down.
    pub(crate) fn is_over(&self, is_drained: impl FnOnce() -> bool) -> bool {
        if self.is_told {
            let is_drained = is_drained();
            let all = &self.ending.drained;
            all[self.core].store(is_drained, Ordering::SeqCst);
            if is_drained && all.iter().all(|core| core.load(Ordering::SeqCst)) {
                self.ending.end();
            }
        }
        self.ending.is_over()
    }
}
