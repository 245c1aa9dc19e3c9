//! When the requests of an open loop are due.

/// Requests that are due at even intervals. They are counted and not stored, so the memory stays
/// the same however far the sending falls behind.
#[derive(Debug)]
pub struct Pacing {
    interval_ns: f64,
    since: u64,
    /// Requests that were sent, passed over or given up so far.
    taken: u64,
    /// The connection to try first for the next request.
    pub cursor: usize,
}

impl Pacing {
    /// `rate` requests a second, from `since` (in ns of the run's clock) on.
    pub fn new(rate: f64, since: u64) -> Self {
        Self { interval_ns: 1e9 / rate, since, taken: 0, cursor: 0 }
    }

    /// When the next request is due, in ns of the run's clock.
    pub fn next_due(&self) -> u64 {
        self.since + (self.taken as f64 * self.interval_ns) as u64
    }

    /// Counts the next request as sent.
    pub fn take(&mut self) {
        self.taken += 1;
    }

    /// Passes over all requests that were due before `since` and not sent.
    pub fn pass_over(&mut self, since: u64) {
        while self.next_due() < since {
            self.take();
        }
    }

    /// Gives up all requests that were due before `until` and not sent. Calls `waited` for each
    /// that was due from `since` on, with the ns that it had waited at `until`. Returns how many
    /// those were.
    pub fn give_up(&mut self, since: u64, until: u64, mut waited: impl FnMut(u64)) -> u64 {
        let mut count = 0;
        while self.next_due() < until {
            if self.next_due() >= since {
                waited(until - self.next_due());
                count += 1;
            }
            self.take();
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_intervals_without_drift() {
        let mut pacing = Pacing::new(3.0, 100);
        let due: Vec<u64> = (0..4)
            .map(|_| {
                let due = pacing.next_due();
                pacing.take();
                due
            })
            .collect();
        assert_eq!(due, [100, 333_333_433, 666_666_766, 1_000_000_100]);
    }

    #[test]
    fn what_is_passed_over_was_due_earlier() {
        let mut pacing = Pacing::new(1e8, 0);
        pacing.pass_over(25);
        assert_eq!(pacing.next_due(), 30);
        pacing.pass_over(30);
        assert_eq!(pacing.next_due(), 30);
    }

    #[test]
    fn what_was_never_sent_has_waited_until_the_end() {
        let mut pacing = Pacing::new(1e9, 0);
        (0..3).for_each(|_| pacing.take());
        let mut waited = Vec::new();
        assert_eq!(pacing.give_up(5, 8, |ns| waited.push(ns)), 3);
        assert_eq!(waited, [3, 2, 1]);
        assert_eq!(pacing.next_due(), 8);
    }
}
