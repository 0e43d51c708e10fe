//! LayerNorm with OpenCLIP's parameter names.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use crate::kernels;

/// Normalises the last dimension; ε = 1e-5 as PyTorch's default.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`
    pub weight: Param<Tensor<1>>,
    /// `[width]`
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm {
    const EPSILON: f64 = 1e-5;

    pub(super) fn init(width: usize, init: &ParameterInit<'_>) -> Self {
        Self {
            weight: init.constant("weight", [width], 1.0),
            bias: init.constant("bias", [width], 0.0),
        }
    }

    /// `[.., width]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernels::layer_norm(x, self.weight.val(), self.bias.val(), Self::EPSILON)
    }
}
