//! Where every choice of a run comes from: numbers that follow from a seed.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014), written
//! out here: a seed shall mean the same run whatever becomes of a library. Each kind of choice has
//! a stream of its own, so that leaving out an operation changes no other operation.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Plan = 1,
    Schedule = 2,
    Operation = 3,
    Fault = 4,
    Crash = 5,
    Disk = 6,
    Check = 7,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The `number`th stream for this.
    pub(crate) fn of(seed: u64, stream: Stream, number: u64) -> Random {
        let mut random = Random(seed);
        let mut mixed = random.next() ^ (stream as u64).wrapping_mul(GOLDEN);
        for part in [stream as u64, number] {
            mixed = Random(mixed ^ part.wrapping_mul(GOLDEN).rotate_left(17)).next();
        }
        Random(mixed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from one to another, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// As [`Random::between`], with as many numbers below ten as between ten and a hundred.
    pub(crate) fn magnitude(&mut self, first: u64, last: u64) -> u64 {
        let (first, last) = (first.max(1) as f64, last as f64);
        let share = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        (first.ln() + share * ((last + 1.0).ln() - first.ln())).exp().min(last) as u64
    }

    /// `true` once in so many times.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_again_and_unlike_its_neighbours() {
        let of = |seed, stream, number| {
            let mut random = Random::of(seed, stream, number);
            [random.next(), random.next()]
        };
        assert_eq!(of(7, Stream::Disk, 3), of(7, Stream::Disk, 3));
        let others = [of(8, Stream::Disk, 3), of(7, Stream::Fault, 3), of(7, Stream::Disk, 4)];
        assert!(others.iter().all(|other| *other != of(7, Stream::Disk, 3)));
    }

    #[test]
    fn numbers_keep_to_their_bounds_and_reach_them() {
        let mut random = Random::of(1, Stream::Check, 0);
        let seen: Vec<u64> = (0..1000).map(|_| random.between(3, 5)).collect();
        assert!([3, 4, 5].iter().all(|number| seen.contains(number)));
        assert!(seen.iter().all(|number| (3..=5).contains(number)));
        assert!((0..1000).all(|_| (1..=5000).contains(&random.magnitude(1, 5000))));
    }
}
