//! How often a node that ends by itself is started again: so many times within a window, after
//! pauses that double.
//!
//! The restarts that count are kept in the agent's list, so they still count after the agent itself
//! has restarted. Their times count from the boot, so setting the clock changes nothing. A reboot
//! forgets them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Timings;
use crate::host;

/// When a node was started again lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recent {
    /// The boot that the times count from.
    boot: String,
    /// In milliseconds since then, the oldest first.
    at_ms: Vec<u64>,
}

impl Recent {
    /// Counts a restart, and says how long to wait before it; `None` where there were too many.
    pub(crate) fn next(&mut self, timings: &Timings) -> Option<Duration> {
        self.next_at(&host::boot_id(), host::since_boot(), timings)
    }

    fn next_at(&mut self, boot: &str, now: Duration, timings: &Timings) -> Option<Duration> {
        if self.boot != boot {
            *self = Self { boot: boot.to_owned(), at_ms: Vec::new() };
        }
        self.at_ms
            .retain(|at| now.saturating_sub(Duration::from_millis(*at)) <= timings.restart_window);
        if self.at_ms.len() >= timings.restarts {
            return None;
        }
        let doublings = u32::try_from(self.at_ms.len()).unwrap_or(16).min(16);
        self.at_ms.push(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        Some(timings.restart_pause.saturating_mul(1 << doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_restart_within_the_window_is_none_and_later_ones_are_again() {
        let second = Duration::from_secs(1);
        let timings = Timings {
            restarts: 3,
            restart_window: 600 * second,
            restart_pause: second,
            ..Timings::default()
        };
        let mut recent = Recent::default();
        let start = 77 * second;
        let mut next = |at: u32| recent.next_at("boot", start + at * second, &timings);
        let pauses = [next(0), next(1), next(2), next(3)];
        assert_eq!(pauses, [Some(second), Some(2 * second), Some(4 * second), None]);
        assert_eq!(next(600), None, "the first is still within the window");
        assert_eq!(next(601), Some(4 * second), "the first is forgotten");
        assert_eq!(next(3000), Some(second), "all are forgotten");
        assert_eq!(
            recent.next_at("another", Duration::ZERO, &timings),
            Some(second),
            "and so they are by a reboot"
        );
    }
}
