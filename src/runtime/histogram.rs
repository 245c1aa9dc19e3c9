//! How long things took: a histogram with eight buckets an octave.
//!
//! The buckets are those of Prometheus's native histograms of schema 3: their bounds are powers of
//! 2^(1/8) seconds, so that a quantile is off by less than 9.1 %, a bucket's width. Histograms of
//! several cores are added bucket by bucket. Plain numbers: only the core itself counts.
//!
//! Cost of a record: a binary search among the bounds, and three additions.

use std::time::Duration;

/// Octaves between the bounds: from 2^-20 s, which is 0.95 µs, to 2^7 s, which is 128 s.
const OCTAVES: usize = 27;
const PER_OCTAVE: usize = 8;
const LOWEST: i32 = -20;
/// The first bucket takes what is shorter than all bounds, the last one what is longer.
const BUCKETS: usize = OCTAVES * PER_OCTAVE + 2;

/// 2^(0/8) to 2^(7/8).
const ROOTS: [f64; PER_OCTAVE] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    std::f64::consts::SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];

/// The upper bounds of all buckets but the last, in ns, rounded down.
const BOUNDS: [u64; BUCKETS - 1] = bounds();

const fn bounds() -> [u64; BUCKETS - 1] {
    let mut bounds = [0; BUCKETS - 1];
    let mut at = 0;
    while at < bounds.len() {
        let octave = at / PER_OCTAVE;
        let second = 1e9 / (1u64 << -LOWEST) as f64;
        bounds[at] = (second * (1u64 << octave) as f64 * ROOTS[at % PER_OCTAVE]) as u64;
        at += 1;
    }
    bounds
}

/// How often durations of each length were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum_ns: 0 }
    }
}

impl Histogram {
    /// Notes a duration that was seen so many times.
    pub fn record(&mut self, duration: Duration, times: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < ns);
        self.counts[bucket] += times;
        self.count += times;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(times));
    }

    /// Adds what another has seen.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
        self.count += other.count;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// What was seen since `earlier`, a copy of this histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (count, before) in since.counts.iter_mut().zip(earlier.counts.iter()) {
            *count = count.saturating_sub(*before);
        }
        since.count = self.count.saturating_sub(earlier.count);
        since.sum_ns = self.sum_ns.saturating_sub(earlier.sum_ns);
        since
    }

    /// How many durations were seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What they add up to.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The duration that this share of all, 0 to 1, did not exceed; `None` where nothing was seen.
    /// Within a bucket durations are taken to be spread evenly.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).max(f64::MIN_POSITIVE);
        let mut below = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            if *count > 0 && below.saturating_add(*count) as f64 >= rank {
                let low = bucket.checked_sub(1).map_or(0, |bucket| BOUNDS[bucket]) as f64;
                let high = BOUNDS.get(bucket).map_or(low, |bound| *bound as f64);
                let within = (rank - below as f64) / *count as f64;
                return Some(Duration::from_nanos((low + within * (high - low)) as u64));
            }
            below = below.saturating_add(*count);
        }
        None
    }

    /// The buckets that hold something: their upper bounds in ns, and how many durations each has.
    /// What is longer than all bounds counts as twice the last one.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let beyond = 2 * BOUNDS[BUCKETS - 2];
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(move |(at, count)| (BOUNDS.get(at).copied().unwrap_or(beyond), *count))
    }

    /// What was told by [`Histogram::buckets`]. What the durations add up to was not.
    pub fn of_buckets(buckets: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut histogram = Self::default();
        for (upper, times) in buckets {
            let bucket = BOUNDS.partition_point(|bound| *bound < upper);
            histogram.counts[bucket] = histogram.counts[bucket].saturating_add(times);
            histogram.count = histogram.count.saturating_add(times);
        }
        histogram
    }

    /// How many durations were at most so many seconds, for every octave, and for all of them at
    /// the end.
    pub fn by_octave(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut seen = 0;
        let mut buckets = self.counts.iter();
        let octaves = (0..=OCTAVES).map(move |octave| {
            // The first bound is the lowest octave's own.
            let take = if octave == 0 { 1 } else { PER_OCTAVE };
            seen += buckets.by_ref().take(take).sum::<u64>();
            (2f64.powi(LOWEST + octave as i32), seen)
        });
        octaves.chain(std::iter::once((f64::INFINITY, self.count)))
    }
}

impl Histogram {
    /// The schema of the buckets that [`Histogram::native`] tells.
    pub const SCHEMA: i32 = 3;
    /// What is at most so long has no bucket there, in seconds.
    pub const LEAST: f64 = 1.0 / (1 << -LOWEST) as f64;

    /// How many durations were at most [`Histogram::LEAST`], and how many were in each bucket of a
    /// native histogram, by its index: i is for those above 2^((i-1)/8) s and up to 2^(i/8) s.
    /// Buckets that have none are left out. What is longer than 128 s is in the one above that,
    /// whatever its length.
    pub fn native(&self) -> (u64, impl Iterator<Item = (i32, u64)>) {
        let buckets = self.counts.iter().enumerate().skip(1).filter(|(_, count)| **count > 0);
        let lowest = LOWEST * PER_OCTAVE as i32;
        (self.counts[0], buckets.map(move |(at, count)| (lowest + at as i32, *count)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(all: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        all.into_iter().for_each(|micros| histogram.record(Duration::from_micros(micros), 1));
        histogram
    }

    #[test]
    fn only_buckets_that_hold_something_are_told_with_their_upper_bounds() {
        let mut histogram = of([1, 1, 1000]);
        histogram.record(Duration::from_secs(1000), 2);
        let buckets: Vec<_> = histogram.buckets().collect();
        let counts: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 2]);
        for ((bound, _), ns) in buckets.iter().zip([1_000, 1_000_000, 256_000_000_000_u64]) {
            assert!((ns..ns + ns / 10).contains(bound), "{ns} in {bound}");
        }
    }

    #[test]
    fn a_histogram_that_was_told_by_its_buckets_has_the_same_quantiles() {
        let mut histogram = of((1..=9_000).map(|n| n * n));
        histogram.record(Duration::from_secs(1000), 20);
        let told = Histogram::of_buckets(histogram.buckets());
        assert_eq!(told.count(), histogram.count());
        for share in [0.0, 0.001, 0.5, 0.99, 0.999, 1.0] {
            assert_eq!(told.quantile(share), histogram.quantile(share), "{share}");
        }
        let most = Histogram::of_buckets([(u64::MAX, u64::MAX), (u64::MAX, u64::MAX)]);
        assert_eq!(most.count(), u64::MAX);
    }

    #[test]
    fn a_quantile_is_within_a_bucket_of_the_true_one() {
        let histogram = of(1..=100_000);
        for (share, micros) in [(0.001, 100.0), (0.5, 50_000.0), (0.99, 99_000.0), (1.0, 1e5)] {
            let found = histogram.quantile(share).map(|found| found.as_secs_f64() * 1e6);
            let error = found.map(|found| (found / micros - 1.0).abs());
            assert!(error.is_some_and(|error| error < 0.091), "{share}: {found:?}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn octaves_hold_what_is_at_most_so_long() {
        let histogram = of([0, 1, 2, 1_000, 500_000, 1_000_000, 3_000_000_000]);
        let octaves: Vec<_> = histogram.by_octave().collect();
        let at_most = |seconds: f64| octaves.iter().find(|(bound, _)| *bound == seconds).unwrap().1;
        assert_eq!((octaves.len(), at_most(2f64.powi(-20)), at_most(2f64.powi(-19))), (29, 1, 2));
        assert_eq!((at_most(0.5), at_most(1.0), at_most(128.0)), (5, 6, 6));
        assert_eq!(octaves.last(), Some(&(f64::INFINITY, 7)));
    }

    #[test]
    fn native_buckets_hold_what_is_at_most_as_long_as_their_index_says() {
        let histogram = of([0, 1, 500_000, 500_001, 1_000_000, 1_000_001, 3_000_000_000]);
        let (least, buckets) = histogram.native();
        // 2^-20 s is a little less than a microsecond, and 2^(-159/8) s a little more.
        assert_eq!(least, 1);
        let buckets: Vec<_> = buckets.collect();
        assert_eq!(buckets, [(-159, 1), (-8, 1), (-7, 1), (0, 1), (1, 1), (57, 1)]);
        assert_eq!(Histogram::LEAST, 2f64.powi(-20));
    }

    #[test]
    fn what_is_added_and_taken_away_is_what_was_seen() {
        let (one, other) = (of([5, 50, 500]), of([70, 70]));
        let mut both = one.clone();
        both.add(&other);
        assert_eq!((both.count(), both.sum()), (5, Duration::from_micros(695)));
        assert_eq!(both.since(&one), other);
        let mut at_once = Histogram::default();
        at_once.record(Duration::from_micros(70), 2);
        assert_eq!(at_once, other);
    }
}
