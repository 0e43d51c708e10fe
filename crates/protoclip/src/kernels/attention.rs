//! Multi-head self-attention on packed queries, keys and values, over slices.
//!
//! Works in place on the packed projection: no copies of the heads are made. The attention
//! probabilities are kept for the backward pass. Every segment attends to itself only.

mod short;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Segments;
use super::buffer::{cleared, initialised, overwrite, pieces, written};
use super::elementary::dot;
use super::multiversion::multiversion;
use super::product::{Matrix, Target, Threads, multiply};
use super::row_softmax::softmax_row;
use crate::config::Precision;

/// Sizes of one call. Packed values are `[rows, 3·heads·head_width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttentionShape {
    pub(super) segments: Segments,
    pub(super) heads: usize,
    pub(super) head_width: usize,
    /// Whether a token sees only itself and earlier ones.
    pub(super) causal: bool,
}

/// Output `[rows, width]` and, segment after segment, probabilities `[heads, tokens, tokens]`.
#[derive(Debug)]
pub(super) struct Attended {
    pub(super) output: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
}

impl AttentionShape {
    #[inline(always)]
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Distance between rows of the packed values.
    #[inline(always)]
    fn stride(&self) -> usize {
        3 * self.width()
    }

    #[inline(always)]
    fn scale(&self) -> f32 {
        (self.head_width as f32).powf(-0.5)
    }

    fn probability_counts(&self) -> impl Iterator<Item = usize> + '_ {
        self.segments.lengths().map(|n| self.heads * n * n)
    }

    /// How many tokens one sees.
    #[inline(always)]
    fn seen(&self, token: usize, tokens: usize) -> usize {
        if self.causal { token + 1 } else { tokens }
    }

    /// Start of the queries (part 0), keys (1) or values (2) of one head in a packed row.
    #[inline(always)]
    fn offset(&self, head: usize, part: usize) -> usize {
        part * self.width() + head * self.head_width
    }

    /// Queries, keys or values of one head in the packed rows of a segment, `[tokens, head_width]`.
    fn part<'a>(&self, packed: &'a [f32], head: usize, part: usize) -> Matrix<'a> {
        let tokens = packed.len() / self.stride();
        let size = [tokens, self.head_width];
        Matrix::strided(&packed[self.offset(head, part)..], size, self.stride())
    }

    /// `packed` is `[rows, 3·width]`.
    #[allow(unsafe_code, reason = "both results are written segment by segment")]
    pub(super) fn forward(&self, packed: &[f32]) -> Attended {
        let (stride, width) = (self.stride(), self.width());
        let count = self.probability_counts().sum();
        let mut probabilities = Vec::new();
        // SAFETY: every head of every segment writes its columns of all of its rows of the output,
        // and all of its probabilities.
        let output = unsafe {
            written(self.segments.rows() * width, |output| {
                probabilities = written(count, |probabilities| {
                    let outputs = pieces(output, self.segments.lengths().map(|n| n * width));
                    let probabilities = pieces(probabilities, self.probability_counts());
                    let work: Vec<_> = self
                        .segments
                        .iter()
                        .zip(outputs.zip(probabilities))
                        .collect();
                    work.into_par_iter()
                        .for_each(|(rows, (output, probabilities))| {
                            let packed = &packed[rows.start * stride..rows.end * stride];
                            self.attend(packed, output, probabilities);
                        });
                });
            })
        };
        Attended {
            output,
            probabilities,
        }
    }

    /// One segment: `P = softmax(scale · Q Kᵀ)`, `O = P V` for every head.
    fn attend(
        &self,
        packed: &[f32],
        output: &mut [MaybeUninit<f32>],
        probabilities: &mut [MaybeUninit<f32>],
    ) {
        let tokens = packed.len() / self.stride();
        if tokens <= short::MOST_TOKENS {
            return short::attend(self, packed, cleared(output), cleared(probabilities));
        }
        for (head, p) in probabilities.chunks_exact_mut(tokens * tokens).enumerate() {
            let [query, key, value] = [0, 1, 2].map(|part| self.part(packed, head, part));
            multiply(
                query,
                key.transpose(),
                Target::rows(p, tokens),
                Threads::One,
                Precision::F32,
            );
            #[allow(unsafe_code, reason = "the product wrote it")]
            // SAFETY: the product wrote all scores of the head.
            let p = unsafe { initialised(p) };
            softmax_of_seen(self, p, tokens);
            let target = Target {
                values: &mut output[head * self.head_width..],
                row_stride: self.width(),
            };
            multiply(
                Matrix::new(p, tokens),
                value,
                target,
                Threads::One,
                Precision::F32,
            );
        }
    }

    /// The gradient by the packed values, given that by the output.
    #[allow(unsafe_code, reason = "the result is written segment by segment")]
    pub(super) fn backward(
        &self,
        packed: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
    ) -> Vec<f32> {
        let (stride, width) = (self.stride(), self.width());
        let mut kept = probabilities;
        let mut kept_of = |count| {
            let (of_segment, rest) = kept.split_at(count);
            kept = rest;
            of_segment
        };
        let kept: Vec<&[f32]> = self.probability_counts().map(&mut kept_of).collect();
        let longest = self.segments.longest();
        // SAFETY: every head of every segment writes its query, key and value columns of all rows.
        unsafe {
            written(packed.len(), |by_packed| {
                let by_packed = pieces(by_packed, self.segments.lengths().map(|n| n * stride));
                let work: Vec<_> = self.segments.iter().zip(kept).zip(by_packed).collect();
                work.into_par_iter().for_each_init(
                    || vec![0.0; longest * longest],
                    |scores, ((rows, p), by_packed)| {
                        let packed = &packed[rows.start * stride..rows.end * stride];
                        let gradient = &gradient[rows.start * width..rows.end * width];
                        self.attend_backward(packed, p, gradient, by_packed, scores);
                    },
                );
            })
        }
    }

    /// One segment: `dP = dO Vᵀ`, `dS = scale · P∘(dP − rowsum(P∘dP))`, then
    /// `dQ = dS K`, `dK = dSᵀ Q`, `dV = Pᵀ dO` for every head.
    fn attend_backward(
        &self,
        packed: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
        by_packed: &mut [MaybeUninit<f32>],
        scratch: &mut [f32],
    ) {
        let (tokens, width) = (packed.len() / self.stride(), self.width());
        if tokens <= short::MOST_TOKENS {
            let by_packed = cleared(by_packed);
            return short::attend_backward(
                self,
                packed,
                probabilities,
                gradient,
                by_packed,
                scratch,
            );
        }
        let scores = &mut scratch[..tokens * tokens];
        for (head, p) in probabilities.chunks_exact(tokens * tokens).enumerate() {
            let [query, key, value] = [0, 1, 2].map(|part| self.part(packed, head, part));
            let size = [tokens, self.head_width];
            let by_output = Matrix::strided(&gradient[head * self.head_width..], size, width);
            let mut write = |left: Matrix<'_>, right: Matrix<'_>, part: usize| {
                let target = Target {
                    values: &mut by_packed[self.offset(head, part)..],
                    row_stride: self.stride(),
                };
                multiply(left, right, target, Threads::One, Precision::F32);
            };
            write(Matrix::new(p, tokens).transpose(), by_output, 2);
            let target = Target::rows(overwrite(scores), tokens);
            multiply(
                by_output,
                value.transpose(),
                target,
                Threads::One,
                Precision::F32,
            );
            softmax_backward(scores, p, tokens, self.scale());
            let scores = Matrix::new(scores, tokens);
            write(scores, key, 0);
            write(scores.transpose(), query, 1);
        }
    }
}

multiversion! {
    fn softmax_of_seen(shape: &AttentionShape, scores: &mut [f32], tokens: usize)
        = softmax_of_seen_loop;
    fn softmax_backward(by_p: &mut [f32], p: &[f32], tokens: usize, scale: f32)
        = softmax_backward_loop;
}

/// Softmax of the scaled scores of each row; hidden tokens get 0.
#[inline(always)]
fn softmax_of_seen_loop<const FMA: bool>(
    shape: &AttentionShape,
    scores: &mut [f32],
    tokens: usize,
) {
    for (i, row) in scores.chunks_exact_mut(tokens).enumerate() {
        let (seen, hidden) = row.split_at_mut(shape.seen(i, tokens));
        softmax_row::<FMA>(seen, shape.scale());
        hidden.fill(0.0);
    }
}

/// From the gradient by the probabilities to that by the scores before scaling, in place.
#[inline(always)]
fn softmax_backward_loop<const FMA: bool>(by_p: &mut [f32], p: &[f32], tokens: usize, scale: f32) {
    for (by_p, p) in by_p.chunks_exact_mut(tokens).zip(p.chunks_exact(tokens)) {
        let mean = dot::<FMA>(by_p, p);
        for (by_p, &p) in by_p.iter_mut().zip(p) {
            *by_p = p * (*by_p - mean) * scale;
        }
    }
}
