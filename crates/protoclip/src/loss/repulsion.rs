//! What InfoNCE pushes apart although a teacher's prototypes hold it together.
//!
//! The gradient of InfoNCE (method, loss 1) by the logit of image i and text j ≠ i is
//! `(p_ij + q_ij) / 2B`, with p the softmax over row i and q that over column j: always positive, so
//! every unmatched pair is pushed apart, the more the more alike it is. Nothing here has a gradient.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

/// Smallest sum of pushes that is divided by.
const SMALLEST: f64 = 1e-30;

/// How hard InfoNCE pushes each unmatched pair of a batch.
#[derive(Debug, Clone)]
pub struct Repulsion {
    /// `[batch, batch]`: `p_ij + q_ij`, 0 on the diagonal.
    pushes: Tensor<2>,
}

impl Repulsion {
    /// `image_features`, `text_features`: `[batch, dim]`, L2-normalised, row i of both from pair i;
    /// `scale`: `[1]`; `unmatched`: `[batch, batch]`, 1 off the diagonal and 0 on it.
    pub fn of(
        image_features: Tensor<2>,
        text_features: Tensor<2>,
        scale: Tensor<1>,
        unmatched: Tensor<2>,
    ) -> Self {
        let logits = image_features.matmul(text_features.transpose()) * scale.reshape([1, 1]);
        let pushes = softmax(logits.clone(), 1) + softmax(logits, 0);
        Self {
            pushes: pushes * unmatched,
        }
    }

    /// Percent of all pushes that fall on the pairs marked 1 in `pairs` `[batch, batch]`; `[1]`.
    pub fn percent_on(&self, pairs: Tensor<2>) -> Tensor<1> {
        let all = self.pushes.clone().sum().clamp_min(SMALLEST);
        (self.pushes.clone() * pairs).sum() / all * 100.0
    }
}
