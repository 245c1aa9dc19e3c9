//! The inner loops: products of vectors, compiled for what CPUs have and chosen when they run
//! (AVX-512, AVX2, NEON).
//!
//! Plain loops over a fixed number of sums, so that the compiler can put them side by side in
//! registers. The order of additions is the same on every CPU, so a similarity does not depend on
//! the machine. Lengths that differ count as the shorter one.
//!
//! Loops over indices, as what an iterator calls may be compiled as a function of its own, for the
//! oldest CPU.

use multiversion::multiversion;
use rkyv::rend::f32_le;

/// Sums kept side by side: two AVX-512 registers of `f32`, four of AVX2.
const LANES: usize = 32;

fn total(sums: &[f32; LANES]) -> f32 {
    sums.iter().sum()
}

/// Σ a·b. Cost: 384 numbers take about 30 ns when they are in the cache.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn dot(a: &[f32_le], b: &[f32_le]) -> f32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for at in 0..a.len() {
        for lane in 0..LANES {
            sums[lane] += a[at][lane].to_native() * b[at][lane].to_native();
        }
    }
    for lane in 0..a_rest.len() {
        sums[lane] += a_rest[lane].to_native() * b_rest[lane].to_native();
    }
    total(&sums)
}

/// Σ a². Cost: as [`dot`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn square(a: &[f32_le]) -> f32 {
    let (a, rest) = a.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for a in a {
        for lane in 0..LANES {
            sums[lane] += a[lane].to_native() * a[lane].to_native();
        }
    }
    for lane in 0..rest.len() {
        sums[lane] += rest[lane].to_native() * rest[lane].to_native();
    }
    total(&sums)
}

/// Σ a·b of small integers. At most 65,536 products of 127² each: below 2³¹. Cost: 384 numbers take
/// about 10 ns when they are in the cache.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512vnni",
    "x86_64+avx512f+avx512vl+avx512bw",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sum = 0i32;
    for at in 0..length {
        // Wrapping, as a check of every addition would keep them apart.
        sum = sum.wrapping_add(i32::from(a[at]) * i32::from(b[at]));
    }
    sum
}

/// The greatest magnitude.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn greatest(a: &[f32_le]) -> f32 {
    let mut chunks = a.chunks_exact(LANES);
    let mut greatest = [0.0f32; LANES];
    for a in &mut chunks {
        for lane in 0..LANES {
            greatest[lane] = greatest[lane].max(a[lane].to_native().abs());
        }
    }
    let rest = chunks.remainder().iter().map(|a| a.to_native().abs());
    greatest.into_iter().chain(rest).fold(0.0, f32::max)
}

/// Divides by `greatest`, the greatest magnitude, and rounds to steps of 1/127.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn quantize(vector: &[f32_le], greatest: f32, out: &mut [i8]) {
    for (out, number) in out.iter_mut().zip(vector) {
        let scaled = number.to_native() / greatest * 127.0;
        *out = (scaled + 0.5f32.copysign(scaled)) as i8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -1 to 1 that look like nothing in particular.
    fn numbers(length: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state >> 8) / f64::from(1 << 23) - 1.0) as f32
        };
        (0..length).map(|_| next()).collect()
    }

    fn stored(numbers: &[f32]) -> Vec<f32_le> {
        numbers.iter().map(|number| f32_le::from_native(*number)).collect()
    }

    #[test]
    fn products_equal_those_of_a_plain_loop_at_every_length() {
        for length in (0..200).chain([383, 384, 385, 1000, 4096, 65_536]) {
            let (a, b) = (numbers(length, 1), numbers(length, 2));
            let product = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let near = |found: f32, expected: f64| {
                (f64::from(found) - expected).abs() <= 1e-6 * (1.0 + length as f64)
            };
            assert!(near(dot(&stored(&a), &stored(&b)), product(&a, &b)), "length {length}");
            assert!(near(square(&stored(&a)), product(&a, &a)), "length {length}");
            assert_eq!(
                greatest(&stored(&a)),
                a.iter().fold(0.0f32, |most, a| most.max(a.abs())),
                "length {length}"
            );
            let small = |numbers: &[f32]| -> Vec<i8> {
                numbers.iter().map(|number| (number * 127.0) as i8).collect()
            };
            let (a, b) = (small(&a), small(&b));
            let expected: i64 = a.iter().zip(&b).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
            assert_eq!(i64::from(dot_i8(&a, &b)), expected, "length {length}");
        }
    }

    #[test]
    fn the_largest_product_of_the_longest_vectors_fits() {
        let longest = vec![-127; sutra_wire::limits::MAX_DIMENSION];
        assert_eq!(dot_i8(&longest, &longest), 127 * 127 * 65_536);
    }

    #[test]
    fn numbers_of_any_size_are_rounded_to_steps_of_the_greatest() {
        for size in [1.0, 1e-45, 1e-30, 1e30, f32::MAX] {
            let vector = stored(&[size, -size, 0.0]);
            let mut out = [1; 3];
            quantize(&vector, greatest(&vector), &mut out);
            assert_eq!(out, [127, -127, 0], "{size}");
        }
        let mut out = [0; 4];
        quantize(&stored(&[127.0, 2.4, 2.6, -2.6]), 127.0, &mut out);
        assert_eq!(out, [127, 2, 3, -3]);
    }

    #[test]
    fn lengths_that_differ_count_as_the_shorter_one() {
        assert_eq!(dot(&stored(&[1.0; 40]), &stored(&[2.0; 33])), 66.0);
        assert_eq!(dot_i8(&[1; 3], &[1; 200]), 3);
    }
}
