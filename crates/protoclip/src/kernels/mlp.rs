//! Two dense layers with an activation between them, onto a residual: forward and backward, over slices.
//!
//! A block of rows passes both layers, in both directions, while it is in the second cache: what lies
//! between them is four times as wide as what goes in and comes out.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::activation::Gelu;
use super::buffer::written;
use super::multiversion::multiversion;
use super::product::{Matrix, Repeated};
use crate::config::Precision;

/// `[input, output]` and `[output]` of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct DenseLayer<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// What happens between and in the layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct MlpKind {
    pub(super) activation: Gelu,
    pub(super) precision: Precision,
}

/// Output `[rows, width]`, and what the backward pass needs.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) output: Vec<f32>,
    /// Behind the activation, `[rows, hidden]`.
    pub(super) hidden: Vec<f32>,
    /// Of the activation, `[rows, hidden]`.
    pub(super) slope: Vec<f32>,
}

/// Gradients by the input `[rows, input]` and by what goes into the activation, `[rows, hidden]`.
#[derive(Debug)]
pub(super) struct InputGradients {
    pub(super) x: Vec<f32>,
    pub(super) hidden: Vec<f32>,
}

impl<'a> DenseLayer<'a> {
    fn matrix(self) -> Matrix<'a> {
        Matrix::new(self.weight, self.bias.len())
    }

    /// To multiply `rows` inputs with.
    fn forth(self, rows: usize, precision: Precision) -> Repeated<'a> {
        Repeated::new(rows, self.matrix(), Some(self.bias), precision)
    }

    /// To multiply `rows` gradients with.
    fn back(self, rows: usize, precision: Precision) -> Repeated<'a> {
        Repeated::new(rows, self.matrix().transpose(), None, precision)
    }
}

impl MlpKind {
    /// `residual + down(activation(up(x)))`; `residual` is `[rows, width]`.
    #[allow(unsafe_code, reason = "the result is written block by block")]
    pub(super) fn forward(
        self,
        residual: &[f32],
        x: &[f32],
        [up, down]: [DenseLayer<'_>; 2],
    ) -> Vec<f32> {
        let (inner, width) = (up.bias.len(), down.bias.len());
        let input = up.weight.len() / inner;
        let rows = x.len() / input;
        let [up, down] = [up, down].map(|layer| layer.forth(rows, self.precision));
        let block = up.rows_of_block().min(down.rows_of_block());
        // SAFETY: the blocks cover the result, and a product writes every element of one.
        unsafe {
            written(residual.len(), |output| {
                let blocks = output.par_chunks_mut(block * width);
                let blocks = blocks.zip(residual.par_chunks(block * width));
                let blocks = blocks.zip(x.par_chunks(block * input));
                blocks.for_each_init(Vec::new, |scratch, ((output, residual), x)| {
                    let hidden = up.multiply(x, None, room(scratch, x.len() / input * inner));
                    self.activation.apply(hidden);
                    down.multiply(hidden, Some(residual), output);
                });
            })
        }
    }

    /// The same, for a backward pass.
    #[allow(unsafe_code, reason = "all results are written block by block")]
    pub(super) fn forward_tracked(
        self,
        residual: &[f32],
        x: &[f32],
        [up, down]: [DenseLayer<'_>; 2],
    ) -> Tracked {
        let (inner, width) = (up.bias.len(), down.bias.len());
        let input = up.weight.len() / inner;
        let rows = x.len() / input;
        let [up, down] = [up, down].map(|layer| layer.forth(rows, self.precision));
        let block = up.rows_of_block().min(down.rows_of_block());
        let (mut hidden, mut slope) = (Vec::new(), Vec::new());
        let work = |output: &mut [MaybeUninit<f32>],
                    hidden: &mut [MaybeUninit<f32>],
                    slope: &mut [MaybeUninit<f32>]| {
            let blocks = output.par_chunks_mut(block * width);
            let blocks = blocks.zip(hidden.par_chunks_mut(block * inner));
            let blocks = blocks.zip(slope.par_chunks_mut(block * inner));
            let given = residual.par_chunks(block * width);
            let given = given.zip(x.par_chunks(block * input));
            let blocks = blocks.zip(given);
            blocks.for_each(|(((output, hidden), slope), (residual, x))| {
                let before = up.multiply(x, None, slope);
                let hidden = self.activation.apply_keeping_slope(before, hidden);
                down.multiply(hidden, Some(residual), output);
            });
        };
        // SAFETY: the blocks cover all three results; products write every element of two of them and
        // the activation every element of the third.
        let output = unsafe {
            written(residual.len(), |output| {
                hidden = written(rows * inner, |hidden| {
                    slope = written(rows * inner, |slope| work(output, hidden, slope));
                });
            })
        };
        Tracked {
            output,
            hidden,
            slope,
        }
    }

    /// `gradient` is that by the output, `slope` that of the activation.
    #[allow(unsafe_code, reason = "the result is written block by block")]
    pub(super) fn backward_inputs(
        self,
        gradient: &[f32],
        slope: Vec<f32>,
        [up, down]: [DenseLayer<'_>; 2],
    ) -> InputGradients {
        let (inner, width) = (up.bias.len(), down.bias.len());
        let input = up.weight.len() / inner;
        let rows = gradient.len() / width;
        assert_eq!(slope.len(), rows * inner, "one slope for each element");
        let [to_x, to_hidden] = [up, down].map(|layer| layer.back(rows, self.precision));
        let block = to_x.rows_of_block().min(to_hidden.rows_of_block());
        let mut hidden = slope;
        // SAFETY: the blocks cover the result, and a product writes every element of one.
        let x = unsafe {
            written(rows * input, |x| {
                let blocks = x.par_chunks_mut(block * input);
                let blocks = blocks.zip(hidden.par_chunks_mut(block * inner));
                let blocks = blocks.zip(gradient.par_chunks(block * width));
                blocks.for_each_init(Vec::new, |scratch, ((x, hidden), gradient)| {
                    let room = room(scratch, hidden.len());
                    multiply_all(hidden, to_hidden.multiply(gradient, None, room));
                    to_x.multiply(hidden, None, x);
                });
            })
        };
        InputGradients { x, hidden }
    }
}

/// Room for `count` numbers in a buffer that grows to what is needed.
fn room(scratch: &mut Vec<f32>, count: usize) -> &mut [MaybeUninit<f32>] {
    scratch.clear();
    scratch.reserve(count);
    &mut scratch.spare_capacity_mut()[..count]
}

multiversion! {
    fn multiply_all(values: &mut [f32], factors: &[f32]) = multiply_all_loop;
}

#[inline(always)]
fn multiply_all_loop<const FMA: bool>(values: &mut [f32], factors: &[f32]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}
