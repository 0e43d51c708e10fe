//! Backward passes of dense layers, alone, with an activation, and onto a residual.

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
use crate::kernels::activation::Gelu;
use crate::kernels::dense;
use crate::kernels::flex_tensor::{contiguous, last_dim, shaped, shaped_like, values};
use crate::kernels::fused::{FusedOps, of_layer};

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

pub(super) fn activated_linear<C: CheckpointStrategy>(
    x: Float<C>,
    weight: Float<C>,
    bias: Float<C>,
    kind: Gelu,
    precision: Precision,
) -> Float<C> {
    let nodes = [x.node(), weight.node(), bias.node()];
    let layer = Layer::new(x.into_primitive(), weight.into_primitive(), precision);
    let bias = contiguous(bias.into_primitive());
    let prepared = ActivatedStep.prepare::<C>(nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (x, w) = (values(&layer.x), values(&layer.weight));
            let result = dense::forward_activated_with_slope(x, w, values(&bias), kind, precision);
            let y = of_layer(&layer.x, &layer.weight, result.output);
            let slope = shaped_like(&y, result.slope);
            step.finish((layer, slope), y)
        }
        OpsKind::UnTracked(step) => {
            let Layer { x, weight, .. } = layer;
            step.finish(Flex::fused_activated_linear(
                x, weight, bias, kind, precision,
            ))
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
        self.backward_parameters(gradient, [by_weight, by_bias], gradients);
    }

    /// Gives weight and bias their gradients, from that by the layer's output before an activation.
    fn backward_parameters(
        &self,
        gradient: &[f32],
        parents: [Option<NodeId>; 2],
        gradients: &mut Gradients,
    ) {
        if parents == [None, None] {
            return;
        }
        let output = last_dim(&self.weight);
        let by = dense::backward_parameters(values(&self.x), gradient, output, self.precision);
        let [by_weight, by_bias] = parents;
        if let Some(parent) = by_weight {
            gradients.register::<Flex>(parent, shaped_like(&self.weight, by.weight));
        }
        if let Some(parent) = by_bias {
            gradients.register::<Flex>(parent, shaped(Shape::new([output]), by.bias));
        }
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
struct ActivatedStep;

impl Backward<Flex, 3> for ActivatedStep {
    /// The layer and the slope of its activation.
    type State = (Layer, FlexTensor);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (layer, slope) = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let (weight, output) = (values(&layer.weight), last_dim(&layer.weight));
        let [by_input, by_hidden] = dense::backward_activated_input(
            values(&gradient),
            values(&slope),
            weight,
            output,
            layer.precision,
        );
        let [x, weight, bias] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        if let Some(parent) = x {
            gradients.register::<Flex>(parent, shaped_like(&layer.x, by_input));
        }
        layer.backward_parameters(&by_hidden, [weight, bias], gradients);
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
