//! Self-attention with PyTorch's packed projection.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::reader::Reader;
use super::transformer::dense_onto;
use crate::kernels::{self, Segments};

/// Multi-head self-attention; queries, keys and values come from one packed projection.
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// `[width, 3·width]`: the transpose of PyTorch's layout.
    pub in_proj_weight: Param<Tensor<2>>,
    /// `[3·width]`
    pub in_proj_bias: Param<Tensor<1>>,
    pub out_proj: Linear,
    heads: usize,
}

impl MultiHeadAttention {
    /// `std` holds the normal deviations of (in_proj, out_proj); `None` takes PyTorch's defaults
    /// (Xavier-uniform and U(±1/√width)).
    pub(super) fn init(
        width: usize,
        heads: usize,
        std: Option<(f64, f64)>,
        init: &ParameterInit<'_>,
    ) -> Self {
        let (packed, square) = ([width, 3 * width], [width, width]);
        let out = init.scope("out_proj");
        let (in_weight, out_weight) = match std {
            Some((in_std, out_std)) => (
                init.normal("in_proj_weight", packed, in_std),
                out.normal("weight", square, out_std),
            ),
            None => (
                init.uniform("in_proj_weight", packed, (6.0 / (4 * width) as f64).sqrt()),
                out.uniform("weight", square, (width as f64).powf(-0.5)),
            ),
        };
        Self {
            in_proj_weight: in_weight,
            in_proj_bias: init.constant("in_proj_bias", [3 * width], 0.0),
            out_proj: Linear {
                weight: out_weight,
                bias: Some(out.constant("bias", [width], 0.0)),
            },
            heads,
        }
    }

    /// `residual` plus what the tokens of `x` read, all `[rows, width]`, within each segment; `causal`
    /// hides later tokens.
    pub fn forward_onto(
        &self,
        residual: Tensor<2>,
        x: Tensor<2>,
        segments: &Segments,
        causal: bool,
    ) -> Tensor<2> {
        let bias = self.in_proj_bias.val();
        let packed = kernels::linear(x, self.in_proj_weight.val(), Some(bias));
        let attended = kernels::attention(packed, segments, self.heads, causal);
        dense_onto(residual, &self.out_proj, attended)
    }

    /// `residual` plus what one token of each segment reads from the whole segment.
    ///
    /// `readers` `[segments, width]` are rows of `x` `[rows, width]`; `residual` and the result have their
    /// shape. Nothing is computed for tokens that do not ask.
    pub fn forward_readers_onto(
        &self,
        residual: Tensor<2>,
        readers: Tensor<2>,
        x: Tensor<2>,
        segments: &Segments,
    ) -> Tensor<2> {
        let width = x.dims()[1];
        let (weight, bias) = (self.in_proj_weight.val(), self.in_proj_bias.val());
        let part = |index: usize| {
            let columns = index * width..(index + 1) * width;
            let weight = weight.clone().slice_dim(1, columns.clone());
            (weight, bias.clone().slice_dim(0, columns))
        };
        let [(query, query_bias), (key, _), (value, value_bias)] = [0, 1, 2].map(part);
        let queries = kernels::linear(readers, query, Some(query_bias));
        let reader = Reader {
            key,
            value,
            value_bias: Some(value_bias),
            heads: self.heads,
        };
        dense_onto(residual, &self.out_proj, reader.read(queries, x, segments))
    }
}
