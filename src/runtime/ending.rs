//! How the cores end together: each says when it is drained, and none ends before all are.
//!
//! A core that was drained can get work again, from another core. It takes its word back before it
//! looks at what it got. So who waits for a core's answer, and is not drained before it has that,
//! never ends the cores while the other is at work. How many are drained is one count, and whoever
//! makes it full ends all. To look at one core after the other would not do: the first may have
//! got work from the second since. One that fails ends all, too.
//!
//! A message that nobody waits for may be lost at the end.

use std::fmt;
use std::sync::Arc;

use crate::shared::{AtomicBool, AtomicUsize, Ordering};

/// What all cores share of their end.
pub(crate) struct Ending {
    stop: AtomicBool,
    cores: usize,
    /// How many cores have nothing left to do.
    drained: AtomicUsize,
    /// Set once all were drained, or by a core that fails.
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
            cores,
            drained: AtomicUsize::new(0),
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
    /// Whether the handler was told to shut down.
    is_told: bool,
    /// Whether the core counts as drained.
    is_drained: bool,
}

impl Leaving {
    pub(crate) fn new(ending: Arc<Ending>) -> Leaving {
        Leaving { ending, is_told: false, is_drained: false }
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

    /// Something has arrived: the core may have work again. To be called before what follows from
    /// it can be seen by others.
    pub(crate) fn note_arrival(&mut self) {
        self.say_drained(false);
    }

    /// Whether the core is to end now. `is_drained` tells whether nothing is left that it has to
    /// do; asked only once the handler was told to shut down.
    pub(crate) fn is_over(&mut self, is_drained: impl FnOnce() -> bool) -> bool {
        if self.is_told {
            self.say_drained(is_drained());
        }
        self.ending.is_over()
    }

    fn say_drained(&mut self, is_drained: bool) {
        if is_drained == std::mem::replace(&mut self.is_drained, is_drained) {
            return;
        }
        let count = &self.ending.drained;
        if !is_drained {
            count.fetch_sub(1, Ordering::AcqRel);
        } else if count.fetch_add(1, Ordering::AcqRel) + 1 == self.ending.cores {
            self.ending.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cores_end_when_all_are_drained_at_one_moment() {
        let ending = Arc::new(Ending::new(2, || {}));
        let mut cores = [0, 1].map(|_| Leaving::new(Arc::clone(&ending)));
        assert!(cores.iter_mut().all(|core| !core.is_over(|| true)), "none was told to end");
        ending.stop();
        assert!(cores.iter_mut().all(|core| core.take_call() && !core.take_call()));
        let [first, second] = &mut cores;
        assert!(!first.is_over(|| true));
        first.note_arrival();
        assert!(!second.is_over(|| true), "the first has got work since");
        assert!(!first.is_over(|| false), "and does it");
        assert!(first.is_over(|| true) && second.is_over(|| true));
    }
}
