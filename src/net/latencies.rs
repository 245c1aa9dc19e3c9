//! How long requests take, by operation: from the arrival of their bytes to the end of the turn
//! that sends the answer.
//!
//! Cost: the clock is read once at the end of a turn that answered anything. Answers to requests of
//! one kind that arrived together are counted together. No allocation in steady state.

use std::time::Instant;

use sutra_runtime::Histogram;
use sutra_wire::Opcode;

/// Requests of one kind that arrived together and were answered in this turn.
struct Answered {
    opcode: u8,
    arrived: Instant,
    times: u64,
}

/// How long requests took on one core.
pub(crate) struct Latencies {
    /// In the order of [`Opcode::ALL`].
    histograms: Vec<Histogram>,
    answered: Vec<Answered>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histograms = Opcode::ALL.iter().map(|_| Histogram::default()).collect();
        Self { histograms, answered: Vec::new() }
    }
}

impl Latencies {
    /// A request is answered; its answer leaves at the end of this turn.
    pub(crate) fn note(&mut self, opcode: u8, arrived: Instant) {
        match self.answered.last_mut() {
            Some(last) if last.opcode == opcode && last.arrived == arrived => last.times += 1,
            _ => self.answered.push(Answered { opcode, arrived, times: 1 }),
        }
    }

    /// The turn ends: its answers are on their way. Returns when, where there are any.
    pub(crate) fn turn_ended(&mut self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        if self.answered.is_empty() {
            return None;
        }
        let now = now();
        for Answered { opcode, arrived, times } in self.answered.drain(..) {
            let place = Opcode::ALL.iter().position(|known| *known as u8 == opcode);
            // What no server knows is refused, and is no operation.
            if let Some(place) = place {
                self.histograms[place].record(now.saturating_duration_since(arrived), times);
            }
        }
        Some(now)
    }

    /// Every operation that was asked for, with how long it took.
    pub(crate) fn by_operation(&self) -> impl Iterator<Item = (Opcode, &Histogram)> {
        let all = Opcode::ALL.iter().copied().zip(&self.histograms);
        all.filter(|(_, histogram)| histogram.count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_that_arrived_together_are_counted_each() {
        let mut latencies = Latencies::default();
        let arrived = Instant::now();
        let later = arrived + Duration::from_millis(1);
        for (opcode, arrived) in [
            (Opcode::Query, arrived),
            (Opcode::Query, arrived),
            (Opcode::Learn, arrived),
            (Opcode::Query, later),
        ] {
            latencies.note(opcode as u8, arrived);
        }
        latencies.note(u8::MAX, arrived);
        latencies.turn_ended(|| arrived + Duration::from_millis(3));
        latencies.turn_ended(|| unreachable!("nothing was answered since"));
        let all: Vec<_> = latencies
            .by_operation()
            .map(|(opcode, histogram)| (opcode, histogram.count(), histogram.sum().as_millis()))
            .collect();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.contains(&(Opcode::Query, 3, 8)) && all.contains(&(Opcode::Learn, 1, 3)));
    }
}
