//! Backward passes of dense layers, alone, onto a residual, and in pairs.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use crate::config::Precision;
use crate::kernels::dense;
use crate::kernels::flex_tensor::{contiguous, last_dim, shaped, shaped_like, values};
use crate::kernels::fused::{FusedOps, MlpLayers};
use crate::kernels::mlp::MlpKind;

type Float<C> = FloatTensor<Autodiff<Flex, C>>;

/// What a layer keeps: input, weight, precision.
#[derive(Debug, Clone)]
struct Layer {
    x: FlexTensor,
    weight: FlexTensor,
    precision: Precision,
}

pub(super) fn linear<C: CheckpointStrategy>(
    x: Float<C>,
    weight: Float<C>,
    bias: Float<C>,
    precision: Precision,
) -> Float<C> {
    let nodes = [x.node(), weight.node(), bias.node()];
    let layer = Layer::new(x.into_primitive(), weight.into_primitive(), precision);
    let (x, weight) = (layer.x.clone(), layer.weight.clone());
    let y = Flex::fused_linear(x, weight, bias.into_primitive(), precision);
    match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(layer, y),
        OpsKind::UnTracked(step) => step.finish(y),
    }
}

/// Takes residual, input, and weight and bias of both layers.
pub(super) fn mlp<C: CheckpointStrategy>(operands: [Float<C>; 6], kind: MlpKind) -> Float<C> {
    let nodes = operands.each_ref().map(|operand| operand.node());
    let operands = operands.map(|operand| contiguous(operand.into_primitive()));
    let [residual, x, up, up_bias, down, down_bias] = operands;
    let layers = MlpLayers::new([up, up_bias, down, down_bias]);
    match MlpStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let result = kind.forward_tracked(values(&residual), values(&x), layers.slices());
            let y = shaped_like(&residual, result.output);
            let kept = (result.hidden, result.slope);
            step.finish((x, layers, kind, Arc::new(kept)), y)
        }
        OpsKind::UnTracked(step) => {
            let output = kind.forward(values(&residual), values(&x), layers.slices());
            step.finish(shaped_like(&residual, output))
        }
    }
}

pub(super) fn linear_onto<C: CheckpointStrategy>(
    residual: Float<C>,
    x: Float<C>,
    weight: Float<C>,
    bias: Float<C>,
    precision: Precision,
) -> Float<C> {
    let nodes = [residual.node(), x.node(), weight.node(), bias.node()];
    let layer = Layer::new(x.into_primitive(), weight.into_primitive(), precision);
    let (x, weight) = (layer.x.clone(), layer.weight.clone());
    let (residual, bias) = (residual.into_primitive(), bias.into_primitive());
    let y = Flex::fused_linear_onto(residual, x, weight, bias, precision);
    match OntoStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(layer, y),
        OpsKind::UnTracked(step) => step.finish(y),
    }
}

impl Layer {
    fn new(x: FlexTensor, weight: FlexTensor, precision: Precision) -> Self {
        Self {
            x: contiguous(x),
            weight: contiguous(weight),
            precision,
        }
    }

    /// Gives input, weight and bias their gradients, from that by the layer's output.
    fn backward(
        &self,
        gradient: &FlexTensor,
        [by_x, by_weight, by_bias]: [Option<NodeId>; 3],
        gradients: &mut Gradients,
    ) {
        let gradient = values(gradient);
        if let Some(parent) = by_x {
            let (weight, output) = (values(&self.weight), last_dim(&self.weight));
            let result = dense::backward_input(gradient, weight, output, self.precision);
            gradients.register::<Flex>(parent, shaped_like(&self.x, result));
        }
        let layer = (values(&self.x), gradient, &self.weight);
        register_parameters(layer, self.precision, [by_weight, by_bias], gradients);
    }
}

/// Gives weight and bias their gradients, from the layer's input, that by its output, and its weight.
fn register_parameters(
    (x, gradient, weight): (&[f32], &[f32], &FlexTensor),
    precision: Precision,
    parents: [Option<NodeId>; 2],
    gradients: &mut Gradients,
) {
    if parents == [None, None] {
        return;
    }
    let output = last_dim(weight);
    let by = dense::backward_parameters(x, gradient, output, precision);
    let [by_weight, by_bias] = parents;
    if let Some(parent) = by_weight {
        gradients.register::<Flex>(parent, shaped_like(weight, by.weight));
    }
    if let Some(parent) = by_bias {
        gradients.register::<Flex>(parent, shaped(Shape::new([output]), by.bias));
    }
}

#[derive(Debug)]
struct LinearStep;

impl Backward<Flex, 3> for LinearStep {
    type State = Layer;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        ops.state.backward(
            &gradient,
            ops.parents.map(|parent| parent.map(|parent| parent.id)),
            gradients,
        );
    }
}

#[derive(Debug)]
struct MlpStep;

impl Backward<Flex, 6> for MlpStep {
    /// Input, parameters, kind; behind the activation and its slope.
    type State = (FlexTensor, MlpLayers, MlpKind, Arc<(Vec<f32>, Vec<f32>)>);

    fn backward(
        self,
        ops: Ops<Self::State, 6>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, layers, kind, kept) = ops.state;
        let (hidden, slope) = Arc::unwrap_or_clone(kept);
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let parents = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let [residual, input, up, up_bias, down, down_bias] = parents;
        let by = kind.backward_inputs(values(&gradient), slope, layers.slices());
        if let Some(parent) = input {
            gradients.register::<Flex>(parent, shaped_like(&x, by.x));
        }
        let down_of = (&*hidden, values(&gradient), &layers.down);
        register_parameters(down_of, kind.precision, [down, down_bias], gradients);
        let up_of = (values(&x), &*by.hidden, &layers.up);
        register_parameters(up_of, kind.precision, [up, up_bias], gradients);
        if let Some(parent) = residual {
            gradients.register::<Flex>(parent, gradient);
        }
    }
}

#[derive(Debug)]
struct OntoStep;

impl Backward<Flex, 4> for OntoStep {
    type State = Layer;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let [residual, x, weight, bias] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        ops.state.backward(&gradient, [x, weight, bias], gradients);
        if let Some(parent) = residual {
            gradients.register::<Flex>(parent, gradient);
        }
    }
}
