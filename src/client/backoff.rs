//! How long to wait before trying again: exponential, with jitter. So clients that lost the same
//! server do not come back at the same moment (Brooker, "Exponential Backoff And Jitter", AWS
//! Architecture Blog, 2015).

use std::time::Duration;

use rand::RngExt as _;

/// The bound of the first wait: a server that was restarted is back within some tens of
/// milliseconds.
const FIRST: Duration = Duration::from_millis(50);
/// The bound of every later wait: soon enough for people, seldom enough for a server that thousands
/// of clients wait for.
const LONGEST: Duration = Duration::from_secs(2);

/// The wait after this many failures in a row (1 for the first): drawn evenly from half its bound
/// to its bound.
pub(crate) fn delay(failures: u32) -> Duration {
    let bound = bound(failures);
    rand::rng().random_range(bound / 2..=bound)
}

fn bound(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let bounds: Vec<u128> =
            [1, 2, 3, 6, 7, 100, u32::MAX].map(|failures| bound(failures).as_millis()).to_vec();
        assert_eq!(bounds, [50, 100, 200, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn waits_are_spread_over_the_upper_half_of_their_bound() {
        let delays: HashSet<Duration> = (0..100).map(|_| delay(4)).collect();
        assert!(delays.len() > 90);
        assert!(delays.iter().all(|delay| {
            (Duration::from_millis(200)..=Duration::from_millis(400)).contains(delay)
        }));
    }
}
