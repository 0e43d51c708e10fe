//! Backward passes of the fused operations: what each keeps from the forward pass and what it
//! gives to its parents.

mod layers;

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::activation::Gelu;
use super::attention::AttentionShape;
use super::embedding::Lookup;
use super::flex_tensor::{contiguous, last_dim, shaped, shaped_like, values};
use super::fused::{FusedOps, attended};
use super::mlp::MlpKind;
use super::pooling_attention::PoolingShape;
use super::{row_gradient, row_norm, row_softmax};
use crate::config::Precision;

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn fused_gelu(x: FloatTensor<Self>, kind: Gelu) -> FloatTensor<Self> {
        match GeluStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let x = contiguous(x.into_primitive());
                let y = shaped_like(&x, kind.forward(values(&x)));
                step.finish((x, kind), y)
            }
            OpsKind::UnTracked(step) => step.finish(Flex::fused_gelu(x.into_primitive(), kind)),
        }
    }

    fn fused_softmax(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match SoftmaxStep
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(step) => {
                let y = Flex::fused_softmax(x.into_primitive());
                step.finish(y.clone(), y)
            }
            OpsKind::UnTracked(step) => step.finish(Flex::fused_softmax(x.into_primitive())),
        }
    }

    fn fused_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let bias = contiguous(bias.into_primitive());
        let norm = row_norm::forward(values(&x), values(&weight), values(&bias), epsilon);
        let y = shaped_like(&x, norm.output);
        match LayerNormStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((x, weight, Arc::new(norm.statistics)), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        layers::linear::<C>(x, weight, bias, precision)
    }

    fn fused_mlp(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        up_bias: FloatTensor<Self>,
        down: FloatTensor<Self>,
        down_bias: FloatTensor<Self>,
        kind: MlpKind,
    ) -> FloatTensor<Self> {
        layers::mlp::<C>([residual, x, up, up_bias, down, down_bias], kind)
    }

    fn fused_linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        layers::linear_onto::<C>(residual, x, weight, bias, precision)
    }

    fn fused_attention(packed: FloatTensor<Self>, shape: AttentionShape) -> FloatTensor<Self> {
        let nodes = [packed.node()];
        let packed = contiguous(packed.into_primitive());
        let result = shape.forward(values(&packed));
        let output = attended(&packed, result.output);
        match AttentionStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                step.finish((packed, Arc::new(result.probabilities), shape), output)
            }
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn fused_pooling(
        queries: FloatTensor<Self>,
        x: FloatTensor<Self>,
        shape: PoolingShape,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), x.node()];
        let queries = contiguous(queries.into_primitive());
        let x = contiguous(x.into_primitive());
        let pooled = shape.forward(values(&queries), values(&x));
        let output = shaped_like(&queries, pooled.output);
        match PoolingStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let kept = Arc::new(pooled.probabilities);
                step.finish((queries, x, kept, shape), output)
            }
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn fused_embedding(table: FloatTensor<Self>, lookup: Lookup) -> FloatTensor<Self> {
        let nodes = [table.node()];
        let table = table.into_primitive();
        let shape = table.layout().shape().clone();
        let output = Flex::fused_embedding(table, lookup.clone());
        match EmbeddingStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((shape, Arc::new(lookup)), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }
}

#[derive(Debug)]
struct GeluStep;

impl Backward<Flex, 1> for GeluStep {
    /// Input and kind.
    type State = (FlexTensor, Gelu);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, kind) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let gradient = contiguous(gradient);
            shaped_like(&x, kind.backward(values(&x), values(&gradient)))
        });
    }
}

#[derive(Debug)]
struct SoftmaxStep;

impl Backward<Flex, 1> for SoftmaxStep {
    /// Output.
    type State = FlexTensor;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let y = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let gradient = contiguous(gradient);
            let width = last_dim(&y);
            shaped_like(
                &y,
                row_softmax::backward(values(&y), values(&gradient), width),
            )
        });
    }
}

#[derive(Debug)]
struct LayerNormStep;

impl Backward<Flex, 3> for LayerNormStep {
    /// Input, weight, statistics.
    type State = (FlexTensor, FlexTensor, Arc<Vec<f32>>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, weight, statistics) = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let by = row_norm::backward(values(&x), values(&weight), &statistics, values(&gradient));
        let results = [
            shaped_like(&x, by.input),
            shaped_like(&weight, by.weight),
            shaped_like(&weight, by.bias),
        ];
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

#[derive(Debug)]
struct AttentionStep;

impl Backward<Flex, 1> for AttentionStep {
    /// Packed input, probabilities, sizes.
    type State = (FlexTensor, Arc<Vec<f32>>, AttentionShape);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (packed, probabilities, shape) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let gradient = contiguous(gradient);
            let by_packed = shape.backward(values(&packed), &probabilities, values(&gradient));
            shaped_like(&packed, by_packed)
        });
    }
}

#[derive(Debug)]
struct PoolingStep;

impl Backward<Flex, 2> for PoolingStep {
    /// Queries, rows, probabilities, sizes.
    type State = (FlexTensor, FlexTensor, Arc<Vec<f32>>, PoolingShape);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (queries, x, probabilities, shape) = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let (asked, rows) = (values(&queries), values(&x));
        let by = shape.backward(asked, rows, &probabilities, values(&gradient));
        let results = [shaped_like(&queries, by.queries), shaped_like(&x, by.rows)];
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

#[derive(Debug)]
struct EmbeddingStep;

impl Backward<Flex, 1> for EmbeddingStep {
    /// Shape of the table, and what was looked up.
    type State = (Shape, Arc<Lookup>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (shape, lookup) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let gradient = contiguous(gradient);
            let width = shape[1];
            let by_used = lookup.backward(values(&gradient), width);
            let packed = row_gradient::pack(&lookup.used, &by_used, width);
            shaped(Shape::new([lookup.used.len(), 1 + width]), packed)
        });
    }
}
