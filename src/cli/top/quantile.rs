//! What most requests of an interval did not exceed, from the differences of buckets.

use std::time::Duration;

use super::sample::Buckets;

/// Each bucket's upper bound is so many times its lower one: eight of them double.
const WIDTH: f64 = 1.090_507_732_665_257_7;

/// What was counted between two looks: upper bounds in ns, ascending, with counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Took {
    count: u64,
    buckets: Vec<(u64, u64)>,
}

impl Took {
    /// `before` is an earlier look at the same server.
    pub(super) fn between(before: &Buckets, now: &Buckets) -> Self {
        let earlier = |bound: u64| {
            let found = before.buckets.binary_search_by_key(&bound, |(bound, _)| *bound);
            found.map_or(0, |at| before.buckets[at].1)
        };
        let since = |(bound, count): &(u64, u64)| (*bound, count.saturating_sub(earlier(*bound)));
        let buckets: Vec<_> =
            now.buckets.iter().map(since).filter(|(_, count)| *count > 0).collect();
        Self { count: buckets.iter().map(|(_, count)| count).sum(), buckets }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What this share of them, 0 to 1, did not exceed; `None` where there were none. Within a
    /// bucket they are taken to be spread evenly.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.count as f64).max(f64::MIN_POSITIVE);
        let mut below = 0;
        for (bound, count) in &self.buckets {
            if (below + count) as f64 >= rank {
                let (high, within) = (*bound as f64, (rank - below as f64) / *count as f64);
                let low = high / WIDTH;
                return Some(Duration::from_nanos((low + within * (high - low)) as u64));
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(buckets: &[(u64, u64)]) -> Buckets {
        Buckets { buckets: buckets.to_vec(), ..Buckets::default() }
    }

    #[test]
    fn only_what_was_counted_since_counts() {
        let before = buckets(&[(1_000, 50), (2_000, 10)]);
        let now = buckets(&[(1_000, 50), (2_000, 100), (1_000_000, 10)]);
        let took = Took::between(&before, &now);
        assert_eq!(took.count(), 100);
        let at = |share| took.quantile(share).map(|took| took.as_nanos());
        assert!(at(0.5).is_some_and(|ns| (1_834..=2_000).contains(&ns)), "{took:?}");
        assert!(at(0.99).is_some_and(|ns| (916_000..=1_000_000).contains(&ns)), "{took:?}");
        assert_eq!(at(1.0), Some(1_000_000));
    }

    #[test]
    fn nothing_has_no_quantile() {
        let same = buckets(&[(1_000, 50)]);
        assert_eq!(Took::between(&same, &same).quantile(0.5), None);
    }
}
