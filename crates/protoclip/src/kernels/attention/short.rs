//! Attention within short segments, such as captions: loops over rows, since a product of so small matrices
//! takes longer to begin than to finish.

use std::ops::Range;

use super::AttentionShape;
use crate::kernels::elementary::{add_scaled, dot};
use crate::kernels::multiversion::multiversion;
use crate::kernels::row_softmax::softmax_row;

/// Tokens up to which a segment is short.
pub(super) const MOST_TOKENS: usize = 16;

multiversion! {
    /// Writes the output and the probabilities of one segment over zeros.
    fn attend(
        shape: &AttentionShape, packed: &[f32], output: &mut [f32], probabilities: &mut [f32],
    ) = attend_loop;
    /// Adds the gradient by the packed values of one segment to zeros. `by_p` is room for a row.
    fn attend_backward(
        shape: &AttentionShape, packed: &[f32], probabilities: &[f32], gradient: &[f32],
        by_packed: &mut [f32], by_p: &mut [f32],
    ) = attend_backward_loop;
}

impl AttentionShape {
    /// Where the query (part 0), key (1) or value (2) of a token lies in the packed rows of its segment.
    #[inline(always)]
    fn place(&self, head: usize, part: usize, token: usize) -> Range<usize> {
        let start = token * self.stride() + self.offset(head, part);
        start..start + self.head_width
    }
}

#[inline(always)]
fn attend_loop<const FMA: bool>(
    shape: &AttentionShape,
    packed: &[f32],
    output: &mut [f32],
    probabilities: &mut [f32],
) {
    let tokens = packed.len() / shape.stride();
    for (index, p) in probabilities.chunks_exact_mut(tokens).enumerate() {
        let (head, token) = (index / tokens, index % tokens);
        let p = &mut p[..shape.seen(token, tokens)];
        let query = &packed[shape.place(head, 0, token)];
        for (other, p) in p.iter_mut().enumerate() {
            *p = dot::<FMA>(query, &packed[shape.place(head, 1, other)]);
        }
        softmax_row::<FMA>(p, shape.scale());
        let read = &mut output[token * shape.width() + head * shape.head_width..];
        let read = &mut read[..shape.head_width];
        for (other, &p) in p.iter().enumerate() {
            add_scaled::<FMA>(read, p, &packed[shape.place(head, 2, other)]);
        }
    }
}

/// The formulas of [`AttentionShape::attend_backward`], row by row.
#[inline(always)]
fn attend_backward_loop<const FMA: bool>(
    shape: &AttentionShape,
    packed: &[f32],
    probabilities: &[f32],
    gradient: &[f32],
    by_packed: &mut [f32],
    by_p: &mut [f32],
) {
    let tokens = packed.len() / shape.stride();
    for (index, p) in probabilities.chunks_exact(tokens).enumerate() {
        let (head, token) = (index / tokens, index % tokens);
        let seen = shape.seen(token, tokens);
        let (p, by_p) = (&p[..seen], &mut by_p[..seen]);
        let gradient = &gradient[token * shape.width() + head * shape.head_width..];
        let gradient = &gradient[..shape.head_width];
        for (other, by_p) in by_p.iter_mut().enumerate() {
            *by_p = dot::<FMA>(gradient, &packed[shape.place(head, 2, other)]);
        }
        let mean = dot::<FMA>(p, by_p);
        let query = &packed[shape.place(head, 0, token)];
        for (other, (&p, &by_p)) in p.iter().zip(by_p.iter()).enumerate() {
            let by_score = shape.scale() * p * (by_p - mean);
            let [to_query, to_key, to_value] =
                [(0, token), (1, other), (2, other)].map(|(part, i)| shape.place(head, part, i));
            let key = &packed[to_key.clone()];
            add_scaled::<FMA>(&mut by_packed[to_query], by_score, key);
            add_scaled::<FMA>(&mut by_packed[to_key], by_score, query);
            add_scaled::<FMA>(&mut by_packed[to_value], p, gradient);
        }
    }
}
