//! The fused CPU operations as a Burn backend extension with hand-written backward passes.
//!
//! Only burn-flex and its autodiff wrapper have them: the public functions of
//! [`kernels`](crate::kernels) check [`usable`] first, since Burn panics when an extension is called
//! on a device that it was not written for.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

use super::activation::Gelu;
use super::attention::AttentionShape;
use super::average_pool::PoolShape;
use super::batch_norm::{Affine, BatchStatistics};
use super::convolution::ConvolutionShape;
use super::embedding::Lookup;
use super::pooling_attention::PoolingShape;
use super::{Segments, dense, row_norm, row_softmax};

/// Whether a tensor lies where the fused operations can run: in f32 on burn-flex.
pub(super) fn usable<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

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
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_linear(x, weight, bias))
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

/// Queries `[segments, width]`, keys and values `[rows, 2·width]` → `[segments, width]`.
pub(super) fn pooling_attention(
    queries: Tensor<2>,
    keys_values: Tensor<2>,
    segments: Segments,
    heads: usize,
) -> Tensor<2> {
    let shape = PoolingShape {
        segments,
        heads,
        head_width: queries.dims()[1] / heads,
    };
    let (queries, keys_values) = (queries.into_dispatch(), keys_values.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_pooling(
        queries,
        keys_values,
        shape,
    ))
}

/// `[table rows, width]` → `[ids, width]`.
pub(super) fn embedding(table: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let lookup = Lookup::new(ids);
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_embedding(
        table.into_dispatch(),
        lookup,
    ))
}

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
    };
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_convolution(x, weight, shape))
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
        None => <Dispatch as FusedOps>::fused_batch_norm(x, weight, bias, kind),
        Some(residual) => {
            let residual = residual.into_dispatch();
            <Dispatch as FusedOps>::fused_batch_norm_add(x, weight, bias, residual, kind)
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
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_average_pool(x, shape))
}

/// What BatchNorm does besides normalising.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NormKind {
    pub(super) relu: bool,
    pub(super) epsilon: f32,
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
    ) -> FloatTensor<Self>;
    fn fused_attention(packed: FloatTensor<Self>, shape: AttentionShape) -> FloatTensor<Self>;
    fn fused_pooling(
        queries: FloatTensor<Self>,
        keys_values: FloatTensor<Self>,
        shape: PoolingShape,
    ) -> FloatTensor<Self>;
    fn fused_embedding(table: FloatTensor<Self>, lookup: Lookup) -> FloatTensor<Self>;
    fn fused_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: ConvolutionShape,
    ) -> FloatTensor<Self>;
    /// The second result carries no gradient.
    fn fused_batch_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn fused_batch_norm_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn fused_average_pool(x: FloatTensor<Self>, shape: PoolShape) -> FloatTensor<Self>;
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

    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let y = dense::forward(values(&x), values(&weight), values(&bias));
        let mut shape = x.layout().shape().clone();
        let last = shape.num_dims() - 1;
        shape[last] = last_dim(&weight);
        shaped(shape, y)
    }

    fn fused_attention(packed: FlexTensor, shape: AttentionShape) -> FlexTensor {
        let packed = contiguous(packed);
        attended(&packed, shape.forward(values(&packed)).output)
    }

    fn fused_pooling(
        queries: FlexTensor,
        keys_values: FlexTensor,
        shape: PoolingShape,
    ) -> FlexTensor {
        let (queries, keys_values) = (contiguous(queries), contiguous(keys_values));
        let pooled = shape.forward(values(&queries), values(&keys_values));
        shaped_like(&queries, pooled.output)
    }

    fn fused_embedding(table: FlexTensor, lookup: Lookup) -> FlexTensor {
        let table = contiguous(table);
        let width = last_dim(&table);
        let rows = lookup.forward(values(&table), width);
        shaped(Shape::new([rows.len() / width, width]), rows)
    }

    fn fused_convolution(x: FlexTensor, weight: FlexTensor, shape: ConvolutionShape) -> FlexTensor {
        let (x, weight) = (contiguous(x), contiguous(weight));
        pictures(&shape, shape.forward(values(&x), values(&weight)))
    }

    fn fused_batch_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        kind: NormKind,
    ) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let (y, statistics) = normalise(&x, &weight, bias, None, kind);
        (y, statistics_tensor(&statistics))
    }

    fn fused_batch_norm_add(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        kind: NormKind,
    ) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let (y, statistics) = normalise(&x, &weight, bias, Some(residual), kind);
        (y, statistics_tensor(&statistics))
    }

    fn fused_average_pool(x: FlexTensor, shape: PoolShape) -> FlexTensor {
        let y = shape.forward(values(&contiguous(x)));
        let [height, width] = shape.output_size();
        shaped(Shape::new([shape.count, height, width, shape.channels]), y)
    }
}

/// `x` is contiguous.
pub(super) fn normalise(
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
pub(super) fn pictures(shape: &ConvolutionShape, values: Vec<f32>) -> FlexTensor {
    let [height, width] = shape.output_size();
    shaped(
        Shape::new([shape.count, height, width, shape.output]),
        values,
    )
}

/// The tensor itself when its values lie in order, else a copy in order.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    match x.as_slice::<f32>() {
        Some(_) => x,
        None => x.to_contiguous(),
    }
}

/// The tensor as the only content of its buffer, in order; a copy when it is a view.
pub(super) fn whole(x: FlexTensor) -> FlexTensor {
    let all = x.bytes().len() / size_of::<f32>();
    match x.as_slice::<f32>() {
        Some(values) if values.len() == all => x,
        _ => x.to_contiguous(),
    }
}

/// Values of a tensor that went through [`contiguous`].
pub(super) fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice::<f32>().unwrap_or_default()
}

pub(super) fn last_dim(x: &FlexTensor) -> usize {
    let shape = x.layout().shape();
    shape[shape.num_dims() - 1]
}

pub(super) fn shaped_like(x: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    shaped(x.layout().shape().clone(), values)
}

pub(super) fn shaped(shape: Shape, values: Vec<f32>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// Attention output for packed input `[rows, 3·width]`.
pub(super) fn attended(packed: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    let mut shape = packed.layout().shape().clone();
    shape[1] /= 3;
    shaped(shape, values)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::kernels::plain;

    fn random<const D: usize>(dims: [usize; D], seed: u64) -> Tensor<D> {
        let device = Device::flex().autodiff();
        device.seed(seed);
        Tensor::random(dims, Distribution::Normal(0.0, 1.5), &device)
    }

    fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        (a.inner() - b.inner()).abs().max().into_scalar()
    }

    /// Output and input gradient of both paths for one unary operation.
    fn agree<const D: usize, const E: usize>(
        dims: [usize; D],
        fused: impl Fn(Tensor<D>) -> Tensor<E>,
        plain: impl Fn(Tensor<D>) -> Tensor<E>,
    ) {
        let x = random(dims, 1).require_grad();
        let run = |f: &dyn Fn(Tensor<D>) -> Tensor<E>| {
            let y = f(x.clone());
            let weights = random(y.dims(), 2);
            let gradients = (y.clone() * weights).sum().backward();
            (y, x.grad(&gradients).expect("tracked"))
        };
        let ((ours, by_x), (wanted, wanted_by_x)) = (run(&fused), run(&plain));
        let (forward, backward) = (difference(ours, wanted), difference(by_x, wanted_by_x));
        assert!(
            forward < 3e-6 && backward < 1e-5,
            "{forward:e} {backward:e}"
        );
        let eval = difference(fused(x.clone().inner()), plain(x.inner()));
        assert!(eval < 3e-6, "{eval:e}");
    }

    #[test]
    fn gelu_agrees_with_burn() {
        agree([7, 33], |x| gelu(x, Gelu::Exact), plain::gelu);
        agree([2, 3, 50], |x| gelu(x, Gelu::Quick), plain::quick_gelu);
        agree(
            [7, 33],
            |x| gelu(x.transpose(), Gelu::Exact),
            |x| plain::gelu(x.transpose()),
        );
    }

    #[test]
    fn softmax_agrees_with_burn() {
        agree([2, 3, 5, 19], softmax, plain::softmax);
        agree([4, 1], softmax, plain::softmax);
    }

    #[test]
    fn attention_agrees_with_burn() {
        for causal in [false, true] {
            for (lengths, width) in [([5, 5, 5], 24), ([17, 1, 3], 96), ([1, 1, 1], 12)] {
                let segments = Segments::of_lengths(lengths);
                let fused = |x| attention(x, segments.clone(), 4, causal);
                let plain = |x| plain::attention(x, &segments, 4, causal);
                agree([segments.rows(), width], fused, plain);
            }
        }
    }

    #[test]
    fn pooling_attention_and_all_its_gradients_agree_with_burn() {
        for lengths in [[4, 4, 4], [1, 9, 20]] {
            let segments = Segments::of_lengths(lengths);
            let queries = random([3, 36], 1).require_grad();
            let keys_values = random([segments.rows(), 72], 2).require_grad();
            let run = |y: Tensor<2>| {
                let gradients = (y.clone() * random([3, 36], 3)).sum().backward();
                let by = [&queries, &keys_values].map(|x| x.grad(&gradients).expect("tracked"));
                (y, by)
            };
            let (q, kv) = (queries.clone(), keys_values.clone());
            let (ours, by_ours) = run(pooling_attention(q, kv, segments.clone(), 4));
            let (q, kv) = (queries.clone(), keys_values.clone());
            let (wanted, by_wanted) = run(plain::pooling_attention(q, kv, &segments, 4));
            assert!(difference(ours, wanted) < 3e-6);
            for (ours, wanted) in by_ours.into_iter().zip(by_wanted) {
                assert!(difference(ours, wanted) < 1e-5);
            }
        }
    }

    #[test]
    fn a_lookup_and_its_row_gradient_agree_with_burn() {
        let table = random([11, 7], 1).require_grad();
        let ids = [3, 10, 3, 0];
        let run = |y: Tensor<2>| {
            let gradients = (y.clone() * random([4, 7], 2)).sum().backward();
            (y, table.grad(&gradients).expect("tracked"))
        };
        let (ours, by_rows) = run(embedding(table.clone(), &ids));
        let (wanted, by_table) = run(plain::embedding(table.clone(), &ids));
        assert_eq!(difference(ours, wanted), 0.0);
        assert_eq!(by_rows.dims(), [3, 8]);
        let rows: Vec<f32> = by_rows.into_data().try_to_vec().expect("f32");
        let wanted: Vec<f32> = by_table.into_data().try_to_vec().expect("f32");
        let mut dense = vec![0.0; 77];
        for (row, values) in crate::kernels::row_gradient::rows(&rows, 7) {
            dense[row * 7..][..7].copy_from_slice(values);
        }
        assert!(dense.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn layer_norm_and_all_its_gradients_agree_with_burn() {
        let x = random([6, 5, 37], 1).require_grad();
        let weight = random([37], 2).require_grad();
        let bias = random([37], 3).require_grad();
        let output_weights = random([6, 5, 37], 4);
        let run = |y: Tensor<3>| {
            let gradients = (y.clone() * output_weights.clone()).sum().backward();
            let parameters = [&weight, &bias].map(|p| p.grad(&gradients).expect("tracked"));
            (y, x.grad(&gradients).expect("tracked"), parameters)
        };
        let ours = run(layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5));
        let wanted = run(plain::layer_norm(
            x.clone(),
            weight.clone(),
            bias.clone(),
            1e-5,
        ));
        assert!(difference(ours.0, wanted.0) < 5e-6);
        assert!(difference(ours.1, wanted.1) < 2e-5);
        for (ours, wanted) in ours.2.into_iter().zip(wanted.2) {
            assert!(difference(ours, wanted) < 5e-5);
        }
    }

    #[test]
    fn convolutions_and_their_gradients_agree_with_burn() {
        for (size, kernel, stride) in [
            ([3, 9, 8, 5], 3, 1),
            ([2, 8, 7, 3], 3, 2),
            ([2, 5, 5, 4], 1, 1),
        ] {
            let x = random(size, 1).require_grad();
            let weight = random([6, size[3], kernel, kernel], 2).require_grad();
            let run = |y: Tensor<4>| {
                let gradients = (y.clone() * random(y.dims(), 3)).sum().backward();
                let by = [&x, &weight].map(|x| x.grad(&gradients).expect("tracked"));
                (y, by)
            };
            let (ours, by_ours) = run(convolution(x.clone(), weight.clone(), stride));
            let (wanted, by_wanted) = run(plain::convolution(x.clone(), weight.clone(), stride));
            assert!(difference(ours, wanted) < 1e-4);
            for (ours, wanted) in by_ours.into_iter().zip(by_wanted) {
                assert!(difference(ours, wanted) < 2e-4);
            }
        }
    }

    #[test]
    fn batch_norm_relu_and_residual_agree_with_burn() {
        let x = random([2, 5, 7, 6], 1).require_grad();
        let weight = random([6], 2).require_grad();
        let bias = random([6], 3).require_grad();
        let residual = random([2, 5, 7, 6], 4).require_grad();
        for (joined, relu) in [(false, false), (false, true), (true, true)] {
            let run = |(y, mean, variance): (Tensor<4>, Tensor<1>, Tensor<1>)| {
                let gradients = (y.clone() * random(y.dims(), 5)).sum().backward();
                let by_x = x.grad(&gradients).expect("tracked");
                let by_residual = residual.grad(&gradients);
                let by = [&weight, &bias].map(|p| p.grad(&gradients).expect("tracked"));
                ([y, by_x], [mean.inner(), variance.inner()], by, by_residual)
            };
            let residual = joined.then(|| residual.clone());
            let ours = crate::kernels::batch_norm(
                x.clone(),
                weight.clone(),
                bias.clone(),
                residual.clone(),
                relu,
                1e-5,
            );
            let ours = run((ours.output, ours.mean, ours.variance));
            let (y, mean, variance) =
                plain::batch_norm(x.clone(), weight.clone(), bias.clone(), 1e-5);
            let wanted = run((plain::add_and_cut(y, residual, relu), mean, variance));
            for (ours, wanted) in ours.0.into_iter().zip(wanted.0) {
                assert!(
                    (ours.inner() - wanted.inner())
                        .abs()
                        .max()
                        .into_scalar::<f32>()
                        < 2e-5
                );
            }
            for (ours, wanted) in ours
                .1
                .into_iter()
                .zip(wanted.1)
                .chain(ours.2.into_iter().zip(wanted.2))
            {
                assert!((ours - wanted).abs().max().into_scalar::<f32>() < 1e-4);
            }
            assert_eq!(ours.3.is_some(), joined);
            if let (Some(ours), Some(wanted)) = (ours.3, wanted.3) {
                assert!((ours - wanted).abs().max().into_scalar::<f32>() < 1e-6);
            }
        }
    }

    #[test]
    fn fixed_batch_norm_and_average_pool_agree_with_burn() {
        let x = random([2, 5, 7, 6], 1);
        let [weight, bias, mean] = [2, 3, 4].map(|seed| random([6], seed));
        let variance = random([6], 5).square() + 0.1;
        let (w, b, m, v) = (weight.inner(), bias.inner(), mean.inner(), variance.inner());
        let y = crate::kernels::batch_norm_fixed(
            x.clone().inner(),
            [w.clone(), b.clone()],
            [m.clone(), v.clone()],
            None,
            true,
            1e-5,
        );
        let wanted = plain::batch_norm_fixed(x.clone().inner(), w, b, m, v, 1e-5);
        let wanted = plain::add_and_cut(wanted, None, true);
        assert!((y - wanted).abs().max().into_scalar::<f32>() < 1e-5);
        for side in [2, 3] {
            agree(
                [2, 5, 7, 6],
                |x| average_pool(x, side),
                |x| plain::average_pool(x, side),
            );
        }
    }

    #[test]
    fn linear_and_all_its_gradients_agree_with_burn() {
        let x = random([6, 5, 37], 1).require_grad();
        let weight = random([37, 21], 2).require_grad();
        let bias = random([21], 3).require_grad();
        let output_weights = random([6, 5, 21], 4);
        let run = |y: Tensor<3>| {
            let gradients = (y.clone() * output_weights.clone()).sum().backward();
            let by_x = x.grad(&gradients).expect("tracked");
            let by_weight = weight.grad(&gradients).expect("tracked");
            (y, by_x, by_weight, bias.grad(&gradients).expect("tracked"))
        };
        let ours = run(linear(x.clone(), weight.clone(), bias.clone()));
        let wanted = run(plain::linear(x.clone(), weight.clone(), Some(bias.clone())));
        assert!(difference(ours.0, wanted.0) < 5e-5);
        assert!(difference(ours.1, wanted.1) < 5e-5);
        assert!(difference(ours.2, wanted.2) < 5e-5);
        assert!(difference(ours.3, wanted.3) < 5e-5);
    }
}
