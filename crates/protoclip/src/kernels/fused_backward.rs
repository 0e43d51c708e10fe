//! Backward passes of the fused operations: what each keeps from the forward pass and what it
//! gives to its parents.

use std::sync::Arc;

use burn::backend::AutodiffBackend;
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
use super::average_pool::PoolShape;
use super::batch_norm::{BatchStatistics, Normalised, backward_relu};
use super::convolution::ConvolutionShape;
use super::embedding::Lookup;
use super::fused::{
    FusedOps, NormKind, attended, contiguous, last_dim, normalise, pictures, shaped, shaped_like,
    statistics_tensor, values, whole,
};
use super::pooling_attention::PoolingShape;
use super::{dense, row_gradient, row_norm, row_softmax};

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
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let y = Flex::fused_linear(x.clone(), weight.clone(), bias.into_primitive());
        match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((x, weight), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
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
        keys_values: FloatTensor<Self>,
        shape: PoolingShape,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys_values.node()];
        let queries = contiguous(queries.into_primitive());
        let keys_values = contiguous(keys_values.into_primitive());
        let pooled = shape.forward(values(&queries), values(&keys_values));
        let output = shaped_like(&queries, pooled.output);
        match PoolingStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let kept = Arc::new(pooled.probabilities);
                step.finish((queries, keys_values, kept, shape), output)
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

    fn fused_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: ConvolutionShape,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let y = pictures(&shape, shape.forward(values(&x), values(&weight)));
        match ConvolutionStep
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(step) => step.finish((x, weight, shape), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn fused_batch_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let (y, statistics) = normalise(&x, &weight, bias.into_primitive(), None, kind);
        let constant = Self::from_inner(statistics_tensor(&statistics));
        let kept = BatchNormState::new(x, weight, &y, statistics, kind);
        let step = BatchNormStep.prepare::<C>(nodes).compute_bound().stateful();
        let y = match step {
            OpsKind::Tracked(step) => step.finish(kept, y),
            OpsKind::UnTracked(step) => step.finish(y),
        };
        (y, constant)
    }

    fn fused_batch_norm_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        let x = contiguous(x.into_primitive());
        let weight = contiguous(weight.into_primitive());
        let residual = Some(residual.into_primitive());
        let (y, statistics) = normalise(&x, &weight, bias.into_primitive(), residual, kind);
        let constant = Self::from_inner(statistics_tensor(&statistics));
        let kept = BatchNormState::new(x, weight, &y, statistics, kind);
        let step = BatchNormStep.prepare::<C>(nodes).compute_bound().stateful();
        let y = match step {
            OpsKind::Tracked(step) => step.finish(kept, y),
            OpsKind::UnTracked(step) => step.finish(y),
        };
        (y, constant)
    }

    fn fused_average_pool(x: FloatTensor<Self>, shape: PoolShape) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = Flex::fused_average_pool(x.into_primitive(), shape);
        match PoolStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(shape, y),
            OpsKind::UnTracked(step) => step.finish(y),
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
    /// Queries, keys and values, probabilities, sizes.
    type State = (FlexTensor, FlexTensor, Arc<Vec<f32>>, PoolingShape);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (queries, keys_values, probabilities, shape) = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let (q, kv) = (values(&queries), values(&keys_values));
        let by = shape.backward(q, kv, &probabilities, values(&gradient));
        let results = [
            shaped_like(&queries, by.queries),
            shaped_like(&keys_values, by.keys_values),
        ];
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

#[derive(Debug)]
struct LinearStep;

impl Backward<Flex, 3> for LinearStep {
    /// Input and weight.
    type State = (FlexTensor, FlexTensor);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, weight) = ops.state;
        let [by_x, by_weight, by_bias] = ops.parents;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let (gradient, output) = (values(&gradient), last_dim(&weight));
        if let Some(parent) = by_x {
            let result = dense::backward_input(gradient, values(&weight), output);
            gradients.register::<Flex>(parent.id, shaped_like(&x, result));
        }
        if let Some(parent) = by_weight {
            let result = dense::backward_weight(values(&x), gradient, output);
            gradients.register::<Flex>(parent.id, shaped_like(&weight, result));
        }
        if let Some(parent) = by_bias {
            let result = dense::backward_bias(gradient, output);
            let result = shaped(Shape::new([output]), result);
            gradients.register::<Flex>(parent.id, result);
        }
    }
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
