//! From a failure to a small one: what it does not need is left out.
//!
//! Delta debugging (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002)
//! over the operations, the faults and the ends of a run. Each has a number, and is the same
//! whatever else is left out. What is left out changes the order of what remains, so a smaller
//! failure is one of the same kind and not surely the same one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::run::{LeftOut, Outcome, run};

/// A failure with little around it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left out.
    pub left_out: LeftOut,
    /// What the run comes to without it.
    pub outcome: Outcome,
    /// Operations, faults and ends that remain.
    pub left: [u64; 3],
    /// Runs that it took.
    pub runs: u64,
}

/// What can be left out.
#[derive(Clone, Copy)]
enum Part {
    Operations,
    Faults,
    Ends,
}

impl Part {
    fn of(self, left_out: &mut LeftOut) -> &mut BTreeSet<u64> {
        match self {
            Part::Operations => &mut left_out.operations,
            Part::Faults => &mut left_out.faults,
            Part::Ends => &mut left_out.ends,
        }
    }

    fn count(self, outcome: &Outcome) -> u64 {
        match self {
            Part::Operations => outcome.operations,
            Part::Faults => outcome.faults,
            Part::Ends => outcome.ends,
        }
    }
}

struct Shrinking {
    seed: u64,
    cores: Option<usize>,
    kind: crate::failure::Kind,
    best: LeftOut,
    outcome: Outcome,
    runs: u64,
    until: Instant,
}

/// Shrinks the failure of a run, for at most so long.
pub fn shrink(seed: u64, cores: Option<usize>, outcome: Outcome, most: Duration) -> Shrunk {
    let until = Instant::now() + most;
    let Some(Failure { kind, .. }) = outcome.failure else {
        let left = [outcome.operations, outcome.faults, outcome.ends];
        return Shrunk { left_out: LeftOut::default(), outcome, left, runs: 0 };
    };
    let best = LeftOut::default();
    let mut shrinking = Shrinking { seed, cores, kind, best, outcome, runs: 0, until };
    // Each makes room for the others.
    let mut before = None;
    while before != Some(shrinking.best.clone()) && !shrinking.is_over() {
        before = Some(shrinking.best.clone());
        for part in [Part::Operations, Part::Faults, Part::Ends] {
            shrinking.without(part);
        }
    }
    let Shrinking { best, outcome, runs, .. } = shrinking;
    let left = [Part::Operations, Part::Faults, Part::Ends].map(|part| {
        let count = part.count(&outcome);
        let out = part.of(&mut best.clone()).range(..count).count() as u64;
        count - out
    });
    Shrunk { left_out: best, outcome, left, runs }
}

impl Shrinking {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Leaves out half of what remains, a quarter, an eighth, as long as it fails.
    fn without(&mut self, part: Part) {
        let mut size = part.count(&self.outcome).div_ceil(2);
        while size > 0 {
            let count = part.count(&self.outcome);
            let out = part.of(&mut self.best).clone();
            let left: Vec<u64> = (0..count).filter(|number| !out.contains(number)).collect();
            for chunk in left.chunks(size as usize) {
                if self.is_over() {
                    return;
                }
                self.attempt(part, chunk);
            }
            size /= 2;
        }
    }

    fn attempt(&mut self, part: Part, without: &[u64]) {
        let mut left_out = self.best.clone();
        part.of(&mut left_out).extend(without);
        self.runs += 1;
        let outcome = run(self.seed, self.cores, &left_out);
        if outcome.failure.as_ref().is_some_and(|failure| failure.kind == self.kind) {
            (self.best, self.outcome) = (left_out, outcome);
        }
    }
}
