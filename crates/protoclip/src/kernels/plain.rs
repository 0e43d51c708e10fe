//! Every operation in Burn's own terms: the path of all devices but the CPU, and the reference that
//! fused kernels are tested against.

use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation, module};

use super::Segments;

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

/// Multi-head self-attention on packed queries, keys and values, within each segment.
///
/// `[rows, 3·width]` → `[rows, width]`; `causal` hides later tokens.
pub(super) fn attention(
    packed: Tensor<2>,
    segments: &Segments,
    heads: usize,
    causal: bool,
) -> Tensor<2> {
    let padding = Padding::new(segments, &packed.device());
    let packed = padding.pad(packed);
    let [batch, tokens, packed_width] = packed.dims();
    let width = packed_width / 3;
    let part = |index: usize| {
        let part = packed
            .clone()
            .slice_dim(2, index * width..(index + 1) * width);
        split_heads(part, heads)
    };
    let scale = ((width / heads) as f64).powf(-0.5);
    let scores = part(0).mul_scalar(scale).matmul(part(1).swap_dims(2, 3));
    let scores = padding.hide(scores);
    let scores = match causal {
        false => scores,
        true => {
            let later = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &scores.device());
            let later = later.unsqueeze::<4>().expand(scores.dims());
            scores.mask_fill(later, f32::NEG_INFINITY)
        }
    };
    let attended = softmax(scores).matmul(part(2));
    padding.unpad(attended.swap_dims(1, 2).reshape([batch, tokens, width]))
}

/// Attention with one query per segment and head, whose keys and values are the rows.
///
/// Queries `[segments, heads·width]`, `x` `[rows, width]` → `[segments, heads·width]`.
pub(super) fn pooling_attention(
    queries: Tensor<2>,
    x: Tensor<2>,
    segments: &Segments,
    scale: f32,
) -> Tensor<2> {
    let [batch, asked] = queries.dims();
    let padding = Padding::new(segments, &queries.device());
    let x = padding.pad(x);
    let width = x.dims()[2];
    let queries = queries.mul_scalar(scale);
    let queries = queries.reshape([batch, asked / width, width]);
    let scores = queries.matmul(x.clone().swap_dims(1, 2));
    let scores = padding.hide(scores.unsqueeze_dim(2));
    let read = softmax(scores.squeeze_dim::<3>(2)).matmul(x);
    read.reshape([batch, asked])
}

/// `[batch, tokens, width]` → `[batch, heads, tokens, width/heads]`
fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads])
        .swap_dims(1, 2)
}

/// Between rows without gaps and segments filled up to the length of the longest.
struct Padding {
    count: usize,
    longest: usize,
    /// Absent when all segments have the same length.
    uneven: Option<Uneven>,
}

struct Uneven {
    /// `[count · longest]`: the row at each padded place; some row where there is none.
    rows: Tensor<1, Int>,
    /// `[rows]`: the padded place of each row.
    places: Tensor<1, Int>,
    /// `[count, 1, 1, longest]`: places without a row.
    empty: Tensor<4, Bool>,
}

impl Padding {
    fn new(segments: &Segments, device: &Device) -> Self {
        let (count, longest) = (segments.count(), segments.longest());
        let uneven = (segments.rows() != count * longest).then(|| {
            let (mut rows, mut places, mut empty) = (Vec::new(), Vec::new(), Vec::new());
            for (segment, range) in segments.iter().enumerate() {
                for i in 0..longest {
                    let inside = i < range.len();
                    rows.push(if inside { range.start + i } else { range.start } as i32);
                    empty.push(!inside);
                    if inside {
                        places.push((segment * longest + i) as i32);
                    }
                }
            }
            Uneven {
                rows: Tensor::from_ints(rows.as_slice(), device),
                places: Tensor::from_ints(places.as_slice(), device),
                empty: Tensor::from_data(TensorData::new(empty, [count, 1, 1, longest]), device),
            }
        });
        Self {
            count,
            longest,
            uneven,
        }
    }

    /// `[rows, width]` → `[segments, longest, width]`
    fn pad(&self, x: Tensor<2>) -> Tensor<3> {
        let width = x.dims()[1];
        let x = match &self.uneven {
            None => x,
            Some(uneven) => x.select(0, uneven.rows.clone()),
        };
        x.reshape([self.count, self.longest, width])
    }

    /// `[segments, longest, width]` → `[rows, width]`
    fn unpad(&self, x: Tensor<3>) -> Tensor<2> {
        let width = x.dims()[2];
        let x = x.reshape([self.count * self.longest, width]);
        match &self.uneven {
            None => x,
            Some(uneven) => x.select(0, uneven.places.clone()),
        }
    }

    /// Scores `[segments, heads, queries, longest]` with −∞ for what is not there.
    fn hide(&self, scores: Tensor<4>) -> Tensor<4> {
        match &self.uneven {
            None => scores,
            Some(uneven) => {
                let empty = uneven.empty.clone().expand(scores.dims());
                scores.mask_fill(empty, f32::NEG_INFINITY)
            }
        }
    }
}

/// Rows `ids` of a table, `[table rows, width]` → `[ids, width]`.
pub(super) fn embedding(table: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::from_ints(ids.as_slice(), &table.device());
    table.select(0, ids)
}

/// `x · weight + bias`; `weight` is `[input, output]`.
pub(super) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    module::linear(x, weight, bias)
}

/// A convolution without bias of channels-last pictures; see
/// [`kernels::convolution`](super::convolution).
pub(super) fn convolution(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [_, _, kernel, _] = weight.dims();
    let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], 1);
    let x = x.permute([0, 3, 1, 2]);
    module::conv2d(x, weight, None, options).permute([0, 2, 3, 1])
}

/// BatchNorm by the batch's statistics; see [`kernels::batch_norm`](super::batch_norm).
pub(super) fn batch_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    let x = x.swap_dims(1, D - 1);
    let result = module::batch_norm_train(x, weight, bias, epsilon);
    let output = result.output.swap_dims(1, D - 1);
    (output, result.mean, result.variance)
}

/// BatchNorm by given statistics.
pub(super) fn batch_norm_fixed<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let x = x.swap_dims(1, D - 1);
    module::batch_norm(x, weight, bias, mean, variance, epsilon).swap_dims(1, D - 1)
}

/// The end of a block: the residual joins, and negative values are cut off.
pub(super) fn add_and_cut<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    relu: bool,
) -> Tensor<D> {
    let x = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    if relu { activation::relu(x) } else { x }
}

/// Averages over `side`² cells of channels-last pictures.
pub(super) fn average_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    let x = x.permute([0, 3, 1, 2]);
    module::avg_pool2d(x, AvgPoolOptions::new([side, side])).permute([0, 2, 3, 1])
}
