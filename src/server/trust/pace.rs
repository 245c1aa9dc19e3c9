//! How long a reading is to rest after each step, so that it takes no more bytes a second than it
//! may. How many that are can change while it goes.

use std::time::Duration;

/// Of a reading that was slower than it may be, so much time is made up for.
const SLACK: Duration = Duration::from_millis(100);

/// What a reading has taken, and not rested for.
#[derive(Debug, Default)]
pub(super) struct Pace {
    done: u64,
    owed: f64,
}

impl Pace {
    /// How long it is to rest when it has read so many bytes in all, may read so many a second, and
    /// so much time has passed since this was asked last.
    pub(super) fn rest(&mut self, done: u64, bandwidth: u64, passed: Duration) -> Duration {
        let (read, rate) = (done.saturating_sub(self.done), bandwidth as f64);
        self.done = done;
        let owed = self.owed + read as f64 - passed.as_secs_f64() * rate;
        self.owed = owed.max(-SLACK.as_secs_f64() * rate);
        Duration::try_from_secs_f64(self.owed / rate).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_reading_rests_for_what_it_has_read_and_for_less_as_soon_as_it_may_read_more() {
        let mut pace = Pace::default();
        assert_eq!(pace.rest(100 * MIB, MIB, Duration::ZERO), Duration::from_secs(100));
        assert_eq!(pace.rest(100 * MIB, MIB, Duration::from_secs(20)), Duration::from_secs(80));
        assert_eq!(pace.rest(100 * MIB, 40 * MIB, Duration::ZERO), Duration::from_secs(2));
        assert_eq!(pace.rest(100 * MIB, 40 * MIB, Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn time_in_which_nothing_was_read_is_hardly_made_up_for() {
        let mut pace = Pace::default();
        assert_eq!(pace.rest(0, 10 * MIB, Duration::from_secs(3600)), Duration::ZERO);
        assert_eq!(pace.rest(11 * MIB, 10 * MIB, Duration::ZERO), Duration::from_secs(1));
    }
}
