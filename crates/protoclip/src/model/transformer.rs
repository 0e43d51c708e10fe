//! Pre-norm residual attention blocks, shared by both towers.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};

use super::parameter_init::ParameterInit;
use super::{LayerNorm, MultiHeadAttention};
use crate::kernels::{self, Segments};

/// A stack of [`ResidualAttentionBlock`]s.
#[derive(Module, Debug)]
pub struct Transformer {
    pub resblocks: Vec<ResidualAttentionBlock>,
}

/// `x + attention(ln_1(x))`, then `x + mlp(ln_2(x))`.
#[derive(Module, Debug)]
pub struct ResidualAttentionBlock {
    pub ln_1: LayerNorm,
    pub attn: MultiHeadAttention,
    pub ln_2: LayerNorm,
    pub mlp: Mlp,
}

/// `c_proj(gelu(c_fc(x)))` with four times the width inside.
#[derive(Module, Debug)]
pub struct Mlp {
    pub c_fc: Linear,
    pub c_proj: Linear,
    quick_gelu: bool,
}

/// What a block needs to know to be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) quick_gelu: bool,
    /// OpenCLIP 1.2.1 re-initialises the text tower for its depth; the image tower keeps PyTorch's
    /// defaults.
    pub(super) depth_scaled: Option<usize>,
}

impl BlockShape {
    /// Normal deviations of `attn.in_proj`, of both output projections, and of `mlp.c_fc`.
    fn deviations(self) -> Option<(f64, f64, f64)> {
        let width = self.width as f64;
        self.depth_scaled.map(|layers| {
            let attention = width.powf(-0.5);
            let output = attention * (2.0 * layers as f64).powf(-0.5);
            (attention, output, (2.0 * width).powf(-0.5))
        })
    }
}

impl Transformer {
    pub(super) fn init(layers: usize, shape: BlockShape, init: &ParameterInit<'_>) -> Self {
        let blocks = init.scope("resblocks");
        let block = |i: usize| ResidualAttentionBlock::init(shape, &blocks.scope(&i.to_string()));
        Self {
            resblocks: (0..layers).map(block).collect(),
        }
    }

    /// `[rows, width]` → the same shape; every segment is a sequence of its own.
    pub fn forward(&self, x: Tensor<2>, segments: &Segments, causal: bool) -> Tensor<2> {
        let blocks = self.resblocks.iter();
        blocks.fold(x, |x, block| block.forward(x, segments, causal))
    }

    /// The output of one token of each segment, `[segments, width]`.
    ///
    /// `readers` `[segments]` are their rows; each must see its whole segment, so with `causal`
    /// they are the last ones. The last block computes nothing for other tokens.
    pub fn forward_readers(
        &self,
        x: Tensor<2>,
        segments: &Segments,
        causal: bool,
        readers: Tensor<1, Int>,
    ) -> Tensor<2> {
        let Some((last, blocks)) = self.resblocks.split_last() else {
            return x.select(0, readers);
        };
        let x = blocks
            .iter()
            .fold(x, |x, block| block.forward(x, segments, causal));
        last.forward_readers(x, segments, readers)
    }
}

impl ResidualAttentionBlock {
    fn init(shape: BlockShape, init: &ParameterInit<'_>) -> Self {
        let std = shape.deviations();
        let attention = std.map(|(input, output, _)| (input, output));
        let attn = init.scope("attn");
        Self {
            ln_1: LayerNorm::init(shape.width, &init.scope("ln_1")),
            attn: MultiHeadAttention::init(shape.width, shape.heads, attention, &attn),
            ln_2: LayerNorm::init(shape.width, &init.scope("ln_2")),
            mlp: Mlp::init(shape, &init.scope("mlp")),
        }
    }

    /// `[rows, width]` → the same shape.
    pub fn forward(&self, x: Tensor<2>, segments: &Segments, causal: bool) -> Tensor<2> {
        let normalised = self.ln_1.forward(x.clone());
        let x = self.attn.forward_onto(x, normalised, segments, causal);
        self.mlp.forward_onto(x.clone(), self.ln_2.forward(x))
    }

    fn forward_readers(
        &self,
        x: Tensor<2>,
        segments: &Segments,
        readers: Tensor<1, Int>,
    ) -> Tensor<2> {
        let normalised = self.ln_1.forward(x.clone());
        let asking = normalised.clone().select(0, readers.clone());
        let x = x.select(0, readers);
        let x = self
            .attn
            .forward_readers_onto(x, asking, normalised, segments);
        self.mlp.forward_onto(x.clone(), self.ln_2.forward(x))
    }
}

impl Mlp {
    fn init(shape: BlockShape, init: &ParameterInit<'_>) -> Self {
        let (narrow, wide) = (shape.width, 4 * shape.width);
        let std = shape.deviations();
        let fc = init.scope("c_fc");
        let proj = init.scope("c_proj");
        Self {
            c_fc: linear_init([narrow, wide], std.map(|(_, _, fc)| fc), &fc),
            c_proj: linear_init([wide, narrow], std.map(|(_, output, _)| output), &proj),
            quick_gelu: shape.quick_gelu,
        }
    }

    fn forward_onto(&self, residual: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        let layers = [&self.c_fc, &self.c_proj].map(parameters);
        kernels::mlp_onto(residual, x, layers, self.quick_gelu)
    }
}

/// A linear layer `[input, output]`: normal weights of deviation `std`, or PyTorch's default
/// U(±1/√input), which the bias has in either case.
pub(super) fn linear_init(shape: [usize; 2], std: Option<f64>, init: &ParameterInit<'_>) -> Linear {
    let [input, output] = shape;
    let bound = (input as f64).powf(-0.5);
    let weight: Param<Tensor<2>> = match std {
        Some(std) => init.normal("weight", shape, std),
        None => init.uniform("weight", shape, bound),
    };
    Linear {
        weight,
        bias: Some(init.uniform("bias", [output], bound)),
    }
}

/// Weight `[input, output]` and bias `[output]`.
pub(super) fn parameters(layer: &Linear) -> (Tensor<2>, Option<Tensor<1>>) {
    (layer.weight.val(), layer.bias.as_ref().map(Param::val))
}

/// `x · weight + bias`, `[.., input]` → `[.., output]`.
pub(super) fn dense<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let (weight, bias) = parameters(layer);
    kernels::linear(x, weight, bias)
}

/// `residual + x · weight + bias`, `[rows, input]` → `[rows, output]`.
pub(super) fn dense_onto(residual: Tensor<2>, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    let (weight, bias) = parameters(layer);
    kernels::linear_onto(residual, x, weight, bias)
}
