//! The fused CPU operations as a Burn backend extension with hand-written backward passes.
//!
//! Only burn-flex and its autodiff wrapper have them: the public functions of
//! [`kernels`](crate::kernels) check [`usable`](super::flex_tensor::usable) first, since Burn panics when an extension is called
//! on a device that it was not written for.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::activation::Gelu;
use super::attention::AttentionShape;
use super::embedding::Lookup;
use super::flex_tensor::{contiguous, last_dim, shaped, shaped_like, values};
use super::mlp::{DenseLayer, MlpKind};
use super::pooling_attention::PoolingShape;
use super::{Segments, dense, precision, row_norm, row_softmax};
use crate::config::Precision;

/// `x·Φ(x)` or `x·σ(1.702x)`.
pub(super) fn gelu<const D: usize>(x: Tensor<D>, kind: Gelu) -> Tensor<D> {
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_gelu(x, kind))
}

/// Softmax over the last dimension.
pub(super) fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_softmax(x.into_dispatch()))
}

/// LayerNorm over the last dimension.
pub(super) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f32,
) -> Tensor<D> {
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_layer_norm(
        x, weight, bias, epsilon,
    ))
}

/// `[.., input] · [input, output] + [output]`.
pub(super) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
) -> Tensor<D> {
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_linear(
        x,
        weight,
        bias,
        precision::current(),
    ))
}

/// `residual + down(activation(up(x)))`; weights are `[input, output]`, biases `[output]`.
pub(super) fn mlp_onto(
    residual: Tensor<2>,
    x: Tensor<2>,
    [up, down]: [(Tensor<2>, Tensor<1>); 2],
    activation: Gelu,
) -> Tensor<2> {
    let (residual, x) = (residual.into_dispatch(), x.into_dispatch());
    let (up, up_bias) = (up.0.into_dispatch(), up.1.into_dispatch());
    let (down, down_bias) = (down.0.into_dispatch(), down.1.into_dispatch());
    let kind = MlpKind {
        activation,
        precision: precision::current(),
    };
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_mlp(
        residual, x, up, up_bias, down, down_bias, kind,
    ))
}

/// `residual + x · weight + bias`; `residual` is `[rows, output]`.
pub(super) fn linear_onto(
    residual: Tensor<2>,
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
) -> Tensor<2> {
    let (residual, x) = (residual.into_dispatch(), x.into_dispatch());
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_linear_onto(
        residual,
        x,
        weight,
        bias,
        precision::current(),
    ))
}

/// `[rows, 3·width]` → `[rows, width]`.
pub(super) fn attention(
    packed: Tensor<2>,
    segments: Segments,
    heads: usize,
    causal: bool,
) -> Tensor<2> {
    let shape = AttentionShape {
        segments,
        heads,
        head_width: packed.dims()[1] / 3 / heads,
        causal,
    };
    let packed = packed.into_dispatch();
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_attention(packed, shape))
}

/// Queries `[segments, heads·width]`, `x` `[rows, width]` → `[segments, heads·width]`.
pub(super) fn pooling_attention(
    queries: Tensor<2>,
    x: Tensor<2>,
    segments: Segments,
    scale: f32,
) -> Tensor<2> {
    let shape = PoolingShape {
        segments,
        width: x.dims()[1],
        scale,
    };
    let (queries, x) = (queries.into_dispatch(), x.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_pooling(queries, x, shape))
}

/// `[table rows, width]` → `[ids, width]`.
pub(super) fn embedding(table: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let lookup = Lookup::new(ids);
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_embedding(
        table.into_dispatch(),
        lookup,
    ))
}

#[backend_extension(Flex, Autodiff)]
pub(super) trait FusedOps: Backend {
    fn fused_gelu(x: FloatTensor<Self>, kind: Gelu) -> FloatTensor<Self>;
    fn fused_softmax(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_mlp(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        up_bias: FloatTensor<Self>,
        down: FloatTensor<Self>,
        down_bias: FloatTensor<Self>,
        kind: MlpKind,
    ) -> FloatTensor<Self>;
    fn fused_linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_attention(packed: FloatTensor<Self>, shape: AttentionShape) -> FloatTensor<Self>;
    fn fused_pooling(
        queries: FloatTensor<Self>,
        x: FloatTensor<Self>,
        shape: PoolingShape,
    ) -> FloatTensor<Self>;
    fn fused_embedding(table: FloatTensor<Self>, lookup: Lookup) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn fused_gelu(x: FlexTensor, kind: Gelu) -> FlexTensor {
        let x = contiguous(x);
        shaped_like(&x, kind.forward(values(&x)))
    }

    fn fused_softmax(x: FlexTensor) -> FlexTensor {
        let x = contiguous(x);
        shaped_like(&x, row_softmax::forward(values(&x), last_dim(&x)))
    }

    fn fused_layer_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        epsilon: f32,
    ) -> FlexTensor {
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let norm = row_norm::forward(values(&x), values(&weight), values(&bias), epsilon);
        shaped_like(&x, norm.output)
    }

    fn fused_linear(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        precision: Precision,
    ) -> FlexTensor {
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let (w, b) = (values(&weight), values(&bias));
        of_layer(
            &x,
            &weight,
            dense::forward(values(&x), w, b, None, precision),
        )
    }

    fn fused_mlp(
        residual: FlexTensor,
        x: FlexTensor,
        up: FlexTensor,
        up_bias: FlexTensor,
        down: FlexTensor,
        down_bias: FlexTensor,
        kind: MlpKind,
    ) -> FlexTensor {
        let (residual, x) = (contiguous(residual), contiguous(x));
        let layers = MlpLayers::new([up, up_bias, down, down_bias]);
        let output = kind.forward(values(&residual), values(&x), layers.slices());
        shaped_like(&residual, output)
    }

    fn fused_linear_onto(
        residual: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        precision: Precision,
    ) -> FlexTensor {
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let residual = contiguous(residual);
        let (w, b) = (values(&weight), values(&bias));
        let y = dense::forward(values(&x), w, b, Some(values(&residual)), precision);
        of_layer(&x, &weight, y)
    }

    fn fused_attention(packed: FlexTensor, shape: AttentionShape) -> FlexTensor {
        let packed = contiguous(packed);
        attended(&packed, shape.forward(values(&packed)).output)
    }

    fn fused_pooling(queries: FlexTensor, x: FlexTensor, shape: PoolingShape) -> FlexTensor {
        let (queries, x) = (contiguous(queries), contiguous(x));
        let pooled = shape.forward(values(&queries), values(&x));
        shaped_like(&queries, pooled.output)
    }

    fn fused_embedding(table: FlexTensor, lookup: Lookup) -> FlexTensor {
        let table = contiguous(table);
        let width = last_dim(&table);
        let rows = lookup.forward(values(&table), width);
        shaped(Shape::new([rows.len() / width, width]), rows)
    }
}

/// Weights and biases of both layers of an MLP.
#[derive(Debug, Clone)]
pub(super) struct MlpLayers {
    pub(super) up: FlexTensor,
    up_bias: FlexTensor,
    pub(super) down: FlexTensor,
    down_bias: FlexTensor,
}

impl MlpLayers {
    pub(super) fn new(parameters: [FlexTensor; 4]) -> Self {
        let [up, up_bias, down, down_bias] = parameters.map(contiguous);
        Self {
            up,
            up_bias,
            down,
            down_bias,
        }
    }

    pub(super) fn slices(&self) -> [DenseLayer<'_>; 2] {
        let pairs = [(&self.up, &self.up_bias), (&self.down, &self.down_bias)];
        pairs.map(|(weight, bias)| DenseLayer {
            weight: values(weight),
            bias: values(bias),
        })
    }
}

/// Output of a layer, whose last dimension is that of the weight.
pub(super) fn of_layer(x: &FlexTensor, weight: &FlexTensor, output: Vec<f32>) -> FlexTensor {
    let mut shape = x.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = last_dim(weight);
    shaped(shape, output)
}

/// Attention output for packed input `[rows, 3·width]`.
pub(super) fn attended(packed: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    let mut shape = packed.layout().shape().clone();
    shape[1] /= 3;
    shaped(shape, values)
}

#[cfg(test)]
pub(super) mod tests;
