//! How long requests took lately, for alerts that compare one number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sutra_net::Histogram;
use sutra_wire::Opcode;

/// How far back is looked, as far as anybody has looked then.
const WINDOW: Duration = Duration::from_secs(60);
/// Looks that are kept are at least so far apart, so that a hundred of them a second cost no more
/// memory than one.
const APART: Duration = Duration::from_secs(5);

/// What was seen at the looks of the last minute, over all operations.
#[derive(Default)]
pub(crate) struct Recent {
    /// The oldest first; one of them is older than the window, where there is one.
    looks: VecDeque<(Instant, Histogram)>,
}

impl Recent {
    /// Notes what is seen now. Returns what was added within the window; all since the start where
    /// nobody has looked before.
    pub(crate) fn note(&mut self, now: Instant, latencies: &[(Opcode, Histogram)]) -> Histogram {
        let mut all = Histogram::default();
        latencies.iter().for_each(|(_, latency)| all.add(latency));
        // The second one will do.
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
        let within = self.looks.front().map_or_else(|| all.clone(), |(_, then)| all.since(then));
        if self.looks.back().is_none_or(|(at, _)| now.duration_since(*at) >= APART) {
            self.looks.push_back((now, all));
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_last_minute_added_counts() {
        let mut recent = Recent::default();
        let mut latency = Histogram::default();
        let began = Instant::now();
        let mut look = |recent: &mut Recent, seconds: u64, micros: u64| {
            latency.record(Duration::from_micros(micros), 1);
            let latencies = [(Opcode::Query, latency.clone())];
            recent.note(began + Duration::from_secs(seconds), &latencies).count()
        };
        assert_eq!(look(&mut recent, 0, 10), 1, "all since the start");
        assert_eq!(look(&mut recent, 1, 10), 1);
        for second in 2..60 {
            look(&mut recent, second, 10);
        }
        assert_eq!(look(&mut recent, 60, 10), 60, "since the first look, a minute ago");
        assert!(look(&mut recent, 90, 10) <= 40, "since a look at most 65 s ago");
        assert!(recent.looks.len() <= 14);
    }
}
