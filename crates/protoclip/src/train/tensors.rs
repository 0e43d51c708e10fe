//! From plain vectors to tensors on the run's device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::Batch;

/// `[b, 3, s, s]` images of a batch.
pub(super) fn image_tensor(batch: &Batch, device: &Device) -> Tensor<4> {
    let count = batch.samples.len();
    let side = ((batch.images.len() / (3 * count.max(1))) as f64)
        .sqrt()
        .round() as usize;
    Tensor::from_data(
        TensorData::new(batch.images.clone(), [count, 3, side, side]),
        device,
    )
}

/// `[b, context]` token ids of a batch.
pub(super) fn token_tensor(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    let count = batch.samples.len();
    let context = batch.tokens.len() / count.max(1);
    Tensor::from_data(
        TensorData::new(batch.tokens.clone(), [count, context]),
        device,
    )
}

/// `[rows, dim]` from row-major values.
pub(super) fn matrix_tensor(values: &[f32], dim: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / dim.max(1);
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, dim]), device)
}

/// `[n]` class indices.
pub(super) fn label_tensor(labels: &[u32], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
    let count = labels.len();
    Tensor::from_data(TensorData::new(labels, [count]), device)
}
