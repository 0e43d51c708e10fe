//! LayerNorm over rows, forward and backward, over slices.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffer::written;
use super::elementary::{LANES, fma, sum};
use super::multiversion::multiversion;

/// Elements per parallel piece. The pieces, and so the order of all additions, depend on the shape
/// only and never on the number of threads.
const PIECE: usize = 1 << 14;

/// Output and, per row, mean and inverse deviation.
#[derive(Debug)]
pub(super) struct Normalised {
    pub(super) output: Vec<f32>,
    pub(super) statistics: Vec<f32>,
}

/// Gradients by the input, the weight and the bias.
#[derive(Debug)]
pub(super) struct NormGradients {
    pub(super) input: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// `x` is `[rows, width]`, `weight` and `bias` `[width]`.
#[allow(unsafe_code, reason = "the output is written row by row")]
pub(super) fn forward(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Normalised {
    let width = weight.len();
    let rows = rows_per_piece(width);
    let mut statistics = vec![0.0; 2 * x.len() / width];
    // SAFETY: the pieces cover the output, whose length is a multiple of the width, and `norm_rows`
    // writes every row of one.
    let output = unsafe {
        written(x.len() / width * width, |output| {
            output
                .par_chunks_mut(rows * width)
                .zip(x.par_chunks(rows * width))
                .zip(statistics.par_chunks_mut(2 * rows))
                .for_each(|((y, x), statistics)| {
                    norm_rows(x, weight, bias, epsilon, y, statistics)
                });
        })
    };
    Normalised { output, statistics }
}

/// `statistics` are those of the forward pass.
#[allow(unsafe_code, reason = "the result is written row by row")]
pub(super) fn backward(
    x: &[f32],
    weight: &[f32],
    statistics: &[f32],
    gradient: &[f32],
) -> NormGradients {
    let width = weight.len();
    let rows = rows_per_piece(width);
    assert_eq!(x.len(), gradient.len(), "one gradient for each element");
    let mut partial: Vec<Vec<f32>> = Vec::new();
    // SAFETY: the pieces cover the result, whose length is a multiple of the width, and
    // `norm_rows_backward` writes every row of one.
    let input = unsafe {
        written(x.len() / width * width, |input| {
            partial = input
                .par_chunks_mut(rows * width)
                .zip(x.par_chunks(rows * width))
                .zip(gradient.par_chunks(rows * width))
                .zip(statistics.par_chunks(2 * rows))
                .map(|(((by_x, x), gradient), statistics)| {
                    let mut by_parameters = vec![0.0; 2 * width];
                    let (by_weight, by_bias) = by_parameters.split_at_mut(width);
                    norm_rows_backward(x, weight, statistics, gradient, by_x, by_weight, by_bias);
                    by_parameters
                })
                .collect();
        })
    };
    let mut total = vec![0.0; 2 * width];
    for piece in &partial {
        for (total, part) in total.iter_mut().zip(piece) {
            *total += part;
        }
    }
    let bias = total.split_off(width);
    NormGradients {
        input,
        weight: total,
        bias,
    }
}

fn rows_per_piece(width: usize) -> usize {
    (PIECE / width).max(1)
}

multiversion! {
    fn norm_rows(
        x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, y: &mut [MaybeUninit<f32>],
        statistics: &mut [f32],
    ) = norm_rows_loop;
    fn norm_rows_backward(
        x: &[f32], weight: &[f32], statistics: &[f32], gradient: &[f32],
        by_x: &mut [MaybeUninit<f32>], by_weight: &mut [f32], by_bias: &mut [f32],
    ) = norm_rows_backward_loop;
}

#[inline(always)]
fn norm_rows_loop<const FMA: bool>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
    y: &mut [MaybeUninit<f32>],
    statistics: &mut [f32],
) {
    let width = weight.len();
    let rows = x
        .chunks_exact(width)
        .zip(y.chunks_exact_mut(width))
        .zip(statistics.chunks_exact_mut(2));
    for ((x, y), statistics) in rows {
        let mean = sum(x) / width as f32;
        let inverse = 1.0 / (centred_squares::<FMA>(x, mean) / width as f32 + epsilon).sqrt();
        statistics.copy_from_slice(&[mean, inverse]);
        for (((y, &x), &weight), &bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            y.write(fma::<FMA>((x - mean) * inverse, weight, bias));
        }
    }
}

#[inline(always)]
fn centred_squares<const FMA: bool>(x: &[f32], mean: f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for i in 0..LANES {
            let centred = block[i] - mean;
            lanes[i] = fma::<FMA>(centred, centred, lanes[i]);
        }
    }
    sum(&lanes) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()
}

/// With x̂ the normalised row and t = gradient·weight:
/// `by_x = (t − mean(t) − x̂·mean(t·x̂)) / deviation`.
#[inline(always)]
fn norm_rows_backward_loop<const FMA: bool>(
    x: &[f32],
    weight: &[f32],
    statistics: &[f32],
    gradient: &[f32],
    by_x: &mut [MaybeUninit<f32>],
    by_weight: &mut [f32],
    by_bias: &mut [f32],
) {
    let width = weight.len();
    let rows = x
        .chunks_exact(width)
        .zip(gradient.chunks_exact(width))
        .zip(by_x.chunks_exact_mut(width))
        .zip(statistics.as_chunks::<2>().0);
    for (((x, gradient), by_x), &[mean, inverse]) in rows {
        let share = 1.0 / width as f32;
        let parameters = by_weight.iter_mut().zip(by_bias.iter_mut());
        for ((&x, &g), (by_weight, by_bias)) in x.iter().zip(gradient).zip(parameters) {
            *by_weight = fma::<FMA>(g, (x - mean) * inverse, *by_weight);
            *by_bias += g;
        }
        let [t, t_x] = weighted_sums::<FMA>(x, weight, gradient, mean, inverse);
        let (t, t_x) = (t * share, t_x * share);
        for (((by_x, &x), &g), &weight) in by_x.iter_mut().zip(x).zip(gradient).zip(weight) {
            let normalised = (x - mean) * inverse;
            by_x.write(inverse * (fma::<FMA>(g, weight, -t) - normalised * t_x));
        }
    }
}

/// Sums of t and of t·x̂ over one row.
#[inline(always)]
fn weighted_sums<const FMA: bool>(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    mean: f32,
    inverse: f32,
) -> [f32; 2] {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (weight, weight_rest) = weight.as_chunks::<LANES>();
    let (gradient, gradient_rest) = gradient.as_chunks::<LANES>();
    let mut plain = [0.0; LANES];
    let mut normalised = [0.0; LANES];
    for ((x, weight), gradient) in x.iter().zip(weight).zip(gradient) {
        for i in 0..LANES {
            let t = gradient[i] * weight[i];
            plain[i] += t;
            normalised[i] = fma::<FMA>(t, (x[i] - mean) * inverse, normalised[i]);
        }
    }
    let mut sums = [sum(&plain), sum(&normalised)];
    for ((x, weight), gradient) in x_rest.iter().zip(weight_rest).zip(gradient_rest) {
        sums[0] += gradient * weight;
        sums[1] += gradient * weight * (x - mean) * inverse;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::buffer::overwrite;

    #[test]
    fn the_portable_loops_agree_with_the_machines() {
        let (rows, width) = (9, 43);
        let series = |seed: usize, n: usize| -> Vec<f32> {
            (0..n)
                .map(|i| ((i * seed) % 23) as f32 / 5.0 - 2.0)
                .collect()
        };
        let (x, g) = (series(7, rows * width), series(11, rows * width));
        let (weight, bias) = (series(13, width), series(5, width));
        let ours = forward(&x, &weight, &bias, 1e-5);
        let (mut y, mut statistics) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
        norm_rows_loop::<false>(&x, &weight, &bias, 1e-5, overwrite(&mut y), &mut statistics);
        let gradients = backward(&x, &weight, &ours.statistics, &g);
        let mut by_x = vec![0.0; x.len()];
        let (mut by_weight, mut by_bias) = (vec![0.0; width], vec![0.0; width]);
        norm_rows_backward_loop::<false>(
            &x,
            &weight,
            &statistics,
            &g,
            overwrite(&mut by_x),
            &mut by_weight,
            &mut by_bias,
        );
        let pairs = [
            (&ours.output, &y),
            (&gradients.input, &by_x),
            (&gradients.weight, &by_weight),
            (&gradients.bias, &by_bias),
        ];
        for (ours, portable) in pairs {
            for (a, b) in ours.iter().zip(portable) {
                assert!((a - b).abs() < 2e-5, "{a} {b}");
            }
        }
    }
}
