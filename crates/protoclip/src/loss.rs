//! The three losses of the method: InfoNCE, prototype and external-teacher loss.
//!
//! The trainer calls them once per step. They take tensors and know no model, batch or episode; they
//! read nothing back from the device, so figures come as tensors too. Constants (centroids, labels,
//! masks) may live on the plain device while features are on the autodiff one.

pub mod clip;
pub mod proto;
pub mod repulsion;

use burn::tensor::Tensor;

/// `ln Σ exp` along `dim`, which keeps length 1; safe for large values.
///
/// The maximum is taken as a constant: its gradient contributions cancel.
fn log_sum_exp(x: Tensor<2>, dim: usize) -> Tensor<2> {
    let largest = x.clone().detach().max_dim(dim);
    (x - largest.clone()).exp().sum_dim(dim).log() + largest
}
