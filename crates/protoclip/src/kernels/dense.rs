//! Dense layers, forward and backward, over slices.
//!
//! Burn computes a layer on `[batch, tokens, width]` as one small product per sample, with one weight
//! gradient per sample to be added up, and clears and copies every result. Here all rows go
//! into one product that writes straight into its result.

use rayon::prelude::*;

use super::multiversion::multiversion;
use super::product::{Matrix, Threads};
use crate::config::Precision;

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// `x [rows, input] · weight [input, output] + bias [output]`; `input` is not 0.
pub(super) fn forward(x: &[f32], weight: &[f32], bias: &[f32], precision: Precision) -> Vec<f32> {
    let weight = Matrix::new(weight, bias.len());
    let mut y = Matrix::new(x, weight.rows).times(weight, Threads::Pool, precision);
    y.par_chunks_mut(piece(bias.len())).for_each(|rows| {
        add_to_rows(rows, bias);
    });
    y
}

/// The gradient by `x`, given that by the output, `[rows, output]`.
pub(super) fn backward_input(
    gradient: &[f32],
    weight: &[f32],
    output: usize,
    precision: Precision,
) -> Vec<f32> {
    let weight = Matrix::new(weight, output);
    Matrix::new(gradient, output).times(weight.transpose(), Threads::Pool, precision)
}

/// The gradient by the weight, `[input, output]`.
pub(super) fn backward_weight(
    x: &[f32],
    gradient: &[f32],
    output: usize,
    precision: Precision,
) -> Vec<f32> {
    let gradient = Matrix::new(gradient, output);
    let x = Matrix::new(x, x.len() / gradient.rows);
    x.transpose().times(gradient, Threads::Pool, precision)
}

/// The gradient by the bias: sums of the columns, in an order that the shape alone decides.
pub(super) fn backward_bias(gradient: &[f32], output: usize) -> Vec<f32> {
    let partial: Vec<Vec<f32>> = gradient
        .par_chunks(piece(output))
        .map(|rows| {
            let mut sums = vec![0.0; output];
            sum_rows(rows, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; output];
    for sums in &partial {
        sum_rows(sums, &mut total);
    }
    total
}

multiversion! {
    fn add_to_rows(rows: &mut [f32], bias: &[f32]) = add_to_rows_loop;
    fn sum_rows(rows: &[f32], sums: &mut [f32]) = sum_rows_loop;
}

#[inline(always)]
fn add_to_rows_loop<const FMA: bool>(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (y, bias) in row.iter_mut().zip(bias) {
            *y += bias;
        }
    }
}

/// Adds every row to `sums`.
#[inline(always)]
fn sum_rows_loop<const FMA: bool>(rows: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

fn piece(width: usize) -> usize {
    (PIECE / width).max(1) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_results_follow_their_definitions() {
        for [rows, input, output] in [[1, 1, 1], [5, 3, 7], [40, 17, 33], [130, 96, 100]] {
            let series = |seed: usize, n: usize| -> Vec<f32> {
                (0..n).map(|i| ((i * seed) % 7) as f32 - 3.0).collect()
            };
            let (x, weight) = (series(5, rows * input), series(3, input * output));
            let (bias, gradient) = (series(11, output), series(13, rows * output));
            // Small integers: every order of additions gives the same number.
            let y = forward(&x, &weight, &bias, Precision::F32);
            let by_x = backward_input(&gradient, &weight, output, Precision::F32);
            let by_weight = backward_weight(&x, &gradient, output, Precision::F32);
            let by_bias = backward_bias(&gradient, output);
            for r in 0..rows {
                for o in 0..output {
                    let sum: f32 = (0..input)
                        .map(|i| x[r * input + i] * weight[i * output + o])
                        .sum();
                    assert_eq!(y[r * output + o], sum + bias[o]);
                }
                for i in 0..input {
                    let products = |o| gradient[r * output + o] * weight[i * output + o];
                    assert_eq!(by_x[r * input + i], (0..output).map(products).sum::<f32>());
                }
            }
            for o in 0..output {
                for i in 0..input {
                    let products = |r| x[r * input + i] * gradient[r * output + o];
                    let wanted: f32 = (0..rows).map(products).sum();
                    assert_eq!(by_weight[i * output + o], wanted);
                }
                let wanted: f32 = (0..rows).map(|r| gradient[r * output + o]).sum();
                assert_eq!(by_bias[o], wanted);
            }
        }
    }
}
