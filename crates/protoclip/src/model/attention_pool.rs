//! Attention pooling over the positions of a feature map.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::reader::Reader;
use super::transformer::{dense, parameters};
use crate::kernels::Segments;

/// The mean position asks, all positions answer; replaces CLIP-ResNet's average pool.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// `[1 + positions, channels]`
    pub positional_embedding: Param<Tensor<2>>,
    pub q_proj: Linear,
    /// Its bias adds the same to all scores of a picture, which softmax does not see: it has no gradient.
    pub k_proj: Linear,
    pub v_proj: Linear,
    /// `[channels, embed_dim]`
    pub c_proj: Linear,
    heads: usize,
}

impl AttentionPool {
    /// `side` is that of the feature map.
    pub(super) fn init(
        side: usize,
        channels: usize,
        heads: usize,
        output: usize,
        init: &ParameterInit<'_>,
    ) -> Self {
        let std = (channels as f64).powf(-0.5);
        let linear = |name: &str, output| {
            let init = init.scope(name);
            Linear {
                weight: init.normal("weight", [channels, output], std),
                bias: Some(init.uniform("bias", [output], std)),
            }
        };
        let tokens = side * side + 1;
        Self {
            positional_embedding: init.normal("positional_embedding", [tokens, channels], std),
            q_proj: linear("q_proj", channels),
            k_proj: linear("k_proj", channels),
            v_proj: linear("v_proj", channels),
            c_proj: linear("c_proj", output),
            heads,
        }
    }

    /// `[batch, side, side, channels]` → `[batch, embed_dim]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [batch, height, width, channels] = x.dims();
        let x = x.reshape([batch, height * width, channels]);
        let tokens = Tensor::cat(vec![x.clone().mean_dim(1), x], 1);
        let x = tokens + self.positional_embedding.val().unsqueeze::<3>();
        let positions = height * width + 1;
        let mean = x.clone().slice_dim(1, 0..1).reshape([batch, channels]);
        let x = x.reshape([batch * positions, channels]);
        let (value, value_bias) = parameters(&self.v_proj);
        let reader = Reader {
            key: self.k_proj.weight.val(),
            value,
            value_bias,
            heads: self.heads,
        };
        let segments = Segments::uniform(batch, positions);
        let pooled = reader.read(dense(&self.q_proj, mean), x, &segments);
        dense(&self.c_proj, pooled)
    }
}
