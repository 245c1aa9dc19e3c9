//! When the requests of an open loop are due.

/// Even intervals, counted and not stored: however far the sending falls behind, what is due costs
/// a number.
#[derive(Debug)]
pub struct Pacing {
    interval_ns: f64,
    since: u64,
    /// Requests that were due and have been sent.
    taken: u64,
    /// The connection that the next one is for, if it has room.
    pub cursor: usize,
}

impl Pacing {
    /// So many requests a second from `since` on.
    pub fn new(rate: f64, since: u64) -> Self {
        Self { interval_ns: 1e9 / rate, since, taken: 0, cursor: 0 }
    }

    /// When the next request is due, in ns of the run's clock.
    pub fn next_due(&self) -> u64 {
        self.since + (self.taken as f64 * self.interval_ns) as u64
    }

    /// It was sent.
    pub fn take(&mut self) {
        self.taken += 1;
    }

    /// Passes over all that were due before `since` and not sent.
    pub fn pass_over(&mut self, since: u64) {
        while self.next_due() < since {
            self.take();
        }
    }

    /// Takes all that were due from `since` to `until` and not sent; tells of each how long it had
    /// waited.
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
