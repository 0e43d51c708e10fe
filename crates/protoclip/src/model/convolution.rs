//! A bias-free square convolution, the only kind in CLIP.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::parameter_init::ParameterInit;

/// Cross-correlation with "same" padding for odd kernels.
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

    /// `[batch, in, h, w]` → `[batch, out, ⌈h/stride⌉, ⌈w/stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, kernel, _] = self.weight.dims();
        let (stride, padding) = ([self.stride; 2], [kernel / 2; 2]);
        let options = ConvOptions::new(stride, padding, [1, 1], 1);
        conv2d(x, self.weight.val(), None, options)
    }
}
