//! Backward passes of [`pictures`](super::pictures).

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::average_pool::PoolShape;
use super::batch_norm::{BatchStatistics, Normalised, backward_relu};
use super::convolution::ConvolutionShape;
use super::flex_tensor::{contiguous, shaped, shaped_like, values, whole};
use super::pictures::{NormKind, PictureOps, normalised, output_pictures, statistics_tensor};

type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

impl<C: CheckpointStrategy> PictureOps for Autodiff<Flex, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: ConvolutionShape,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let y = output_pictures(&shape, shape.forward(values(&x), values(&weight)));
        match ConvolutionStep
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(step) => step.finish((x, weight, shape), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node()];
        track_batch_norm::<C, _>(nodes, [x, weight, bias], None, kind)
    }

    fn normalise_and_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        track_batch_norm::<C, _>(nodes, [x, weight, bias], Some(residual), kind)
    }

    fn pool(x: FloatTensor<Self>, shape: PoolShape) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = Flex::pool(x.into_primitive(), shape);
        match PoolStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(shape, y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}

/// BatchNorm of the tensors behind `nodes`: input, weight, bias, and the residual when there is one.
fn track_batch_norm<C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    tensors: [Tracked<C>; 3],
    residual: Option<Tracked<C>>,
    kind: NormKind,
) -> (Tracked<C>, Tracked<C>) {
    let [x, weight, bias] = tensors.map(|tensor| tensor.into_primitive());
    let (x, weight) = (contiguous(x), contiguous(weight));
    let residual = residual.map(|residual| residual.into_primitive());
    let (y, statistics) = normalised(&x, &weight, bias, residual, kind);
    let constant = Autodiff::<Flex, C>::from_inner(statistics_tensor(&statistics));
    let kept = BatchNormState::new(x, weight, &y, statistics, kind);
    let step = BatchNormStep.prepare::<C>(nodes).compute_bound().stateful();
    let y = match step {
        OpsKind::Tracked(step) => step.finish(kept, y),
        OpsKind::UnTracked(step) => step.finish(y),
    };
    (y, constant)
}

#[derive(Debug)]
struct ConvolutionStep;

impl Backward<Flex, 2> for ConvolutionStep {
    /// Pictures, weights, sizes.
    type State = (FlexTensor, FlexTensor, ConvolutionShape);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, weight, shape) = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let [by_x, by_weight] = ops.parents;
        if let Some(parent) = by_x {
            let result = shape.backward_input(values(&gradient), values(&weight));
            gradients.register::<Flex>(parent.id, shaped_like(&x, result));
        }
        if let Some(parent) = by_weight {
            let result = shape.backward_weight(values(&x), values(&gradient));
            gradients.register::<Flex>(parent.id, shaped_like(&weight, result));
        }
    }
}

#[derive(Debug, Clone)]
struct BatchNormState {
    x: FlexTensor,
    weight: FlexTensor,
    /// With ReLU only.
    y: Option<FlexTensor>,
    statistics: Arc<BatchStatistics>,
    epsilon: f32,
}

impl BatchNormState {
    fn new(
        x: FlexTensor,
        weight: FlexTensor,
        y: &FlexTensor,
        statistics: BatchStatistics,
        kind: NormKind,
    ) -> Self {
        Self {
            x,
            weight,
            y: kind.relu.then(|| y.clone()),
            statistics: Arc::new(statistics),
            epsilon: kind.epsilon,
        }
    }
}

#[derive(Debug)]
struct BatchNormStep;

/// With three parents, or a residual as the fourth.
impl<const N: usize> Backward<Flex, N> for BatchNormStep {
    type State = BatchNormState;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let state = ops.state;
        let mut gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        if let Some(y) = &state.y {
            gradient = whole(gradient);
            backward_relu(gradient.storage_mut::<f32>(), values(y));
        }
        let norm = Normalised {
            x: values(&state.x),
            weight: values(&state.weight),
            statistics: &state.statistics,
            epsilon: state.epsilon,
        };
        let by = norm.backward(values(&gradient));
        let results = [
            shaped_like(&state.x, by.input),
            shaped_like(&state.weight, by.weight),
            shaped_like(&state.weight, by.bias),
            gradient,
        ];
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

#[derive(Debug)]
struct PoolStep;

impl Backward<Flex, 1> for PoolStep {
    type State = PoolShape;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let shape = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let by_x = shape.backward(values(&contiguous(gradient)));
            let sizes = [shape.count, shape.height, shape.width, shape.channels];
            shaped(Shape::new(sizes), by_x)
        });
    }
}
