//! BatchNorm over rows with ReLU and a residual sum in the same pass, over slices.
//!
//! `x` is `[rows, channels]`: pictures lie channels-last. Statistics are gathered block by block in an
//! order that depends on sizes only.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffer::written;
use super::elementary::fma;
use super::multiversion::multiversion;

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// Per-channel mean and biased variance of a batch, `[channels]` each.
#[derive(Debug, Clone)]
pub(super) struct BatchStatistics {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

/// `y = x·scale + shift`, `[channels]` each.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Gradients by the input, the weight and the bias.
#[derive(Debug)]
pub(super) struct BatchNormGradients {
    pub(super) input: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl BatchStatistics {
    /// Those of all rows of `x`.
    pub(super) fn of(x: &[f32], channels: usize) -> Self {
        let rows = x.len() / channels;
        let partial: Vec<Vec<f32>> = x
            .par_chunks(piece(channels))
            .map(|x| {
                let mut moments = vec![0.0; 2 * channels];
                block_moments(x, channels, &mut moments);
                moments
            })
            .collect();
        let (mut mean, mut squares) = (vec![0.0_f64; channels], vec![0.0_f64; channels]);
        let lengths = x
            .chunks(piece(channels))
            .map(|x| (x.len() / channels) as f64);
        let mut seen = 0.0;
        for (block, length) in partial.iter().zip(lengths) {
            // Chan's combination of two samples' moments.
            let together: f64 = seen + length;
            for channel in 0..channels {
                let delta = f64::from(block[channel]) - mean[channel];
                mean[channel] += delta * length / together;
                squares[channel] +=
                    f64::from(block[channels + channel]) + delta * delta * seen * length / together;
            }
            seen = together;
        }
        Self {
            mean: mean.iter().map(|&v| v as f32).collect(),
            variance: squares.iter().map(|&v| (v / rows as f64) as f32).collect(),
        }
    }
}

impl Affine {
    /// What BatchNorm does with these statistics.
    pub(super) fn new(
        statistics: &BatchStatistics,
        weight: &[f32],
        bias: &[f32],
        epsilon: f32,
    ) -> Self {
        let scale: Vec<f32> = statistics
            .variance
            .iter()
            .zip(weight)
            .map(|(variance, weight)| weight / (variance + epsilon).sqrt())
            .collect();
        let shift = scale.iter().zip(&statistics.mean).zip(bias);
        let shift = shift.map(|((scale, mean), bias)| bias - mean * scale);
        Self {
            shift: shift.collect(),
            scale,
        }
    }

    /// `x·scale + shift`, plus `residual`, cut off at 0 with `relu`.
    #[allow(unsafe_code, reason = "the output is written row by row")]
    pub(super) fn apply(&self, x: &[f32], residual: Option<&[f32]>, relu: bool) -> Vec<f32> {
        let piece = piece(self.scale.len());
        // SAFETY: the pieces cover the output, and `transform` writes every element of one.
        unsafe {
            written(x.len(), |y| {
                let pieces = y.par_chunks_mut(piece).zip(x.par_chunks(piece));
                pieces.enumerate().for_each(|(at, (y, x))| {
                    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
                    match residual {
                        None => transform(x, &self.scale, &self.shift, floor, y),
                        Some(residual) => {
                            let residual = &residual[at * piece..][..x.len()];
                            transform_and_add(x, &self.scale, &self.shift, residual, floor, y);
                        }
                    }
                });
            })
        }
    }
}

/// Clears the gradient where the ReLU cut off; what is left is also the residual's gradient.
pub(super) fn backward_relu(gradient: &mut [f32], y: &[f32]) {
    let pieces = gradient.par_chunks_mut(PIECE).zip(y.par_chunks(PIECE));
    pieces.for_each(|(gradient, y)| mask(gradient, y));
}

/// What the backward pass looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normalised<'a> {
    pub(super) x: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) statistics: &'a BatchStatistics,
    pub(super) epsilon: f32,
}

impl Normalised<'_> {
    /// With x̂ the normalised input and g the gradient behind the ReLU:
    /// `by_x = weight/deviation · (g − mean(g) − x̂·mean(g·x̂))`.
    #[allow(unsafe_code, reason = "the input's gradient is written row by row")]
    pub(super) fn backward(self, gradient: &[f32]) -> BatchNormGradients {
        let channels = self.weight.len();
        let piece = piece(channels);
        let inverse: Vec<f32> = self
            .statistics
            .variance
            .iter()
            .map(|v| 1.0 / (v + self.epsilon).sqrt())
            .collect();
        let mean = &self.statistics.mean;
        let partial: Vec<Vec<f32>> = gradient
            .par_chunks(piece)
            .zip(self.x.par_chunks(piece))
            .map(|(gradient, x)| {
                let mut sums = vec![0.0; 2 * channels];
                gradient_sums(gradient, x, mean, &inverse, &mut sums);
                sums
            })
            .collect();
        let mut sums = vec![0.0_f64; 2 * channels];
        for block in &partial {
            for (sum, &value) in sums.iter_mut().zip(block) {
                *sum += f64::from(value);
            }
        }
        let (bias, weight) = sums.split_at(channels);
        let factors = InputFactors::new(&self, &inverse, bias, weight);
        // SAFETY: the pieces cover the result, and `input_gradient` writes every element of one.
        let input = unsafe {
            written(self.x.len(), |by_x| {
                by_x.par_chunks_mut(piece)
                    .zip(gradient.par_chunks(piece))
                    .zip(self.x.par_chunks(piece))
                    .for_each(|((by_x, gradient), x)| {
                        let InputFactors {
                            scale,
                            slope,
                            level,
                        } = &factors;
                        input_gradient(gradient, x, scale, slope, level, by_x);
                    });
            })
        };
        BatchNormGradients {
            input,
            weight: weight.iter().map(|&v| v as f32).collect(),
            bias: bias.iter().map(|&v| v as f32).collect(),
        }
    }
}

/// `by_x = scale·g + slope·x + level`, `[channels]` each.
struct InputFactors {
    scale: Vec<f32>,
    slope: Vec<f32>,
    level: Vec<f32>,
}

impl InputFactors {
    /// `sums` and `products` are those of g and of g·x̂ over all rows.
    fn new(norm: &Normalised<'_>, inverse: &[f32], sums: &[f64], products: &[f64]) -> Self {
        let rows = (norm.x.len() / norm.weight.len()) as f64;
        let mut factors = Self {
            scale: Vec::new(),
            slope: Vec::new(),
            level: Vec::new(),
        };
        for (channel, &inverse) in inverse.iter().enumerate() {
            let inverse = f64::from(inverse);
            let scale = f64::from(norm.weight[channel]) * inverse;
            let slope = -scale * products[channel] / rows * inverse;
            let mean = f64::from(norm.statistics.mean[channel]);
            factors.scale.push(scale as f32);
            factors.slope.push(slope as f32);
            factors
                .level
                .push((-scale * sums[channel] / rows - slope * mean) as f32);
        }
        factors
    }
}

fn piece(channels: usize) -> usize {
    (PIECE / channels).max(1) * channels
}

multiversion! {
    fn block_moments(x: &[f32], channels: usize, moments: &mut [f32]) = block_moments_loop;
    fn transform(x: &[f32], scale: &[f32], shift: &[f32], floor: f32, y: &mut [MaybeUninit<f32>])
        = transform_loop;
    fn transform_and_add(
        x: &[f32], scale: &[f32], shift: &[f32], residual: &[f32], floor: f32,
        y: &mut [MaybeUninit<f32>],
    ) = transform_and_add_loop;
    fn mask(gradient: &mut [f32], y: &[f32]) = mask_loop;
    fn gradient_sums(gradient: &[f32], x: &[f32], mean: &[f32], inverse: &[f32], sums: &mut [f32])
        = gradient_sums_loop;
    fn input_gradient(
        gradient: &[f32], x: &[f32], scale: &[f32], slope: &[f32], level: &[f32],
        by_x: &mut [MaybeUninit<f32>],
    ) = input_gradient_loop;
}

/// Means, then sums of squares around them.
#[inline(always)]
fn block_moments_loop<const FMA: bool>(x: &[f32], channels: usize, moments: &mut [f32]) {
    let (mean, squares) = moments.split_at_mut(channels);
    let share = channels as f32 / x.len() as f32;
    for row in x.chunks_exact(channels) {
        for (mean, &x) in mean.iter_mut().zip(row) {
            *mean += x;
        }
    }
    for mean in mean.iter_mut() {
        *mean *= share;
    }
    for row in x.chunks_exact(channels) {
        for ((square, &mean), &x) in squares.iter_mut().zip(mean.iter()).zip(row) {
            *square = fma::<FMA>(x - mean, x - mean, *square);
        }
    }
}

#[inline(always)]
fn transform_loop<const FMA: bool>(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    floor: f32,
    y: &mut [MaybeUninit<f32>],
) {
    let channels = scale.len();
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            y.write(fma::<FMA>(x, scale, shift).max(floor));
        }
    }
}

#[inline(always)]
fn transform_and_add_loop<const FMA: bool>(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: &[f32],
    floor: f32,
    y: &mut [MaybeUninit<f32>],
) {
    let channels = scale.len();
    let rows = y
        .chunks_exact_mut(channels)
        .zip(x.chunks_exact(channels))
        .zip(residual.chunks_exact(channels));
    for ((y, x), residual) in rows {
        let parameters = scale.iter().zip(shift);
        for (((y, &x), &residual), (&scale, &shift)) in
            y.iter_mut().zip(x).zip(residual).zip(parameters)
        {
            y.write((fma::<FMA>(x, scale, shift) + residual).max(floor));
        }
    }
}

#[inline(always)]
fn mask_loop<const FMA: bool>(gradient: &mut [f32], y: &[f32]) {
    for (gradient, &y) in gradient.iter_mut().zip(y) {
        *gradient = if y > 0.0 { *gradient } else { 0.0 };
    }
}

/// Sums of g, then of g·x̂.
#[inline(always)]
fn gradient_sums_loop<const FMA: bool>(
    gradient: &[f32],
    x: &[f32],
    mean: &[f32],
    inverse: &[f32],
    sums: &mut [f32],
) {
    let channels = mean.len();
    let (plain, normalised) = sums.split_at_mut(channels);
    let rows = gradient
        .chunks_exact(channels)
        .zip(x.chunks_exact(channels));
    for (gradient, x) in rows {
        let sums = plain.iter_mut().zip(normalised.iter_mut());
        for (((plain, normalised), (&g, &x)), &mean) in sums.zip(gradient.iter().zip(x)).zip(mean) {
            *plain += g;
            *normalised = fma::<FMA>(g, x - mean, *normalised);
        }
    }
    for (sum, inverse) in normalised.iter_mut().zip(inverse) {
        *sum *= inverse;
    }
}

#[inline(always)]
fn input_gradient_loop<const FMA: bool>(
    gradient: &[f32],
    x: &[f32],
    scale: &[f32],
    slope: &[f32],
    level: &[f32],
    by_x: &mut [MaybeUninit<f32>],
) {
    let channels = scale.len();
    let rows = by_x
        .chunks_exact_mut(channels)
        .zip(gradient.chunks_exact(channels))
        .zip(x.chunks_exact(channels));
    for ((by_x, gradient), x) in rows {
        let factors = scale.iter().zip(slope).zip(level);
        for (((by_x, &g), &x), ((&scale, &slope), &level)) in
            by_x.iter_mut().zip(gradient).zip(x).zip(factors)
        {
            by_x.write(fma::<FMA>(g, scale, fma::<FMA>(x, slope, level)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of many rows far from zero, against f64 in one go.
    #[test]
    fn statistics_are_exact_to_rounding() {
        let channels = 3;
        let x: Vec<f32> = (0..channels * 20_000)
            .map(|i| 100.0 + ((i * 7919) % 1013) as f32 / 1013.0)
            .collect();
        let ours = BatchStatistics::of(&x, channels);
        for channel in 0..channels {
            let values: Vec<f64> = x
                .iter()
                .skip(channel)
                .step_by(channels)
                .map(|&v| v.into())
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!((f64::from(ours.mean[channel]) - mean).abs() < 1e-5);
            assert!((f64::from(ours.variance[channel]) - variance).abs() < 1e-6);
        }
    }
}
