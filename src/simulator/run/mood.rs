//! How the scheduler is disposed for a while: what it likes to do next, and what not at all.
//!
//! With even chances everything would be about as fast as everything else. So now and then it draws
//! anew what is quick, what is slow, and what stands still.

use std::time::Duration;

use sutra_runtime::Step;

use crate::random::Random;

/// What the scheduler can choose from, by kind.
const KINDS: usize = 9;

/// How likely each kind of step is.
#[derive(Clone, Debug)]
pub(super) struct Mood {
    weights: [u64; KINDS],
    /// The most that passes with a step.
    pub(super) pace: Duration,
}

/// The kind of a step, by number; what clients do is the last.
fn kind(step: Option<Step>) -> usize {
    match step {
        Some(Step::Turn { .. }) => 0,
        Some(Step::Receive { .. }) => 1,
        Some(Step::Send { .. }) => 2,
        Some(Step::Write { .. }) => 3,
        Some(Step::Deliver { .. }) => 4,
        Some(Step::Background) => 5,
        Some(Step::Compute { .. }) => 6,
        Some(Step::Tell { .. }) => 7,
        None => 8,
    }
}

impl Mood {
    pub(super) fn draw(random: &mut Random) -> Mood {
        let mut weight = || match random.below(8) {
            0 => 0,
            1 | 2 => 1,
            3..6 => 8,
            _ => 64,
        };
        let mut weights = [0; KINDS];
        weights.fill_with(&mut weight);
        let pace = *random.pick(&[1, 10, 100, 1_000, 20_000]);
        Mood { weights, pace: Duration::from_micros(pace) }
    }

    /// Everything goes on.
    pub(super) fn even() -> Mood {
        Mood { weights: [8; KINDS], pace: Duration::from_micros(20) }
    }

    /// How likely a step is; a client's where there is none.
    pub(super) fn weight(&self, step: Option<Step>) -> u64 {
        self.weights[kind(step)]
    }
}
