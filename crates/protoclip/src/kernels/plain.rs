//! Every operation in Burn's own terms: the path of all devices but the CPU, and the reference that
//! fused kernels are tested against.

use burn::tensor::{Bool, Tensor, activation, module};

/// `x·Φ(x)`, the exact GELU.
pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// `x·σ(1.702x)`, the activation of OpenAI's models.
pub(super) fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() * activation::sigmoid(x * 1.702)
}

/// Softmax over the last dimension.
pub(super) fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softmax(x, D - 1)
}

/// LayerNorm over the last dimension; `weight` and `bias` are `[width]`.
pub(super) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    module::layer_norm(x, weight, Some(bias), epsilon)
}

/// Multi-head self-attention on packed queries, keys and values.
///
/// `[batch, tokens, 3·width]` → `[batch, tokens, width]`; `causal` hides later tokens.
pub(super) fn attention(packed: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    let [batch, tokens, packed_width] = packed.dims();
    let width = packed_width / 3;
    let head_width = width / heads;
    let part = |index: usize| -> Tensor<4> {
        let columns = index * width..(index + 1) * width;
        let part = packed.clone().slice([0..batch, 0..tokens, columns]);
        part.reshape([batch, tokens, heads, head_width])
            .swap_dims(1, 2)
    };
    let scale = (head_width as f64).powf(-0.5);
    let scores = part(0).mul_scalar(scale).matmul(part(1).swap_dims(2, 3));
    let scores = match causal {
        false => scores,
        true => {
            let device = scores.device();
            let later = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &device);
            scores.mask_fill(
                later
                    .unsqueeze::<4>()
                    .expand([batch, heads, tokens, tokens]),
                f32::NEG_INFINITY,
            )
        }
    };
    softmax(scores)
        .matmul(part(2))
        .swap_dims(1, 2)
        .reshape([batch, tokens, width])
}

/// `x · weight + bias`; `weight` is `[input, output]`.
pub(super) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    module::linear(x, weight, bias)
}
