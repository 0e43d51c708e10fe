//! The anti-aliased residual block of CLIP's ResNets.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::{BatchNorm, Convolution};
use crate::kernels;

/// 1×1, 3×3, average pool instead of a stride, 1×1 to four times the planes, plus the identity.
#[derive(Module, Debug)]
pub struct Bottleneck {
    pub conv1: Convolution,
    pub bn1: BatchNorm,
    pub conv2: Convolution,
    pub bn2: BatchNorm,
    pub conv3: Convolution,
    pub bn3: BatchNorm,
    /// Both present where the shape changes; OpenCLIP calls them `downsample.0` and `.1`.
    pub downsample_conv: Option<Convolution>,
    pub downsample_norm: Option<BatchNorm>,
    stride: usize,
}

impl Bottleneck {
    /// Channels of the output per plane.
    pub(super) const EXPANSION: usize = 4;

    pub(super) fn init(
        input: usize,
        planes: usize,
        stride: usize,
        init: &ParameterInit<'_>,
    ) -> Self {
        let output = planes * Self::EXPANSION;
        let conv = |name: &str, channels, kernel| {
            Convolution::init(channels, kernel, 1, &init.scope(name))
        };
        let norm = |name: &str, channels, gain| BatchNorm::init(channels, gain, &init.scope(name));
        let reshapes = stride > 1 || input != output;
        Self {
            conv1: conv("conv1", (input, planes), 1),
            bn1: norm("bn1", planes, 1.0),
            conv2: conv("conv2", (planes, planes), 3),
            bn2: norm("bn2", planes, 1.0),
            conv3: conv("conv3", (planes, output), 1),
            bn3: norm("bn3", output, 0.0),
            downsample_conv: reshapes.then(|| conv("downsample.0", (input, output), 1)),
            downsample_norm: reshapes.then(|| norm("downsample.1", output, 1.0)),
            stride,
        }
    }

    /// `[batch, h, w, input]` → `[batch, h/stride, w/stride, 4·planes]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.bn1.forward_relu(self.conv1.forward(x.clone()));
        let y = self.bn2.forward_relu(self.conv2.forward(y));
        let y = self.conv3.forward(kernels::average_pool(y, self.stride));
        self.bn3.forward_residual(y, self.identity(x))
    }

    fn identity(&self, x: Tensor<4>) -> Tensor<4> {
        match (&self.downsample_conv, &self.downsample_norm) {
            (Some(conv), Some(norm)) => {
                norm.forward(conv.forward(kernels::average_pool(x, self.stride)))
            }
            _ => x,
        }
    }
}
