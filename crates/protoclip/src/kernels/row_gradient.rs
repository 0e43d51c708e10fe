//! A gradient that names the few rows of a table it is not zero in.
//!
//! It travels through Burn's gradient containers as an ordinary matrix, `[used rows, 1 + width]`,
//! whose first column holds the row numbers; f32 holds them exactly below [`MOST_ROWS`]. Its shape
//! tells it from a gradient of the whole table, which is always as large as the table.

use burn::tensor::Tensor;

/// Tables with more rows get gradients of the whole table.
pub(super) const MOST_ROWS: usize = 1 << 24;

/// `used` rows and the gradient by them, `[used, width]`, as one matrix.
pub(super) fn pack(used: &[u32], by_used: &[f32], width: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(used.len() * (1 + width));
    for (&row, values) in used.iter().zip(by_used.chunks_exact(width)) {
        packed.push(row as f32);
        packed.extend_from_slice(values);
    }
    packed
}

/// Whether `gradient` names rows of a parameter of this shape instead of covering it.
fn is_row_gradient<const D: usize>(gradient: &Tensor<D>, shape: &[usize]) -> bool {
    shape.len() == 2 && gradient.dims() != *shape
}

/// Row numbers and values of each row.
pub(super) fn rows(packed: &[f32], width: usize) -> impl Iterator<Item = (usize, &[f32])> {
    packed.chunks_exact(1 + width).map(|row| {
        let (row, values) = row.split_at(1);
        (row[0] as usize, values)
    })
}

/// Sum of the squares of a gradient of a parameter of this shape.
pub fn gradient_square_sum<const D: usize>(gradient: Tensor<D>, shape: &[usize]) -> Tensor<1> {
    match is_row_gradient(&gradient, shape) {
        true => gradient.slice_dim(1, 1..).square().sum(),
        false => gradient.square().sum(),
    }
}

/// A gradient of a parameter of this shape times `factor`.
pub fn scale_gradient<const D: usize>(
    gradient: Tensor<D>,
    shape: &[usize],
    factor: f32,
) -> Tensor<D> {
    if !is_row_gradient(&gradient, shape) {
        return gradient.mul_scalar(factor);
    }
    let rows = gradient.clone().slice_dim(1, 0..1);
    Tensor::cat(vec![rows, gradient.slice_dim(1, 1..).mul_scalar(factor)], 1)
}
