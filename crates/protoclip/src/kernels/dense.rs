//! Dense layers, forward and backward, over slices.
//!
//! Burn computes a layer on `[batch, tokens, width]` as one small product per sample, with one weight
//! gradient per sample to be added up, and clears and copies every result. Here all rows go
//! into one product that writes straight into its result.

use gemm::Parallelism;
use rayon::prelude::*;

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// Multiplications from which a product is spread over threads.
const PARALLEL: usize = 1 << 20;

/// A matrix over row-major values.
#[derive(Debug, Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Whether `values` holds the transpose, `[columns, rows]`.
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// As many rows of `columns` numbers as there are.
    fn new(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            rows: values.len() / columns,
            columns,
            transposed: false,
        }
    }

    fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    /// Distance between rows and between columns.
    fn strides(self) -> (isize, isize) {
        match self.transposed {
            false => (self.columns as isize, 1),
            true => (1, self.rows as isize),
        }
    }
}

/// `x [rows, input] · weight [input, output] + bias [output]`; `input` is not 0.
pub(super) fn forward(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let weight = Matrix::new(weight, bias.len());
    let mut y = product(Matrix::new(x, weight.rows), weight);
    y.par_chunks_mut(piece(bias.len())).for_each(|rows| {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (y, bias) in row.iter_mut().zip(bias) {
                *y += bias;
            }
        }
    });
    y
}

/// The gradient by `x`, given that by the output, `[rows, output]`.
pub(super) fn backward_input(gradient: &[f32], weight: &[f32], output: usize) -> Vec<f32> {
    let weight = Matrix::new(weight, output);
    product(Matrix::new(gradient, output), weight.transpose())
}

/// The gradient by the weight, `[input, output]`.
pub(super) fn backward_weight(x: &[f32], gradient: &[f32], output: usize) -> Vec<f32> {
    let gradient = Matrix::new(gradient, output);
    let x = Matrix::new(x, x.len() / gradient.rows);
    product(x.transpose(), gradient)
}

/// The gradient by the bias: sums of the columns, in an order that the shape alone decides.
pub(super) fn backward_bias(gradient: &[f32], output: usize) -> Vec<f32> {
    let partial: Vec<Vec<f32>> = gradient
        .par_chunks(piece(output))
        .map(|rows| {
            let mut sums = vec![0.0; output];
            for row in rows.chunks_exact(output) {
                add(&mut sums, row);
            }
            sums
        })
        .collect();
    let mut total = vec![0.0; output];
    for sums in &partial {
        add(&mut total, sums);
    }
    total
}

fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

fn piece(width: usize) -> usize {
    (PIECE / width).max(1) * width
}

/// `left · right`, row-major.
#[allow(
    unsafe_code,
    reason = "gemm takes pointers and writes uninitialised memory"
)]
fn product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner sizes of a product");
    assert_eq!(left.values.len(), m * k, "left values of a product");
    assert_eq!(right.values.len(), k * n, "right values of a product");
    if k == 0 {
        return vec![0.0; m * n];
    }
    let parallelism = match m * n * k < PARALLEL {
        true => Parallelism::None,
        false => Parallelism::Rayon(0),
    };
    let ((left_row, left_column), (right_row, right_column)) = (left.strides(), right.strides());
    let mut out = Vec::<f32>::with_capacity(m * n);
    // SAFETY: the assertions above make every element that sizes and strides name lie inside the
    // slices; `out` has room for m rows of n; gemm does not read it (`read_dst` is false) and writes
    // each of its m·n elements since k is not 0, so that they are initialised for `set_len`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            left.values.as_ptr(),
            left_column,
            left_row,
            right.values.as_ptr(),
            right_column,
            right_row,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
        out.set_len(m * n);
    }
    out
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
            let y = forward(&x, &weight, &bias);
            let by_x = backward_input(&gradient, &weight, output);
            let by_weight = backward_weight(&x, &gradient, output);
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
