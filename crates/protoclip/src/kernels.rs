//! The operations that dominate a training step, behind plain functions; the only place with
//! `unsafe`.
//!
//! [`model`](crate::model) and the optimizer call these and never choose an implementation: f32
//! tensors on the CPU take fused loops with hand-written backward passes, spread over the caller's
//! rayon pool; every other device takes Burn's own operations. Results do not depend on the number
//! of threads.

mod activation;
mod adamw;
mod attention;
mod average_pool;
mod batch_norm;
mod bf16_product;
mod buffer;
pub(crate) mod byte_scan;
mod clock;
mod convolution;
mod dense;
pub(crate) mod distance;
pub(crate) mod elementary;
mod embedding;
mod flex_tensor;
mod fused;
mod fused_backward;
pub(crate) mod gram;
mod memory;
mod mlp;
mod multiversion;
mod pictures;
mod pictures_backward;
pub(crate) mod pixels;
mod plain;
mod pooling_attention;
mod precision;
mod product;
mod row_gradient;
mod row_norm;
mod row_softmax;
mod segments;
pub(crate) mod student;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};

pub use adamw::FusedAdamW;
pub use bf16_product::has_bf16_products;
pub use clock::process_cpu_seconds;
pub use memory::{release_freed_memory, retain_freed_memory};
pub use precision::with_precision;
pub use row_gradient::{gradient_square_sum, scale_gradient};
pub use segments::Segments;

use activation::Gelu;
use pictures::NormKind;

static ONLY_PLAIN: AtomicBool = AtomicBool::new(false);

/// Makes every operation of the process take Burn's path: to measure what the fused ones gain, or
/// to find out whether one of them is to blame.
pub fn use_only_plain(only_plain: bool) {
    ONLY_PLAIN.store(only_plain, Ordering::Relaxed);
}

fn fusible<const D: usize>(x: &Tensor<D>) -> bool {
    !ONLY_PLAIN.load(Ordering::Relaxed) && flex_tensor::usable(x)
}

/// `x·Φ(x)`, the exact GELU.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match fusible(&x) {
        true => fused::gelu(x, Gelu::Exact),
        false => plain::gelu(x),
    }
}

/// `x·σ(1.702x)`, the activation of OpenAI's models.
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match fusible(&x) {
        true => fused::gelu(x, Gelu::Quick),
        false => plain::quick_gelu(x),
    }
}

/// Softmax over the last dimension of finite values.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match fusible(&x) {
        true => fused::softmax(x),
        false => plain::softmax(x),
    }
}

/// LayerNorm over the last dimension; `weight` and `bias` are `[width]`.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    match fusible(&x) {
        true => fused::layer_norm(x, weight, bias, epsilon as f32),
        false => plain::layer_norm(x, weight, bias, epsilon),
    }
}

/// `x · weight + bias` over the last dimension; `weight` is `[input, output]`, `bias` `[output]`.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    match bias {
        Some(bias) if fusible(&x) => fused::linear(x, weight, bias),
        bias => plain::linear(x, weight, bias),
    }
}

/// `residual + x · weight + bias`; `residual` is `[rows, output]`.
pub fn linear_onto(
    residual: Tensor<2>,
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<2> {
    match bias {
        Some(bias) if fusible(&x) && fusible(&residual) => {
            fused::linear_onto(residual, x, weight, bias)
        }
        bias => residual + linear(x, weight, bias),
    }
}

/// `residual + down(activation(up(x)))`: two layers, each a weight `[input, output]` and a bias `[output]`,
/// and between them [`gelu`], or [`quick_gelu`].
///
/// `x` is `[rows, input of up]`; `residual` and the result are `[rows, output of down]`.
pub fn mlp_onto(
    residual: Tensor<2>,
    x: Tensor<2>,
    [up, down]: [(Tensor<2>, Option<Tensor<1>>); 2],
    quick: bool,
) -> Tensor<2> {
    match [up, down] {
        [(up, Some(up_bias)), (down, Some(down_bias))] if fusible(&x) && fusible(&residual) => {
            let kind = if quick { Gelu::Quick } else { Gelu::Exact };
            fused::mlp_onto(residual, x, [(up, up_bias), (down, down_bias)], kind)
        }
        [(up, up_bias), (down, down_bias)] => {
            let hidden = linear(x, up, up_bias);
            let hidden = if quick {
                quick_gelu(hidden)
            } else {
                gelu(hidden)
            };
            linear_onto(residual, hidden, down, down_bias)
        }
    }
}

/// Multi-head self-attention on packed queries, keys and values, within each segment.
///
/// `[rows, 3·width]` → `[rows, width]`; `causal` hides later tokens. `heads` must divide the width,
/// and `segments` cover the rows.
pub fn attention(packed: Tensor<2>, segments: &Segments, heads: usize, causal: bool) -> Tensor<2> {
    match fusible(&packed) {
        true => fused::attention(packed, segments.clone(), heads, causal),
        false => plain::attention(packed, segments, heads, causal),
    }
}

/// Attention with one query per segment and head, which sees all of the segment's rows: they are keys
/// and values of every head.
///
/// Queries `[segments, heads·width]`, `x` `[rows, width]` → `[segments, heads·width]`. Scores are multiplied
/// with `scale`, a positive number, before the softmax.
pub fn pooling_attention(
    queries: Tensor<2>,
    x: Tensor<2>,
    segments: &Segments,
    scale: f32,
) -> Tensor<2> {
    match fusible(&queries) && fusible(&x) {
        true => fused::pooling_attention(queries, x, segments.clone(), scale),
        false => plain::pooling_attention(queries, x, segments, scale),
    }
}

/// Rows `ids` of a table, `[table rows, width]` → `[ids, width]`; every id is below the number of
/// rows.
///
/// On the CPU, and when the table is a parameter, the gradient covers only the rows that were used:
/// [`gradient_square_sum`], [`scale_gradient`] and [`FusedAdamW`] know how to read it.
pub fn embedding(table: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let rows = table.dims()[0];
    match fusible(&table) && rows < row_gradient::MOST_ROWS {
        true => fused::embedding(table, ids),
        false => plain::embedding(table, ids),
    }
}

/// A square convolution without bias of channels-last pictures, "same" padding for odd kernels.
///
/// `[batch, height, width, input]`, weight `[output, input, kernel, kernel]` →
/// `[batch, ⌈height/stride⌉, ⌈width/stride⌉, output]`.
pub fn convolution(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    match fusible(&x) && weight.dims()[2] % 2 == 1 {
        true => pictures::convolution(x, weight, stride),
        false => plain::convolution(x, weight, stride),
    }
}

/// Output of [`batch_norm`] and the batch's statistics, without gradients.
#[derive(Debug)]
pub struct BatchNormalised<const D: usize> {
    /// The shape of the input.
    pub output: Tensor<D>,
    /// `[channels]`
    pub mean: Tensor<1>,
    /// `[channels]`, over n (biased).
    pub variance: Tensor<1>,
}

/// Normalises the last dimension, `[.., channels]`, over all others by the batch's own statistics, adds
/// `residual`, and cuts off negative values with `relu`; `weight` and `bias` are `[channels]`.
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    relu: bool,
    epsilon: f64,
) -> BatchNormalised<D> {
    if !fusible(&x) {
        let (output, mean, variance) = plain::batch_norm(x, weight, bias, epsilon);
        return BatchNormalised {
            output: plain::add_and_cut(output, residual, relu),
            mean,
            variance,
        };
    }
    let kind = NormKind {
        relu,
        epsilon: epsilon as f32,
    };
    let (output, statistics) = pictures::batch_norm(x, weight, bias, residual, kind);
    let [_, channels] = statistics.dims();
    let part = |row: usize| {
        statistics
            .clone()
            .slice_dim(0, row..=row)
            .reshape([channels])
    };
    BatchNormalised {
        output,
        mean: part(0),
        variance: part(1),
    }
}

/// The same by given statistics: a fixed affine map.
pub fn batch_norm_fixed<const D: usize>(
    x: Tensor<D>,
    [weight, bias]: [Tensor<1>; 2],
    [mean, variance]: [Tensor<1>; 2],
    residual: Option<Tensor<D>>,
    relu: bool,
    epsilon: f64,
) -> Tensor<D> {
    if x.is_autodiff() || !fusible(&x) {
        let output = plain::batch_norm_fixed(x, weight, bias, mean, variance, epsilon);
        return plain::add_and_cut(output, residual, relu);
    }
    let kind = NormKind {
        relu,
        epsilon: epsilon as f32,
    };
    pictures::batch_norm_fixed(x, [weight, bias, mean, variance], residual, kind)
}

/// Averages over `side`² cells of channels-last pictures,
/// `[batch, height, width, channels]` → `[batch, height/side, width/side, channels]`; `side` 1 changes
/// nothing.
pub fn average_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    match fusible(&x) {
        _ if side == 1 => x,
        true => pictures::average_pool(x, side),
        false => plain::average_pool(x, side),
    }
}

/// Whether rows of different samples are best kept without padding on this device. Elsewhere shapes
/// should stay the same from step to step.
pub fn packs_rows(device: &Device) -> bool {
    !ONLY_PLAIN.load(Ordering::Relaxed) && *device == Device::flex()
}
