//! Multi-head self-attention on packed queries, keys and values, over slices.
//!
//! Works in place on the packed projection: no copies of the heads are made. The attention
//! probabilities are kept for the backward pass.

use rayon::prelude::*;

use super::elementary::dot;
use super::multiversion::multiversion;
use super::row_softmax::softmax_row;
use super::small_product::{Strided, multiply, transpose};

/// Sizes of one call. Packed values are `[batch, tokens, 3·heads·head_width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttentionShape {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    pub(super) head_width: usize,
    /// Whether a token sees only itself and earlier ones.
    pub(super) causal: bool,
}

/// Output `[batch, tokens, width]` and probabilities `[batch, heads, tokens, padded]`, where rows are
/// padded with zeros to a multiple of the vector width.
#[derive(Debug)]
pub(super) struct Attended {
    pub(super) output: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
}

impl AttentionShape {
    fn width(self) -> usize {
        self.heads * self.head_width
    }

    fn stride(self) -> usize {
        3 * self.width()
    }

    /// Length of a row of scores.
    fn padded(self) -> usize {
        self.tokens.next_multiple_of(8)
    }

    /// Numbers of one head's scores.
    fn square(self) -> usize {
        self.tokens * self.padded()
    }

    /// Numbers of one head's keys or values, transposed with padded rows.
    fn transposed(self) -> usize {
        self.head_width * self.padded()
    }

    fn scale(self) -> f32 {
        (self.head_width as f32).powf(-0.5)
    }

    /// Queries (part 0), keys (1) or values (2) of one head, `[tokens, head_width]`.
    #[inline(always)]
    fn part(self, packed: &[f32], head: usize, part: usize) -> Strided<'_> {
        Strided::new(&packed[self.offset(head, part)..], self.stride())
    }

    #[inline(always)]
    fn offset(self, head: usize, part: usize) -> usize {
        part * self.width() + head * self.head_width
    }

    pub(super) fn forward(self, packed: &[f32]) -> Attended {
        let sample = self.tokens * self.width();
        let mut output = vec![0.0; packed.len() / 3];
        let mut probabilities = vec![0.0; output.len() / sample * self.heads * self.square()];
        output
            .par_chunks_mut(sample)
            .zip(probabilities.par_chunks_mut(self.heads * self.square()))
            .zip(packed.par_chunks(3 * sample))
            .for_each_init(
                || vec![0.0; self.transposed()],
                |scratch, ((output, probabilities), packed)| {
                    attend(packed, self, output, probabilities, scratch);
                },
            );
        Attended {
            output,
            probabilities,
        }
    }

    /// The gradient by the packed values, given that by the output.
    pub(super) fn backward(
        self,
        packed: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
    ) -> Vec<f32> {
        let sample = self.tokens * self.width();
        let mut by_packed = vec![0.0; packed.len()];
        by_packed
            .par_chunks_mut(3 * sample)
            .zip(packed.par_chunks(3 * sample))
            .zip(probabilities.par_chunks(self.heads * self.square()))
            .zip(gradient.par_chunks(sample))
            .for_each_init(
                || vec![0.0; self.transposed() + 2 * self.square()],
                |scratch, (((by_packed, packed), probabilities), gradient)| {
                    attend_backward(packed, self, probabilities, gradient, by_packed, scratch);
                },
            );
        by_packed
    }
}

multiversion! {
    fn attend(
        packed: &[f32], shape: AttentionShape, output: &mut [f32], probabilities: &mut [f32],
        scratch: &mut [f32],
    ) = attend_loop;
    fn attend_backward(
        packed: &[f32], shape: AttentionShape, probabilities: &[f32], gradient: &[f32],
        by_packed: &mut [f32], scratch: &mut [f32],
    ) = attend_backward_loop;
}

/// One sample: `P = softmax(scale · Q Kᵀ)`, `O = P V` for every head.
#[inline(always)]
fn attend_loop<const FMA: bool>(
    packed: &[f32],
    shape: AttentionShape,
    output: &mut [f32],
    probabilities: &mut [f32],
    scratch: &mut [f32],
) {
    let (tokens, width, head_width) = (shape.tokens, shape.width(), shape.head_width);
    let padded = shape.padded();
    for (head, p) in probabilities.chunks_exact_mut(shape.square()).enumerate() {
        let [query, key, value] = [0, 1, 2].map(|part| shape.part(packed, head, part));
        transpose(key, scratch, padded, [tokens, head_width]);
        let keys = Strided::new(scratch, padded);
        multiply::<FMA>(query, keys, p, padded, [tokens, head_width, padded]);
        for (i, row) in p.chunks_exact_mut(padded).enumerate() {
            let seen = if shape.causal { i + 1 } else { tokens };
            let (seen, hidden) = row.split_at_mut(seen);
            softmax_row::<FMA>(seen, shape.scale());
            hidden.fill(0.0);
        }
        let p = Strided::new(p, padded);
        let out = &mut output[head * head_width..];
        multiply::<FMA>(p, value, out, width, [tokens, tokens, head_width]);
    }
}

/// One sample: `dP = dO Vᵀ`, `dS = scale · P∘(dP − rowsum(P∘dP))`, then
/// `dQ = dS K`, `dK = dSᵀ Q`, `dV = Pᵀ dO` for every head.
#[inline(always)]
fn attend_backward_loop<const FMA: bool>(
    packed: &[f32],
    shape: AttentionShape,
    probabilities: &[f32],
    gradient: &[f32],
    by_packed: &mut [f32],
    scratch: &mut [f32],
) {
    let (tokens, head_width, stride) = (shape.tokens, shape.head_width, shape.stride());
    let padded = shape.padded();
    let (values, scratch) = scratch.split_at_mut(shape.transposed());
    let (scores, transposed) = scratch.split_at_mut(shape.square());
    for (head, p) in probabilities.chunks_exact(shape.square()).enumerate() {
        let [query, key, value] = [0, 1, 2].map(|part| shape.part(packed, head, part));
        let by_output = Strided::new(&gradient[head * head_width..], shape.width());
        transpose(value, values, padded, [tokens, head_width]);
        let sizes = [tokens, head_width, padded];
        multiply::<FMA>(
            by_output,
            Strided::new(values, padded),
            scores,
            padded,
            sizes,
        );

        let sizes = [tokens, tokens, head_width];
        transpose(Strided::new(p, padded), transposed, padded, [tokens; 2]);
        let by_value = &mut by_packed[shape.offset(head, 2)..];
        multiply::<FMA>(
            Strided::new(transposed, padded),
            by_output,
            by_value,
            stride,
            sizes,
        );

        for (scores, p) in scores.chunks_exact_mut(padded).zip(p.chunks_exact(padded)) {
            let mean = dot::<FMA>(scores, p);
            for (score, &p) in scores.iter_mut().zip(p) {
                *score = p * (*score - mean) * shape.scale();
            }
        }
        let by_query = &mut by_packed[shape.offset(head, 0)..];
        multiply::<FMA>(Strided::new(scores, padded), key, by_query, stride, sizes);
        transpose(
            Strided::new(scores, padded),
            transposed,
            padded,
            [tokens; 2],
        );
        let by_key = &mut by_packed[shape.offset(head, 1)..];
        multiply::<FMA>(
            Strided::new(transposed, padded),
            query,
            by_key,
            stride,
            sizes,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_loops_agree_with_the_machines() {
        for causal in [false, true] {
            let shape = AttentionShape {
                tokens: 11,
                heads: 3,
                head_width: 9,
                causal,
            };
            let n = shape.tokens * shape.stride();
            let packed: Vec<f32> = (0..n)
                .map(|i| ((i * 31) % 41) as f32 / 20.0 - 1.0)
                .collect();
            let gradient: Vec<f32> = (0..n / 3).map(|i| ((i * 17) % 9) as f32 - 4.0).collect();
            let ours = shape.forward(&packed);
            let by_packed = shape.backward(&packed, &ours.probabilities, &gradient);

            let (mut output, mut p) = (vec![0.0; n / 3], vec![0.0; 3 * shape.square()]);
            let mut scratch = vec![0.0; shape.transposed() + 2 * shape.square()];
            attend_loop::<false>(&packed, shape, &mut output, &mut p, &mut scratch);
            let mut gradients = vec![0.0; n];
            let by = &mut gradients;
            attend_backward_loop::<false>(&packed, shape, &p, &gradient, by, &mut scratch);
            for (a, b) in ours
                .output
                .iter()
                .zip(&output)
                .chain(by_packed.iter().zip(&gradients))
            {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
