//! Attention with one query per segment and head, over slices: what a class token, an end token or a
//! mean token reads from the rows of its sample. The rows are their own keys and values.

use rayon::prelude::*;

use super::Segments;
use super::buffer::pieces;
use super::elementary::{add_scaled, dot};
use super::multiversion::multiversion;
use super::row_softmax::softmax_row;

/// Sizes of one call. Queries are `[segments, heads·width]`, the rows `[rows, width]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PoolingShape {
    pub(super) segments: Segments,
    pub(super) width: usize,
    /// What scores are multiplied with; positive.
    pub(super) scale: f32,
}

/// Output `[segments, heads·width]` and, segment after segment, probabilities `[heads, tokens]`.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) output: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
}

/// Gradients by the queries and by the rows.
#[derive(Debug)]
pub(super) struct PoolingGradients {
    pub(super) queries: Vec<f32>,
    pub(super) rows: Vec<f32>,
}

/// One segment in the backward pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    probabilities: &'a [f32],
    /// That by the output.
    gradient: &'a [f32],
}

impl PoolingShape {
    /// Numbers of the queries of one segment; 1 where there is none.
    fn asked(&self, queries: &[f32]) -> usize {
        (queries.len() / self.segments.count().max(1)).max(1)
    }

    pub(super) fn forward(&self, queries: &[f32], rows: &[f32]) -> Pooled {
        let asked = self.asked(queries);
        let heads = asked / self.width;
        let mut output = vec![0.0; queries.len()];
        let mut probabilities = vec![0.0; self.segments.rows() * heads];
        let lengths = self.segments.lengths().map(|tokens| tokens * heads);
        let work: Vec<_> = self
            .segments
            .iter()
            .zip(queries.chunks_exact(asked))
            .zip(output.chunks_exact_mut(asked))
            .zip(pieces(&mut probabilities, lengths))
            .collect();
        work.into_par_iter()
            .for_each(|(((range, query), output), probabilities)| {
                let rows = &rows[range.start * self.width..range.end * self.width];
                pool(query, rows, self, output, probabilities);
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
        rows: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
    ) -> PoolingGradients {
        let (asked, width) = (self.asked(queries), self.width);
        let heads = asked / width;
        let mut by_queries = vec![0.0; queries.len()];
        let mut by_rows = vec![0.0; rows.len()];
        let lengths = self.segments.lengths().map(|tokens| tokens * width);
        let work: Vec<_> = self
            .segments
            .iter()
            .zip(by_queries.chunks_exact_mut(asked))
            .zip(pieces(&mut by_rows, lengths))
            .enumerate()
            .collect();
        work.into_par_iter().for_each_init(
            || vec![0.0; self.segments.longest()],
            |scores, (segment, ((range, by_query), by_rows))| {
                let of_segment = segment * asked..(segment + 1) * asked;
                let segment = Segment {
                    query: &queries[of_segment.clone()],
                    rows: &rows[range.start * width..range.end * width],
                    probabilities: &probabilities[range.start * heads..range.end * heads],
                    gradient: &gradient[of_segment],
                };
                let scores = &mut scores[..range.len()];
                pool_backward(segment, self, by_query, by_rows, scores);
            },
        );
        PoolingGradients {
            queries: by_queries,
            rows: by_rows,
        }
    }
}

multiversion! {
    fn pool(
        query: &[f32], rows: &[f32], shape: &PoolingShape, output: &mut [f32],
        probabilities: &mut [f32],
    ) = pool_loop;
    fn pool_backward(
        segment: Segment<'_>, shape: &PoolingShape, by_query: &mut [f32], by_rows: &mut [f32],
        scores: &mut [f32],
    ) = pool_backward_loop;
}

/// One segment: `p = softmax(scale · X q)`, `o = Xᵀ p` for every head.
#[inline(always)]
fn pool_loop<const FMA: bool>(
    query: &[f32],
    rows: &[f32],
    shape: &PoolingShape,
    output: &mut [f32],
    probabilities: &mut [f32],
) {
    let width = shape.width;
    let heads = query
        .chunks_exact(width)
        .zip(output.chunks_exact_mut(width))
        .zip(probabilities.chunks_exact_mut(rows.len() / width));
    for ((query, output), p) in heads {
        for (p, row) in p.iter_mut().zip(rows.chunks_exact(width)) {
            *p = dot::<FMA>(query, row);
        }
        softmax_row::<FMA>(p, shape.scale);
        for (&p, row) in p.iter().zip(rows.chunks_exact(width)) {
            add_scaled::<FMA>(output, p, row);
        }
    }
}

/// One segment: `dp = X dO`, `ds = scale · p∘(dp − p·dp)`, `dq = Xᵀ ds`, and `dX = ds qᵀ + p dOᵀ`, summed
/// over the heads.
#[inline(always)]
fn pool_backward_loop<const FMA: bool>(
    segment: Segment<'_>,
    shape: &PoolingShape,
    by_query: &mut [f32],
    by_rows: &mut [f32],
    scores: &mut [f32],
) {
    let width = shape.width;
    let heads = segment
        .query
        .chunks_exact(width)
        .zip(segment.gradient.chunks_exact(width))
        .zip(by_query.chunks_exact_mut(width))
        .zip(segment.probabilities.chunks_exact(scores.len()));
    for (((query, gradient), by_query), p) in heads {
        for (by_p, row) in scores.iter_mut().zip(segment.rows.chunks_exact(width)) {
            *by_p = dot::<FMA>(gradient, row);
        }
        let mean = dot::<FMA>(p, scores);
        let rows = segment.rows.chunks_exact(width);
        let rows = rows.zip(by_rows.chunks_exact_mut(width));
        for ((&p, &by_p), (row, by_row)) in p.iter().zip(scores.iter()).zip(rows) {
            let by_score = shape.scale * p * (by_p - mean);
            add_scaled::<FMA>(by_query, by_score, row);
            add_scaled::<FMA>(by_row, by_score, query);
            add_scaled::<FMA>(by_row, p, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_segments_there_is_nothing_to_read() {
        let shape = PoolingShape {
            segments: Segments::of_lengths([]),
            width: 5,
            scale: 1.0,
        };
        let pooled = shape.forward(&[], &[]);
        let by = shape.backward(&[], &[], &pooled.probabilities, &[]);
        let all = [pooled.output, pooled.probabilities, by.queries, by.rows];
        assert!(all.iter().all(Vec::is_empty));
    }
}
