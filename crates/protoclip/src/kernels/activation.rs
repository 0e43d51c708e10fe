//! GELU and QuickGELU, forward and backward, over slices.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffer::written;
use super::elementary::{fma, normal, sigmoid};
use super::multiversion::multiversion;

/// Elements per parallel piece: small enough for the cache, large enough to outweigh the hand-over.
const PIECE: usize = 1 << 14;

/// Slope inside QuickGELU's sigmoid.
const QUICK_SLOPE: f32 = 1.702;

/// Which of the two activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gelu {
    /// `x·Φ(x)`
    Exact,
    /// `x·σ(1.702x)`
    Quick,
}

impl Gelu {
    /// The activation of every element.
    #[allow(unsafe_code, reason = "the result is written piece by piece")]
    pub(super) fn forward(self, x: &[f32]) -> Vec<f32> {
        // SAFETY: the pieces cover the result, and both loops write every element of one.
        unsafe {
            written(x.len(), |y| {
                let pieces = y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE));
                pieces.for_each(|(y, x)| match self {
                    Self::Exact => exact_forward(x, y),
                    Self::Quick => quick_forward(x, y),
                });
            })
        }
    }

    /// The gradient by `x`, given that by the output.
    #[allow(unsafe_code, reason = "the result is written piece by piece")]
    pub(super) fn backward(self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        assert_eq!(x.len(), gradient.len(), "one gradient for each element");
        // SAFETY: the pieces cover the result, and both loops write every element of one.
        unsafe {
            written(x.len(), |by_x| {
                by_x.par_chunks_mut(PIECE)
                    .zip(x.par_chunks(PIECE))
                    .zip(gradient.par_chunks(PIECE))
                    .for_each(|((by_x, x), gradient)| match self {
                        Self::Exact => exact_backward(x, gradient, by_x),
                        Self::Quick => quick_backward(x, gradient, by_x),
                    });
            })
        }
    }
}

multiversion! {
    fn exact_forward(x: &[f32], y: &mut [MaybeUninit<f32>]) = exact_forward_loop;
    fn exact_backward(x: &[f32], gradient: &[f32], by_x: &mut [MaybeUninit<f32>]) = exact_backward_loop;
    fn quick_forward(x: &[f32], y: &mut [MaybeUninit<f32>]) = quick_forward_loop;
    fn quick_backward(x: &[f32], gradient: &[f32], by_x: &mut [MaybeUninit<f32>]) = quick_backward_loop;
}

#[inline(always)]
fn exact_forward_loop<const FMA: bool>(x: &[f32], y: &mut [MaybeUninit<f32>]) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(x * normal::<FMA>(x).0);
    }
}

#[inline(always)]
fn exact_backward_loop<const FMA: bool>(
    x: &[f32],
    gradient: &[f32],
    by_x: &mut [MaybeUninit<f32>],
) {
    for ((by_x, &x), &gradient) in by_x.iter_mut().zip(x).zip(gradient) {
        let (distribution, density) = normal::<FMA>(x);
        by_x.write(gradient * fma::<FMA>(x, density, distribution));
    }
}

#[inline(always)]
fn quick_forward_loop<const FMA: bool>(x: &[f32], y: &mut [MaybeUninit<f32>]) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(x * sigmoid::<FMA>(QUICK_SLOPE * x));
    }
}

#[inline(always)]
fn quick_backward_loop<const FMA: bool>(
    x: &[f32],
    gradient: &[f32],
    by_x: &mut [MaybeUninit<f32>],
) {
    for ((by_x, &x), &gradient) in by_x.iter_mut().zip(x).zip(gradient) {
        let s = sigmoid::<FMA>(QUICK_SLOPE * x);
        by_x.write(gradient * fma::<FMA>(QUICK_SLOPE * x * s, 1.0 - s, s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::buffer::overwrite;

    #[test]
    fn the_portable_loops_agree_with_the_machines() {
        let x: Vec<f32> = (0..1001).map(|i| (i as f32 - 500.0) / 60.0).collect();
        let g: Vec<f32> = (0..1001).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
        let mut portable = vec![0.0; x.len()];
        let close = |ours: &[f32], other: &[f32]| {
            for (a, b) in ours.iter().zip(other) {
                assert!((a - b).abs() < 2e-6, "{a} {b}");
            }
        };
        exact_forward_loop::<false>(&x, overwrite(&mut portable));
        close(&Gelu::Exact.forward(&x), &portable);
        exact_backward_loop::<false>(&x, &g, overwrite(&mut portable));
        close(&Gelu::Exact.backward(&x, &g), &portable);
        quick_forward_loop::<false>(&x, overwrite(&mut portable));
        close(&Gelu::Quick.forward(&x), &portable);
        quick_backward_loop::<false>(&x, &g, overwrite(&mut portable));
        close(&Gelu::Quick.backward(&x, &g), &portable);
    }
}
