//! Convolution, BatchNorm and average pool of channels-last pictures as a Burn backend extension; as
//! [`fused`](super::fused), on burn-flex only.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::average_pool::PoolShape;
use super::batch_norm::{Affine, BatchStatistics};
use super::convolution::ConvolutionShape;
use super::flex_tensor::{contiguous, last_dim, shaped, shaped_like, values};
use super::precision;

/// `[count, height, width, input]` → `[count, height/stride, width/stride, output]`.
pub(super) fn convolution(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [count, height, width, input] = x.dims();
    let [output, _, kernel, _] = weight.dims();
    let shape = ConvolutionShape {
        count,
        height,
        width,
        input,
        output,
        kernel,
        stride,
        precision: precision::current(),
    };
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as PictureOps>::convolve(x, weight, shape))
}

/// `[.., channels]` → the same shape, and the batch's `[2, channels]` mean and biased variance.
pub(super) fn batch_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    kind: NormKind,
) -> (Tensor<D>, Tensor<2>) {
    let x = x.into_dispatch();
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    let (y, statistics) = match residual {
        None => <Dispatch as PictureOps>::normalise(x, weight, bias, kind),
        Some(residual) => {
            let residual = residual.into_dispatch();
            <Dispatch as PictureOps>::normalise_and_add(x, weight, bias, residual, kind)
        }
    };
    (Tensor::from_dispatch(y), Tensor::from_dispatch(statistics))
}

/// BatchNorm by given statistics, outside of autodiff; the parameters are weight, bias, mean and
/// variance.
pub(super) fn batch_norm_fixed<const D: usize>(
    x: Tensor<D>,
    parameters: [Tensor<1>; 4],
    residual: Option<Tensor<D>>,
    kind: NormKind,
) -> Tensor<D> {
    let [weight, bias, mean, variance] = parameters.map(Tensor::into_dispatch);
    let x = x.into_dispatch();
    Tensor::from_dispatch(match residual {
        None => Dispatch::affine(x, weight, bias, mean, variance, kind),
        Some(residual) => {
            let residual = residual.into_dispatch();
            Dispatch::affine_add(x, weight, bias, mean, variance, residual, kind)
        }
    })
}

/// `[count, height, width, channels]` → `[count, height/side, width/side, channels]`.
pub(super) fn average_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [count, height, width, channels] = x.dims();
    let shape = PoolShape {
        count,
        height,
        width,
        channels,
        side,
    };
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as PictureOps>::pool(x, shape))
}

/// What BatchNorm does besides normalising.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NormKind {
    pub(super) relu: bool,
    pub(super) epsilon: f32,
}

#[backend_extension(Flex, Autodiff)]
pub(super) trait PictureOps: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: ConvolutionShape,
    ) -> FloatTensor<Self>;
    /// The second result carries no gradient.
    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn normalise_and_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn pool(x: FloatTensor<Self>, shape: PoolShape) -> FloatTensor<Self>;
}

/// Without backward passes.
#[backend_extension(Flex)]
pub(super) trait FixedOps: Backend {
    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        kind: NormKind,
    ) -> FloatTensor<Self>;
    fn affine_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        kind: NormKind,
    ) -> FloatTensor<Self>;
}

impl FixedOps for Flex {
    fn affine(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        kind: NormKind,
    ) -> FlexTensor {
        transformed(x, [weight, bias, mean, variance], None, kind)
    }

    fn affine_add(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        residual: FlexTensor,
        kind: NormKind,
    ) -> FlexTensor {
        transformed(x, [weight, bias, mean, variance], Some(residual), kind)
    }
}

fn transformed(
    x: FlexTensor,
    parameters: [FlexTensor; 4],
    residual: Option<FlexTensor>,
    kind: NormKind,
) -> FlexTensor {
    let x = contiguous(x);
    let [weight, bias, mean, variance] = parameters.map(contiguous);
    let residual = residual.map(contiguous);
    let statistics = BatchStatistics {
        mean: values(&mean).to_vec(),
        variance: values(&variance).to_vec(),
    };
    let affine = Affine::new(&statistics, values(&weight), values(&bias), kind.epsilon);
    let y = affine.apply(values(&x), residual.as_ref().map(values), kind.relu);
    shaped_like(&x, y)
}

impl PictureOps for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, shape: ConvolutionShape) -> FlexTensor {
        let (x, weight) = (contiguous(x), contiguous(weight));
        output_pictures(&shape, shape.forward(values(&x), values(&weight)))
    }

    fn normalise(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        kind: NormKind,
    ) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let (y, statistics) = normalised(&x, &weight, bias, None, kind);
        (y, statistics_tensor(&statistics))
    }

    fn normalise_and_add(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        kind: NormKind,
    ) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let (y, statistics) = normalised(&x, &weight, bias, Some(residual), kind);
        (y, statistics_tensor(&statistics))
    }

    fn pool(x: FlexTensor, shape: PoolShape) -> FlexTensor {
        let y = shape.forward(values(&contiguous(x)));
        let [height, width] = shape.output_size();
        shaped(Shape::new([shape.count, height, width, shape.channels]), y)
    }
}

/// `x` is contiguous.
pub(super) fn normalised(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: FlexTensor,
    residual: Option<FlexTensor>,
    kind: NormKind,
) -> (FlexTensor, BatchStatistics) {
    let (weight, bias) = (contiguous(weight.clone()), contiguous(bias));
    let residual = residual.map(contiguous);
    let statistics = BatchStatistics::of(values(x), last_dim(x));
    let affine = Affine::new(&statistics, values(&weight), values(&bias), kind.epsilon);
    let y = affine.apply(values(x), residual.as_ref().map(values), kind.relu);
    (shaped_like(x, y), statistics)
}

/// `[2, channels]`: mean, biased variance.
pub(super) fn statistics_tensor(statistics: &BatchStatistics) -> FlexTensor {
    let both = [&statistics.mean[..], &statistics.variance].concat();
    shaped(Shape::new([2, statistics.mean.len()]), both)
}

/// Output of a convolution.
pub(super) fn output_pictures(shape: &ConvolutionShape, values: Vec<f32>) -> FlexTensor {
    let [height, width] = shape.output_size();
    shaped(
        Shape::new([shape.count, height, width, shape.output]),
        values,
    )
}

#[cfg(test)]
mod tests;
