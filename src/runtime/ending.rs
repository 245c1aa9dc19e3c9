//! How the cores end together: each says when it is drained, and none ends before all are.
//!
//! A core that was drained can get work again, from another core, and takes its word back then. So
//! the last one that is drained looks at all of them, and ends them. One that fails ends all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mailbox::Doorbell;

/// How the cores end together.
pub(crate) struct Ending {
    stop: AtomicBool,
    /// By core: whether it has nothing left to do. Given up again when something arrives.
    drained: Box<[AtomicBool]>,
    /// Set once by the first core that finds all drained, or by one that fails.
    over: AtomicBool,
    doorbells: Arc<[Doorbell]>,
}

impl Ending {
    pub(crate) fn new(doorbells: Arc<[Doorbell]>) -> Ending {
        Ending {
            stop: AtomicBool::new(false),
            drained: doorbells.iter().map(|_| AtomicBool::new(false)).collect(),
            over: AtomicBool::new(false),
            doorbells,
        }
    }

    /// Asks all cores to shut down.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Ends all cores at once, whatever they have left to do.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        for doorbell in self.doorbells.iter() {
            doorbell.ring();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether there is something here that a core must not sleep over.
    pub(crate) fn is_news(&self, told_to_stop: bool) -> bool {
        self.over.load(Ordering::Acquire) || (!told_to_stop && self.is_stopping())
    }

    /// Whether every core is to end now.
    pub(crate) fn is_at_once(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Says whether `core` is drained; `true` when all are, for good.
    pub(crate) fn is_over(&self, core: usize, drained: bool) -> bool {
        self.drained[core].store(drained, Ordering::SeqCst);
        if drained && self.drained.iter().all(|core| core.load(Ordering::SeqCst)) {
            self.end();
        }
        self.over.load(Ordering::Acquire)
    }
}
