//! How often a node that ends by itself is started again: so many times within a window, after pauses that double.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The restarts that count.
#[derive(Debug)]
pub(super) struct Restarts {
    most: usize,
    window: Duration,
    pause: Duration,
    at: VecDeque<Instant>,
}

impl Restarts {
    pub(super) fn new(most: usize, window: Duration, pause: Duration) -> Self {
        Self { most, window, pause, at: VecDeque::new() }
    }

    /// Counts a restart and says after what pause it may be; `None` where there have been too many.
    pub(super) fn next(&mut self, now: Instant) -> Option<Duration> {
        while self.at.front().is_some_and(|at| now.duration_since(*at) > self.window) {
            self.at.pop_front();
        }
        if self.at.len() >= self.most {
            return None;
        }
        let doublings = u32::try_from(self.at.len()).unwrap_or(16).min(16);
        self.at.push_back(now);
        Some(self.pause.saturating_mul(1 << doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_restart_within_the_window_is_none_and_later_ones_are_again() {
        let second = Duration::from_secs(1);
        let mut restarts = Restarts::new(3, 600 * second, second);
        let start = Instant::now();
        let pauses: Vec<_> = (0..4).map(|at| restarts.next(start + at * second)).collect();
        assert_eq!(pauses, [Some(second), Some(2 * second), Some(4 * second), None]);
        assert_eq!(restarts.next(start + 600 * second), None, "the first is still within the window");
        assert_eq!(restarts.next(start + 601 * second), Some(4 * second), "the first is forgotten");
        assert_eq!(restarts.next(start + 3000 * second), Some(second), "all are forgotten");
    }
}
