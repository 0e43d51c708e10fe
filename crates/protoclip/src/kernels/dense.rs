//! Dense layers, forward and backward, over slices.
//!
//! Burn computes a layer on `[batch, tokens, width]` as one small product per sample, with one weight
//! gradient per sample to be added up, and clears and copies every result. Here all rows go
//! into one product that writes straight into its result.

use rayon::prelude::*;

use super::buffer::written;
use super::multiversion::multiversion;
use super::product::{Matrix, Repeated, times_and_sums};
use crate::config::Precision;

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// Gradients of a layer by its parameters.
#[derive(Debug)]
pub(super) struct ParameterGradients {
    /// `[input, output]`
    pub(super) weight: Vec<f32>,
    /// `[output]`
    pub(super) bias: Vec<f32>,
}

/// `x [rows, input] · weight [input, output] + bias [output]`, and `residual [rows, output]` on top; `input`
/// is not 0.
pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    residual: Option<&[f32]>,
    precision: Precision,
) -> Vec<f32> {
    let weight = Matrix::new(weight, bias.len());
    block_by_block(x, weight, Some(bias), residual, precision)
}

/// The gradient by `x`, given that by the output, `[rows, output]`.
pub(super) fn backward_input(
    gradient: &[f32],
    weight: &[f32],
    output: usize,
    precision: Precision,
) -> Vec<f32> {
    let weight = Matrix::new(weight, output).transpose();
    block_by_block(gradient, weight, None, None, precision)
}

/// The gradients by the weight and the bias.
pub(super) fn backward_parameters(
    x: &[f32],
    gradient: &[f32],
    output: usize,
    precision: Precision,
) -> ParameterGradients {
    let right = Matrix::new(gradient, output);
    let x = Matrix::new(x, x.len() / right.rows);
    let (weight, sums) = times_and_sums(x.transpose(), right, precision);
    let bias = sums.unwrap_or_else(|| column_sums(gradient, output));
    ParameterGradients { weight, bias }
}

/// `x · weight + bias + residual`.
#[allow(unsafe_code, reason = "the result is written block by block")]
fn block_by_block(
    x: &[f32],
    weight: Matrix<'_>,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    precision: Precision,
) -> Vec<f32> {
    let (input, width) = (weight.rows, weight.columns);
    let rows = x.len() / input;
    let right = Repeated::new(rows, weight, bias, precision);
    let block = right.rows_of_block();
    // SAFETY: the blocks cover the result, and a product writes every element of one.
    unsafe {
        written(rows * width, |output| {
            let blocks = output.par_chunks_mut(block * width);
            let blocks = blocks.zip(x.par_chunks(block * input)).enumerate();
            blocks.for_each(|(index, (output, x))| {
                let start = index * block * width;
                let residual = residual.map(|all| &all[start..start + output.len()]);
                right.multiply(x, residual, output);
            });
        })
    }
}

/// Sums of the columns, in an order that the shape alone decides.
fn column_sums(gradient: &[f32], output: usize) -> Vec<f32> {
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
    fn add_all(values: &mut [f32], more: &[f32]) = add_all_loop;
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

/// Adds numbers to numbers.
#[inline(always)]
fn add_all_loop<const FMA: bool>(values: &mut [f32], more: &[f32]) {
    for (value, more) in values.iter_mut().zip(more) {
        *value += more;
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
        let sizes = [
            [1, 1, 1],
            [5, 3, 7],
            [40, 17, 33],
            [130, 96, 100],
            [700, 530, 20],
        ];
        // Small integers are bfloat16 numbers, too.
        let precisions = [Precision::F32, Precision::Bf16];
        for ([rows, input, output], precision) in sizes
            .into_iter()
            .flat_map(|size| precisions.map(|p| (size, p)))
        {
            let series = |seed: usize, n: usize| -> Vec<f32> {
                (0..n).map(|i| ((i * seed) % 7) as f32 - 3.0).collect()
            };
            let (x, weight) = (series(5, rows * input), series(3, input * output));
            let (bias, gradient) = (series(11, output), series(13, rows * output));
            // Small integers: every order of additions gives the same number.
            let y = forward(&x, &weight, &bias, None, precision);
            let by_x = backward_input(&gradient, &weight, output, precision);
            let by = backward_parameters(&x, &gradient, output, precision);
            let (by_weight, by_bias) = (by.weight, by.bias);
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
