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
use super::packed_attention::AttentionShape;
use super::{dense, row_norm, row_softmax};

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

/// `[batch, tokens, 3·width]` → `[batch, tokens, width]`.
pub(super) fn attention(packed: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    let [_, tokens, packed_width] = packed.dims();
    let shape = AttentionShape {
        tokens,
        heads,
        head_width: packed_width / 3 / heads,
        causal,
    };
    let packed = packed.into_dispatch();
    Tensor::from_dispatch(<Dispatch as FusedOps>::fused_attention(packed, shape))
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
}

/// The tensor itself when its values lie in order, else a copy in order.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    match x.as_slice::<f32>() {
        Some(_) => x,
        None => x.to_contiguous(),
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

/// Attention output for packed input `[batch, tokens, 3·width]`.
pub(super) fn attended(packed: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    let mut shape = packed.layout().shape().clone();
    shape[2] /= 3;
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
            for dims in [[2, 5, 24], [3, 17, 96], [1, 1, 12]] {
                let fused = |x| attention(x, 4, causal);
                agree(dims, fused, |x| plain::attention(x, 4, causal));
            }
        }
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
