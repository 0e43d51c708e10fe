//! Scalar functions without branches, so that loops over them become vector code.
//!
//! `FMA` says whether the code is compiled for a unit with fused multiply-add; without one, `mul_add`
//! would call a slow library function.

/// Lanes that reductions keep apart, so that the order of additions does not depend on the unit.
pub(super) const LANES: usize = 16;

/// 1.5·2²³, where neighbouring numbers are one apart: adding it rounds a number below 2²² to the nearest
/// integer, ties to even, and leaves that in the low bits.
pub(crate) const NO_FRACTION: f32 = 12_582_912.0;

/// `a·b + c`
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` with a relative error near 1e-7; arguments are clamped to [-87.3, 88.3].
///
/// `x = n·ln 2 + r`, a polynomial for `eʳ` (Cephes' coefficients), and n added to the exponent bits.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, NO_FRACTION);
    let n = shifted - NO_FRACTION;
    let r = fma::<FMA>(n, -LN_2_LOW, fma::<FMA>(n, -LN_2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ] {
        p = fma::<FMA>(p, r, coefficient);
    }
    let y = fma::<FMA>(p, r * r, r) + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `1 / (1 + e⁻ˣ)`
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// Standard normal distribution function and density; the first is within 2e-7 (Abramowitz and
/// Stegun 7.1.26).
#[inline(always)]
pub(super) fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fma::<FMA>(z, 0.327_591_1, 1.0);
    let mut p = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = fma::<FMA>(p, t, coefficient);
    }
    let e = exp::<FMA>(-z * z);
    let tail = 0.5 * p * t * e;
    let distribution = if x >= 0.0 { 1.0 - tail } else { tail };
    (distribution, e * INVERSE_SQRT_TAU)
}

/// Sum in a fixed order.
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    add_lanes(lanes) + rest.iter().sum::<f32>()
}

/// Inner product in a fixed order; both sides have the same length.
#[inline(always)]
pub(super) fn dot<const FMA: bool>(x: &[f32], y: &[f32]) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (x, y) in x.iter().zip(y) {
        for i in 0..LANES {
            lanes[i] = fma::<FMA>(x[i], y[i], lanes[i]);
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    add_lanes(lanes) + rest
}

/// `sum += factor · x`; both sides have the same length.
#[inline(always)]
pub(super) fn add_scaled<const FMA: bool>(sum: &mut [f32], factor: f32, x: &[f32]) {
    for (sum, &x) in sum.iter_mut().zip(x) {
        *sum = fma::<FMA>(factor, x, *sum);
    }
}

/// Largest value; −∞ for none.
#[inline(always)]
pub(super) fn maximum(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = lanes[i].max(block[i]);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |m, &v| m.max(v))
}

#[inline(always)]
fn add_lanes(lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    let mut lanes = lanes;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_over_its_range() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let wanted = f64::from(x).exp();
            for ours in [exp::<true>(x), exp::<false>(x)] {
                let error = (f64::from(ours) - wanted).abs() / wanted;
                assert!(error < 4e-7, "exp({x}) = {ours}, error {error:e}");
            }
        }
        assert!(exp::<true>(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn the_normal_distribution_has_its_known_values() {
        // Φ(1), Φ(2), Φ(3) to nine digits.
        let known = [
            (0.0, 0.5),
            (1.0, 0.841_344_8),
            (2.0, 0.977_249_87),
            (3.0, 0.998_650_1),
        ];
        for (x, wanted) in known {
            for sign in [1.0, -1.0] {
                let wanted = if sign > 0.0 { wanted } else { 1.0 - wanted };
                let (ours, density) = normal::<true>(sign * x);
                assert!((ours - wanted).abs() < 3e-7, "{x}: {ours} {wanted}");
                let wanted = (-0.5 * x * x).exp() / std::f32::consts::TAU.sqrt();
                assert!((density - wanted).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn reductions_agree_with_plain_loops_at_every_length() {
        let x: Vec<f32> = (0..67).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
        for n in 0..x.len() {
            let x = &x[..n];
            assert_eq!(sum(x), x.iter().sum::<f32>());
            assert_eq!(dot::<true>(x, x), x.iter().map(|v| v * v).sum::<f32>());
            assert_eq!(
                maximum(x),
                x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
        }
    }
}
