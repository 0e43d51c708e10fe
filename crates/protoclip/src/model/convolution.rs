//! A bias-free square convolution, the only kind in CLIP.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use crate::kernels;

/// Cross-correlation of channels-last pictures with "same" padding for odd kernels.
#[derive(Module, Debug)]
pub struct Convolution {
    /// `[out_channels, in_channels, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    stride: usize,
}

impl Convolution {
    /// `channels` = (in, out); values as PyTorch's default for Conv2d, U(±1/√fan_in).
    pub(super) fn init(
        channels: (usize, usize),
        kernel: usize,
        stride: usize,
        init: &ParameterInit<'_>,
    ) -> Self {
        let (input, output) = channels;
        let bound = ((input * kernel * kernel) as f64).powf(-0.5);
        Self {
            weight: init.uniform("weight", [output, input, kernel, kernel], bound),
            stride,
        }
    }

    /// `[batch, h, w, in]` → `[batch, ⌈h/stride⌉, ⌈w/stride⌉, out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::convolution(x, self.weight.val(), self.stride)
    }
}
