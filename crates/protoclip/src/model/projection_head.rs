//! The head whose outputs are clustered and compared with prototypes.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::transformer::{dense, linear_init};
use super::{BatchNorm, ProjectionHeadConfig};

/// Linear, BatchNorm, ReLU, Linear; the reference numbers them 0, 1, 2, 3.
#[derive(Module, Debug)]
pub struct ProjectionHead {
    /// `[embed_dim, hidden]`
    pub hidden: Linear,
    pub norm: BatchNorm,
    /// `[hidden, projection_dim]`
    pub output: Linear,
}

impl ProjectionHead {
    pub(super) fn init(
        embed_dim: usize,
        config: ProjectionHeadConfig,
        init: &ParameterInit<'_>,
    ) -> Self {
        let (hidden, output) = (config.hidden, config.output);
        Self {
            hidden: linear_init([embed_dim, hidden], None, &init.scope("0")),
            norm: BatchNorm::init(hidden, 1.0, &init.scope("1")),
            output: linear_init([hidden, output], None, &init.scope("3")),
        }
    }

    /// Un-normalised tower outputs `[batch, embed_dim]` → `[batch, projection_dim]`, not normalised.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward_relu(dense(&self.hidden, z));
        dense(&self.output, hidden)
    }
}
