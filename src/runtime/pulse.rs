//! Whether the cores turn, for a thread that is none of them: it asks, and each core answers in its
//! next turn.
//!
//! Promises: a core that sleeps is woken to answer. One that is stuck, in its handler or in the
//! kernel, is told by its silence. An answer costs a core one load a turn, of a line that changes
//! only when somebody asks.

use std::fmt;
use std::sync::Arc;

use crate::shared::{AtomicU64, Ordering};

/// What a core that has ended answers: it is no longer asked anything.
const ENDED: u64 = u64::MAX;

/// A way to ask the cores for a sign of life. May be cloned; every clone asks by itself.
#[derive(Clone)]
pub struct Pulse(Arc<Shared>);

struct Shared {
    /// How often somebody has asked.
    asked: AtomicU64,
    /// By core: the last question that it has answered.
    answered: Box<[AtomicU64]>,
    wake_all: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulse")
    }
}

impl Pulse {
    /// Of so many cores; `wake_all` wakes those that sleep.
    pub(crate) fn new(cores: usize, wake_all: impl Fn() + Send + Sync + 'static) -> Pulse {
        Pulse(Arc::new(Shared {
            asked: AtomicU64::new(0),
            answered: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            wake_all: Box::new(wake_all),
        }))
    }

    /// Asks every core for a sign of life and returns at once, with the question's number.
    pub fn ask(&self) -> u64 {
        let question = self.0.asked.fetch_add(1, Ordering::Release) + 1;
        (self.0.wake_all)();
        question
    }

    /// The cores that have not turned since they were asked this. A core that has ended is none of
    /// them.
    pub fn silent(&self, question: u64) -> Vec<usize> {
        let answered = self.0.answered.iter().map(|answer| answer.load(Ordering::Acquire));
        answered
            .enumerate()
            .filter(|(_, answer)| *answer < question)
            .map(|(core, _)| core)
            .collect()
    }

    /// One core's part.
    pub(crate) fn beat(&self, core: usize) -> Beat {
        Beat { pulse: self.clone(), core, answered: 0 }
    }
}

/// One core's part in the pulse of all.
pub(crate) struct Beat {
    pulse: Pulse,
    core: usize,
    answered: u64,
}

impl Beat {
    /// A turn begins: what was asked is answered by that.
    pub(crate) fn answer(&mut self) {
        let asked = self.pulse.0.asked.load(Ordering::Acquire);
        if asked != self.answered {
            self.answered = asked;
            self.pulse.0.answered[self.core].store(asked, Ordering::Release);
        }
    }

    /// Whether there is a question that the core must not sleep over.
    pub(crate) fn is_asked(&self) -> bool {
        self.pulse.0.asked.load(Ordering::Acquire) != self.answered
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.pulse.0.answered[self.core].store(ENDED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_silent_until_it_turns_and_never_after_its_end() {
        let pulse = Pulse::new(2, || {});
        let (mut first, second) = (pulse.beat(0), pulse.beat(1));
        assert!(!first.is_asked());
        let question = pulse.ask();
        assert_eq!(pulse.silent(question), [0, 1]);
        assert!(first.is_asked());
        first.answer();
        assert!(!first.is_asked());
        assert_eq!(pulse.silent(question), [1]);
        drop(second);
        assert_eq!(pulse.silent(question), [0; 0]);
        let next = pulse.ask();
        assert_eq!(pulse.silent(next), [0]);
        assert_eq!(pulse.silent(question), [0; 0]);
    }
}
