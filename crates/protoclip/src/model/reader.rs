//! Attention of one query per segment that computes no key and no value of any row.

use burn::tensor::Tensor;

use crate::kernels::{self, Segments};

/// The projections of keys and values that queries read through.
///
/// Every head asks a segment only once, so it is the query that is carried to the rows' space and what was
/// read that is carried back, not every row there and back. With keys `x W + b` and values `x V + c`:
///
/// - `q·(x W + b) = (q Wᵀ)·x + q·b`, where `q·b` is the same for all rows, so that softmax ignores it: the
///   keys' bias changes nothing;
/// - `Σ p (x V + c) = (Σ p x) V + c`, since the probabilities of a segment sum to 1.
///
/// For `n` rows of `d` numbers per segment and `h` heads these are `4 d² + 4 n h d` operations instead of
/// `4 n d² + 4 n d`.
pub(super) struct Reader {
    /// `[width, heads·head width]`
    pub(super) key: Tensor<2>,
    /// `[width, heads·head width]`
    pub(super) value: Tensor<2>,
    /// `[heads·head width]`
    pub(super) value_bias: Option<Tensor<1>>,
    pub(super) heads: usize,
}

impl Reader {
    /// Queries `[segments, heads·head width]`, `x` `[rows, width]` → the shape of the queries.
    pub(super) fn read(self, queries: Tensor<2>, x: Tensor<2>, segments: &Segments) -> Tensor<2> {
        let ([count, inner], [_, width]) = (queries.dims(), x.dims());
        let (heads, head_width) = (self.heads, inner / self.heads);
        let by_head = |x: Tensor<2>| {
            let [rows, columns] = x.dims();
            x.reshape([rows, heads, columns / heads]).swap_dims(0, 1)
        };
        let joined = |x: Tensor<3>, columns: usize| x.swap_dims(0, 1).reshape([count, columns]);

        let keys = by_head(self.key).swap_dims(1, 2);
        let asked = joined(by_head(queries).matmul(keys), heads * width);
        let scale = (head_width as f32).powf(-0.5);
        let read = kernels::pooling_attention(asked, x, segments, scale);
        let read = joined(by_head(read).matmul(by_head(self.value)), inner);
        match self.value_bias {
            Some(bias) => read + bias.unsqueeze::<2>(),
            None => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, activation};

    use super::*;

    /// Attention as PyTorch writes it, segment after segment: keys and values of all rows, keys with a
    /// bias.
    fn with_keys_and_values(
        reader: Reader,
        key_bias: Tensor<1>,
        queries: Tensor<2>,
        x: Tensor<2>,
        segments: &Segments,
    ) -> Tensor<2> {
        let keys = x.clone().matmul(reader.key) + key_bias.unsqueeze::<2>();
        let values = x.matmul(reader.value);
        let head_width = queries.dims()[1] / reader.heads;
        let heads = |segment: usize, rows: std::ops::Range<usize>| {
            let of_head = |head: usize| {
                let columns = head * head_width..(head + 1) * head_width;
                let part = |x: &Tensor<2>, rows: std::ops::Range<usize>| {
                    x.clone().slice([rows, columns.clone()])
                };
                let query = part(&queries, segment..segment + 1);
                let scores = query.matmul(part(&keys, rows.clone()).transpose());
                let scores = scores.div_scalar((head_width as f32).sqrt());
                activation::softmax(scores, 1).matmul(part(&values, rows.clone()))
            };
            Tensor::cat((0..reader.heads).map(of_head).collect(), 1)
        };
        let read = segments.iter().enumerate().map(|(i, rows)| heads(i, rows));
        let read = Tensor::cat(read.collect(), 0);
        read + reader.value_bias.expect("given").unsqueeze::<2>()
    }

    #[test]
    fn reading_agrees_with_keys_and_values_of_all_rows() {
        let device = Device::flex().autodiff();
        device.seed(5);
        let normal = Distribution::Normal(0.0, 1.0);
        let random = |shape: [usize; 2]| Tensor::<2>::random(shape, normal, &device).require_grad();
        for (lengths, [width, inner], heads) in [
            (vec![4, 4, 4], [12, 12], 3),
            (vec![1, 7], [10, 8], 1),
            (vec![3, 1, 20, 2], [16, 24], 4),
        ] {
            let segments = Segments::of_lengths(lengths);
            let queries = random([segments.count(), inner]);
            let x = random([segments.rows(), width]);
            let (key, value) = (random([width, inner]), random([width, inner]));
            let [key_bias, bias] =
                [(); 2].map(|()| Tensor::<1>::random([inner], normal, &device).require_grad());
            let weights = random([segments.count(), inner]).detach();
            let reader = || Reader {
                key: key.clone(),
                value: value.clone(),
                value_bias: Some(bias.clone()),
                heads,
            };
            let run = |y: Tensor<2>| {
                let gradients = (y.clone() * weights.clone()).sum().backward();
                let by = [&queries, &x, &key, &value].map(|p| p.grad(&gradients).expect("used"));
                let by_bias = bias.grad(&gradients).expect("used").unsqueeze::<2>();
                let mut all = vec![y.inner(), by_bias];
                all.extend(by);
                all
            };
            let ours = run(reader().read(queries.clone(), x.clone(), &segments));
            let (q, rows) = (queries.clone(), x.clone());
            let wanted = run(with_keys_and_values(reader(), key_bias, q, rows, &segments));
            for (ours, wanted) in ours.into_iter().zip(wanted) {
                let scale = wanted.clone().abs().max().into_scalar::<f32>();
                let error = (ours - wanted).abs().max().into_scalar::<f32>();
                assert!(error < 1e-5 * scale, "{error:e} of {scale:e}");
            }
        }
    }
}
