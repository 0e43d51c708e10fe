//! InfoNCE between the two towers.

use burn::tensor::Tensor;

use super::log_sum_exp;

/// Mean of the two cross-entropies of `scale · image · textᵀ` over rows and columns, labels on the
/// diagonal (method, loss 1).
///
/// `image_features`, `text_features`: `[batch, dim]`, L2-normalised, row i of both from pair i.
/// `scale`: `[1]`, the exponential of `logit_scale`. Returns `[1]`, in nats.
pub fn clip_loss(
    image_features: Tensor<2>,
    text_features: Tensor<2>,
    scale: Tensor<1>,
) -> Tensor<1> {
    let scale = scale.reshape([1, 1]);
    let matching = (image_features.clone() * text_features.clone()).sum_dim(1);
    let logits = image_features.matmul(text_features.transpose()) * scale.clone();
    let rows = log_sum_exp(logits.clone(), 1).mean();
    let columns = log_sum_exp(logits, 0).mean();
    (rows + columns) / 2.0 - (matching * scale).mean()
}
