//! How long to wait before the master is asked again: exponential, with jitter, so that a thousand
//! agents do not come back at one moment.

use std::time::Duration;

/// The bound of the first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The bound of every later wait: well below the age at which a master that is back calls an agent
/// degraded.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait after this many failures in a row (1 for the first): drawn evenly from half its bound
/// to its bound.
pub(crate) fn delay(failures: u32) -> Duration {
    let bound = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    jittered(bound.mul_f64(0.75), 1.0 / 3.0)
}

/// A time drawn evenly from around another: at most `share` of it away.
pub(crate) fn jittered(time: Duration, share: f64) -> Duration {
    time.mul_f64(rand::random_range(1.0 - share..=1.0 + share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        for (failures, bound) in [(1, 100), (2, 200), (6, 3200), (7, 5000), (u32::MAX, 5000)] {
            let bound = Duration::from_millis(bound);
            for _ in 0..20 {
                let wait = delay(failures);
                assert!(
                    (bound.mul_f64(0.499)..=bound.mul_f64(1.001)).contains(&wait),
                    "{failures}: {wait:?}"
                );
            }
        }
    }
}
