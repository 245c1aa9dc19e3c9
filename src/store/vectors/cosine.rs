//! Cosine similarity of a query and stored vectors, for every finite number that a vector may hold.
//!
//! Ordinary vectors take one product and two multiplications. Where the squares leave the range in
//! which `f32` is precise, all is computed again in `f64`, in which no finite vector overflows. A
//! zero vector has similarity 0 to everything.

use rkyv::rend::f32_le;

use super::kernels;

/// Sums of squares between these are precise in `f32`, and so are the products of two such vectors.
const ORDINARY: std::ops::RangeInclusive<f32> = 1e-24..=1e24;

/// What a vector's length says of it: one over the length, or one of two values that no ordinary
/// length has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Length(f32);

impl Length {
    /// All numbers are 0.
    pub(super) const ZERO: Self = Self(0.0);
    /// So short or long that `f32` does not do.
    const EXTREME: Self = Self(f32::INFINITY);

    pub(super) fn of(vector: &[f32_le]) -> Self {
        match kernels::square(vector) {
            square if ORDINARY.contains(&square) => Self(square.sqrt().recip()),
            // Numbers so small that their squares are 0 are numbers all the same.
            _ if vector.iter().all(|number| number.to_native() == 0.0) => Self::ZERO,
            _ => Self::EXTREME,
        }
    }
}

/// A vector that others are compared with.
#[derive(Debug)]
pub(super) struct Direction {
    vector: Vec<f32_le>,
    length: Length,
}

impl Direction {
    /// Finite numbers, which the wire has checked.
    pub(super) fn new(vector: &[f32]) -> Self {
        let vector: Vec<_> = vector.iter().map(|number| f32_le::from_native(*number)).collect();
        Self { length: Length::of(&vector), vector }
    }

    pub(super) fn vector(&self) -> &[f32_le] {
        &self.vector
    }

    pub(super) fn is_zero(&self) -> bool {
        self.length == Length::ZERO
    }

    /// From -1 to 1. `length` is that of `stored`. Cost: 384 numbers take about 30 ns when they are
    /// in the cache.
    pub(super) fn similarity(&self, stored: &[f32_le], length: Length) -> f32 {
        let similarity = match (self.length, length) {
            (Length::ZERO, _) | (_, Length::ZERO) => 0.0,
            (Length::EXTREME, _) | (_, Length::EXTREME) => precise(&self.vector, stored),
            (Length(a), Length(b)) => kernels::dot(&self.vector, stored) * a * b,
        };
        // A negative zero would stand behind a zero.
        similarity.clamp(-1.0, 1.0) + 0.0
    }
}

fn precise(a: &[f32_le], b: &[f32_le]) -> f32 {
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a.to_native()), f64::from(b.to_native()));
        product += a * b;
        left += a * a;
        right += b * b;
    }
    (product / (left.sqrt() * right.sqrt())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(a: &[f32], b: &[f32]) -> f32 {
        let stored: Vec<_> = b.iter().map(|number| f32_le::from_native(*number)).collect();
        Direction::new(a).similarity(&stored, Length::of(&stored))
    }

    #[test]
    fn numbers_of_any_size_have_the_similarity_of_their_directions() {
        let sizes = [1.0, 1e-45, f32::MIN_POSITIVE, 1e-20, 1e-12, 1e12, 1e20, f32::MAX];
        for a in sizes {
            for b in sizes {
                assert!((similarity(&[a, 0.0], &[b, 0.0]) - 1.0).abs() < 1e-6, "{a} {b}");
                assert!((similarity(&[a, a], &[-b, 0.0]) + 0.5f32.sqrt()).abs() < 1e-6, "{a} {b}");
                assert_eq!(similarity(&[a, 0.0], &[0.0, b]), 0.0, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_zero_vector_has_similarity_0_to_everything() {
        for other in [[0.0, -0.0], [1.0, 2.0], [1e-45, 0.0], [f32::MAX, f32::MAX]] {
            assert_eq!(
                (similarity(&[0.0, -0.0], &other), similarity(&other, &[0.0, 0.0])),
                (0.0, 0.0)
            );
        }
    }

    #[test]
    fn a_similarity_is_never_beyond_1() {
        for length in 1..500 {
            let vector: Vec<f32> = (0..length).map(|number| (number as f32).sin()).collect();
            let opposite: Vec<f32> = vector.iter().map(|number| -number).collect();
            assert!(
                (0.999_999..=1.0).contains(&similarity(&vector, &vector))
                    || vector.iter().all(|n| *n == 0.0)
            );
            assert!(similarity(&vector, &opposite) >= -1.0);
        }
    }
}
