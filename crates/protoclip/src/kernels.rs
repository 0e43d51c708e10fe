//! The operations that dominate a training step, behind plain functions; the only place with
//! `unsafe`.
//!
//! [`model`](crate::model) and the optimizer call these and never choose an implementation: f32
//! tensors on the CPU take fused loops with hand-written backward passes, spread over the caller's
//! rayon pool; every other device takes Burn's own operations. Results do not depend on the number
//! of threads.

mod activation;
mod adamw;
mod clock;
mod dense;
pub(crate) mod distance;
mod elementary;
mod fused;
mod fused_backward;
mod memory;
mod multiversion;
mod packed_attention;
pub(crate) mod pixels;
mod plain;
mod row_norm;
mod row_softmax;
mod small_product;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;

pub use adamw::FusedAdamW;
pub use clock::process_cpu_seconds;
pub use memory::{release_freed_memory, retain_freed_memory};

use activation::Gelu;

static ONLY_PLAIN: AtomicBool = AtomicBool::new(false);

/// Makes every operation of the process take Burn's path: to measure what the fused ones gain, or
/// to find out whether one of them is to blame.
pub fn use_only_plain(only_plain: bool) {
    ONLY_PLAIN.store(only_plain, Ordering::Relaxed);
}

fn fusible<const D: usize>(x: &Tensor<D>) -> bool {
    !ONLY_PLAIN.load(Ordering::Relaxed) && fused::usable(x)
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

/// Multi-head self-attention on packed queries, keys and values.
///
/// `[batch, tokens, 3·width]` → `[batch, tokens, width]`; `causal` hides later tokens. `heads` must
/// divide the width.
pub fn attention(packed: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    match fusible(&packed) {
        true => fused::attention(packed, heads, causal),
        false => plain::attention(packed, heads, causal),
    }
}
