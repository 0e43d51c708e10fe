//! Attention with one query per segment, over slices: what a class token, an end token or a mean
//! token reads from the rows of its sample.

use rayon::prelude::*;

use super::Segments;
use super::buffer::pieces;
use super::elementary::{dot, fma};
use super::multiversion::multiversion;
use super::row_softmax::softmax_row;

/// Sizes of one call. Queries are `[segments, width]`, keys and values `[rows, 2·width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolingShape {
    pub(super) segments: Segments,
    pub(super) heads: usize,
    pub(super) head_width: usize,
}

/// Output `[segments, width]` and, segment after segment, probabilities `[heads, tokens]`.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) output: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
}

/// Gradients by the queries and by keys and values.
#[derive(Debug)]
pub(super) struct PoolingGradients {
    pub(super) queries: Vec<f32>,
    pub(super) keys_values: Vec<f32>,
}

impl PoolingShape {
    pub(super) fn width(&self) -> usize {
        self.heads * self.head_width
    }

    pub(super) fn forward(&self, queries: &[f32], keys_values: &[f32]) -> Pooled {
        let (width, stride) = (self.width(), 2 * self.width());
        let mut output = vec![0.0; queries.len()];
        let mut probabilities = vec![0.0; self.segments.rows() * self.heads];
        let lengths = self.segments.lengths().map(|tokens| tokens * self.heads);
        let work: Vec<_> = self
            .segments
            .iter()
            .zip(queries.chunks_exact(width))
            .zip(output.chunks_exact_mut(width))
            .zip(pieces(&mut probabilities, lengths))
            .collect();
        work.into_par_iter()
            .for_each(|(((rows, query), output), probabilities)| {
                let rows = &keys_values[rows.start * stride..rows.end * stride];
                pool(query, rows, self.head_width, output, probabilities);
            });
        Pooled {
            output,
            probabilities,
        }
    }

    /// `gradient` is that by the output.
    pub(super) fn backward(
        &self,
        queries: &[f32],
        keys_values: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
    ) -> PoolingGradients {
        let (width, stride) = (self.width(), 2 * self.width());
        let mut by_queries = vec![0.0; queries.len()];
        let mut by_keys_values = vec![0.0; keys_values.len()];
        let lengths = self.segments.lengths().map(|tokens| tokens * stride);
        let work: Vec<_> = self
            .segments
            .iter()
            .zip(by_queries.chunks_exact_mut(width))
            .zip(pieces(&mut by_keys_values, lengths))
            .enumerate()
            .collect();
        work.into_par_iter()
            .for_each(|(segment, ((rows, by_query), by_rows))| {
                let of_segment = segment * width..(segment + 1) * width;
                let kept = rows.start * self.heads..rows.end * self.heads;
                pool_backward(
                    &queries[of_segment.clone()],
                    &keys_values[rows.start * stride..rows.end * stride],
                    &probabilities[kept],
                    &gradient[of_segment],
                    self.head_width,
                    by_query,
                    by_rows,
                );
            });
        PoolingGradients {
            queries: by_queries,
            keys_values: by_keys_values,
        }
    }
}

multiversion! {
    fn pool(
        query: &[f32], rows: &[f32], head_width: usize, output: &mut [f32],
        probabilities: &mut [f32],
    ) = pool_loop;
    fn pool_backward(
        query: &[f32], rows: &[f32], probabilities: &[f32], gradient: &[f32], head_width: usize,
        by_query: &mut [f32], by_rows: &mut [f32],
    ) = pool_backward_loop;
}

/// One segment: `p = softmax(scale · K q)`, `o = Vᵀ p` for every head.
#[inline(always)]
fn pool_loop<const FMA: bool>(
    query: &[f32],
    rows: &[f32],
    head_width: usize,
    output: &mut [f32],
    probabilities: &mut [f32],
) {
    let width = query.len();
    let tokens = rows.len() / (2 * width);
    let heads = query
        .chunks_exact(head_width)
        .zip(output.chunks_exact_mut(head_width))
        .zip(probabilities.chunks_exact_mut(tokens));
    for (head, ((query, output), p)) in heads.enumerate() {
        let key = head * head_width;
        for (p, row) in p.iter_mut().zip(rows.chunks_exact(2 * width)) {
            *p = dot::<FMA>(query, &row[key..key + head_width]);
        }
        softmax_row::<FMA>(p, (head_width as f32).powf(-0.5));
        for (&p, row) in p.iter().zip(rows.chunks_exact(2 * width)) {
            add_scaled::<FMA>(output, p, &row[width + key..][..head_width]);
        }
    }
}

/// One segment: `dV = p dOᵀ`, `dp = V dO`, `ds = scale · p∘(dp − p·dp)`, `dq = Kᵀ ds`, `dK = ds qᵀ`
/// for every head.
#[inline(always)]
fn pool_backward_loop<const FMA: bool>(
    query: &[f32],
    rows: &[f32],
    probabilities: &[f32],
    gradient: &[f32],
    head_width: usize,
    by_query: &mut [f32],
    by_rows: &mut [f32],
) {
    let width = query.len();
    let tokens = rows.len() / (2 * width);
    let scale = (head_width as f32).powf(-0.5);
    for (head, p) in probabilities.chunks_exact(tokens).enumerate() {
        let (key, value) = (head * head_width, width + head * head_width);
        let gradient = &gradient[key..key + head_width];
        let query = &query[key..key + head_width];
        let by_query = &mut by_query[key..key + head_width];
        let by_p = |row: &[f32]| dot::<FMA>(gradient, &row[value..value + head_width]);
        let mean: f32 = p
            .iter()
            .zip(rows.chunks_exact(2 * width))
            .map(|(&p, row)| p * by_p(row))
            .sum();
        let rows = rows.chunks_exact(2 * width);
        for ((&p, row), by_row) in p.iter().zip(rows).zip(by_rows.chunks_exact_mut(2 * width)) {
            let by_score = scale * p * (by_p(row) - mean);
            add_scaled::<FMA>(by_query, by_score, &row[key..key + head_width]);
            add_scaled::<FMA>(&mut by_row[key..key + head_width], by_score, query);
            add_scaled::<FMA>(&mut by_row[value..value + head_width], p, gradient);
        }
    }
}

/// `sum += factor · x`
#[inline(always)]
fn add_scaled<const FMA: bool>(sum: &mut [f32], factor: f32, x: &[f32]) {
    for (sum, &x) in sum.iter_mut().zip(x) {
        *sum = fma::<FMA>(factor, x, *sum);
    }
}
