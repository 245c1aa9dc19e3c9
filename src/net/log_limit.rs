//! A bound on the log lines that clients can cause: so many a second, and then how many were left
//! out.

use std::time::{Duration, Instant};

/// Lets a burst of lines through each second and counts the rest.
#[derive(Debug)]
pub struct LogLimit {
    burst: u32,
    since: Option<Instant>,
    used: u32,
    left_out: u64,
}

impl LogLimit {
    /// At most `burst` lines a second.
    pub fn new(burst: u32) -> Self {
        Self { burst, since: None, used: 0, left_out: 0 }
    }

    /// Whether a line may be written now; where it may, how many were left out since the last one
    /// that was.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.used = 0;
        }
        if self.used == self.burst {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_burst_are_counted_and_reported_with_the_next() {
        let mut limit = LogLimit::new(2);
        let now = Instant::now();
        assert_eq!(
            [limit.admit(now), limit.admit(now), limit.admit(now), limit.admit(now)],
            [Some(0), Some(0), None, None]
        );
        assert_eq!(limit.admit(now + Duration::from_secs(1)), Some(2));
        assert_eq!(limit.admit(now + Duration::from_secs(1)), Some(0));
    }
}
