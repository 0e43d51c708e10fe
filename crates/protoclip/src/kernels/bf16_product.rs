//! Matrix products of operands rounded to bfloat16, with sums in f32.
//!
//! CPUs with AVX-512 BF16 multiply pairs of bfloat16 numbers, twice as many per instruction as f32
//! ones: [`pairs`] packs and multiplies for them. Elsewhere the operands are rounded in copies that go
//! through the ordinary product: the same rounding, at a little less than the speed of f32.

#[cfg(target_arch = "x86_64")]
mod pairs;

use rayon::prelude::*;

use super::buffer::written;
use super::multiversion::multiversion;
use super::product::{self, Matrix, Target, Threads};

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// Whether this machine multiplies bfloat16 numbers faster than f32 ones.
pub fn has_bf16_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pairs::available();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// `left · right`, written to the target, or added to what it holds.
pub(super) fn multiply(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: Threads,
) {
    #[cfg(target_arch = "x86_64")]
    if pairs::available() {
        return pairs::multiply(left, right, target, add, threads);
    }
    multiply_rounded(left, right, target, add, threads);
}

fn multiply_rounded(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: Threads,
) {
    let (left_values, right_values) = (rounded(left.span()), rounded(right.span()));
    let (left, right) = (left.with(&left_values), right.with(&right_values));
    product::multiply_f32(left, right, target, add, threads);
}

#[allow(unsafe_code, reason = "the copy is written piece by piece")]
fn rounded(values: &[f32]) -> Vec<f32> {
    // SAFETY: the pieces cover the copy, and `round_all` writes every element of one.
    unsafe {
        written(values.len(), |copy| {
            let pieces = copy.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE));
            pieces.for_each(|(copy, values)| round_all(values, copy));
        })
    }
}

multiversion! {
    fn round_all(values: &[f32], copy: &mut [std::mem::MaybeUninit<f32>]) = round_all_loop;
}

#[inline(always)]
fn round_all_loop<const FMA: bool>(values: &[f32], copy: &mut [std::mem::MaybeUninit<f32>]) {
    for (copy, &value) in copy.iter_mut().zip(values) {
        copy.write(f32::from_bits(bf16_bits(value) << 16));
    }
}

/// The bits of the nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() {
        (bits >> 16) | 0x40
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seed: usize, n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * seed) % 1013) as f32 / 300.0 - 1.7)
            .collect()
    }

    #[test]
    fn rounding_is_that_of_the_bfloat16_type() {
        let values = [
            0.0,
            -0.0,
            1.0,
            1.003_906_2,
            1.011_718_8,
            -3.131_592_7,
            f32::MAX,
            f32::MIN_POSITIVE / 8.0,
            f32::INFINITY,
            f32::NAN,
        ];
        for (ours, value) in rounded(&values).iter().zip(values) {
            let wanted = half::bf16::from_f32(value).to_f32();
            assert!(ours.to_bits() == wanted.to_bits() || (ours.is_nan() && wanted.is_nan()));
        }
    }

    /// Every way of computing, against f64 sums of rounded operands.
    #[test]
    fn products_are_those_of_the_rounded_operands() {
        for [m, n, k] in [
            [1, 1, 1],
            [5, 7, 3],
            [13, 33, 40],
            [100, 70, 801],
            [130, 96, 64],
        ] {
            let (a, b) = (series(7, m * k), series(11, k * n));
            let (left, right) = (Matrix::new(&a, k), Matrix::new(&b, n));
            let (at, bt) = (transposed(&a, k), transposed(&b, n));
            let (left_t, right_t) = (
                Matrix::new(&at, m).transpose(),
                Matrix::new(&bt, k).transpose(),
            );
            let wanted = definition(&rounded(&a), &rounded(&b), [m, n, k]);
            for (left, right) in [
                (left, right),
                (left_t, right),
                (left, right_t),
                (left_t, right_t),
            ] {
                for threads in [Threads::One, Threads::Pool] {
                    for way in [multiply, multiply_rounded] {
                        let mut sums = vec![1.0; m * n];
                        let target = Target::rows(super::super::buffer::overwrite(&mut sums), n);
                        way(left, right, target, true, threads);
                        for (sum, wanted) in sums.iter().zip(&wanted) {
                            let error = (f64::from(*sum) - 1.0 - wanted).abs();
                            assert!(error < 1e-6 * (k as f64 + 10.0), "{m} {n} {k}: {error:e}");
                        }
                    }
                }
            }
        }
    }

    fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
        let rows = values.len() / columns;
        (0..values.len())
            .map(|i| values[i % rows * columns + i / rows])
            .collect()
    }

    fn definition(a: &[f32], b: &[f32], [m, n, k]: [usize; 3]) -> Vec<f64> {
        let element = |at: usize| {
            let (i, j) = (at / n, at % n);
            (0..k)
                .map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j]))
                .sum()
        };
        (0..m * n).map(element).collect()
    }
}
