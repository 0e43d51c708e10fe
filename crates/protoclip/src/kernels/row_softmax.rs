//! Softmax over rows, forward and backward, over slices.

use rayon::prelude::*;

use super::elementary::{dot, exp, maximum, sum};
use super::multiversion::multiversion;

/// Elements per parallel piece.
const PIECE: usize = 1 << 14;

/// `x` is `[rows, width]`; rows of the result sum to 1.
pub(super) fn forward(x: &[f32], width: usize) -> Vec<f32> {
    let mut y = x.to_vec();
    let piece = piece(width);
    y.par_chunks_mut(piece)
        .for_each(|rows| softmax_rows(rows, width));
    y
}

/// The gradient by the input, given the output `y` and the gradient by it.
pub(super) fn backward(y: &[f32], gradient: &[f32], width: usize) -> Vec<f32> {
    let mut by_x = vec![0.0; y.len()];
    let piece = piece(width);
    let pieces = by_x
        .par_chunks_mut(piece)
        .zip(y.par_chunks(piece))
        .zip(gradient.par_chunks(piece));
    pieces.for_each(|((by_x, y), gradient)| softmax_rows_backward(y, gradient, by_x, width));
    by_x
}

fn piece(width: usize) -> usize {
    (PIECE / width).max(1) * width
}

multiversion! {
    fn softmax_rows(rows: &mut [f32], width: usize) = softmax_rows_loop;
    fn softmax_rows_backward(y: &[f32], gradient: &[f32], by_x: &mut [f32], width: usize)
        = softmax_rows_backward_loop;
}

#[inline(always)]
fn softmax_rows_loop<const FMA: bool>(rows: &mut [f32], width: usize) {
    for row in rows.chunks_exact_mut(width) {
        softmax_row::<FMA>(row, 1.0);
    }
}

/// One row in place: softmax of `scale` times its values, `scale` positive.
#[inline(always)]
pub(super) fn softmax_row<const FMA: bool>(row: &mut [f32], scale: f32) {
    let largest = maximum(row);
    for x in row.iter_mut() {
        *x = exp::<FMA>((*x - largest) * scale);
    }
    let inverse = 1.0 / sum(row);
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

#[inline(always)]
fn softmax_rows_backward_loop<const FMA: bool>(
    y: &[f32],
    gradient: &[f32],
    by_x: &mut [f32],
    width: usize,
) {
    let rows = y
        .chunks_exact(width)
        .zip(gradient.chunks_exact(width))
        .zip(by_x.chunks_exact_mut(width));
    for ((y, gradient), by_x) in rows {
        let mean = dot::<FMA>(y, gradient);
        for ((by_x, &y), &gradient) in by_x.iter_mut().zip(y).zip(gradient) {
            *by_x = y * (gradient - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_loops_agree_with_the_machines() {
        let width = 37;
        let x: Vec<f32> = (0..20 * width)
            .map(|i| ((i * 29) % 83) as f32 / 9.0)
            .collect();
        let g: Vec<f32> = (0..20 * width)
            .map(|i| ((i * 7) % 11) as f32 - 5.0)
            .collect();
        let ours = forward(&x, width);
        let mut portable = x.clone();
        softmax_rows_loop::<false>(&mut portable, width);
        let mut by_x = vec![0.0; x.len()];
        softmax_rows_backward_loop::<false>(&portable, &g, &mut by_x, width);
        let gradient = backward(&ours, &g, width);
        for (a, b) in ours
            .iter()
            .chain(&gradient)
            .zip(portable.iter().chain(&by_x))
        {
            assert!((a - b).abs() < 2e-6, "{a} {b}");
        }
        for row in ours.chunks_exact(width) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
