//! GELU and QuickGELU, forward and backward, over slices.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffer::{initialised, written};
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

    /// The activation of every number, in its place; by this thread.
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Exact => exact_apply(values),
            Self::Quick => quick_apply(values),
        }
    }

    /// Writes the activation of every number, puts its slope in the number's place, and returns what it
    /// wrote; by this thread.
    #[allow(unsafe_code, reason = "the loops write every element")]
    pub(super) fn apply_keeping_slope<'a>(
        self,
        x: &mut [f32],
        y: &'a mut [MaybeUninit<f32>],
    ) -> &'a mut [f32] {
        assert_eq!(x.len(), y.len(), "one result for each element");
        match self {
            Self::Exact => exact_with_slope(x, y),
            Self::Quick => quick_with_slope(x, y),
        }
        // SAFETY: `x` is as long as `y`, and both loops write an element of `y` for each of `x`.
        unsafe { initialised(y) }
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
    fn exact_apply(values: &mut [f32]) = exact_apply_loop;
    fn quick_apply(values: &mut [f32]) = quick_apply_loop;
    fn exact_with_slope(x: &mut [f32], y: &mut [MaybeUninit<f32>]) = exact_with_slope_loop;
    fn quick_with_slope(x: &mut [f32], y: &mut [MaybeUninit<f32>]) = quick_with_slope_loop;
}

/// `x·Φ(x)` and its slope `Φ(x) + x·φ(x)`.
#[inline(always)]
fn exact<const FMA: bool>(x: f32) -> (f32, f32) {
    let (distribution, density) = normal::<FMA>(x);
    (x * distribution, fma::<FMA>(x, density, distribution))
}

/// `x·s` with `s = σ(1.702x)`, and its slope `s + 1.702x·s·(1 − s)`.
#[inline(always)]
fn quick<const FMA: bool>(x: f32) -> (f32, f32) {
    let s = sigmoid::<FMA>(QUICK_SLOPE * x);
    (x * s, fma::<FMA>(QUICK_SLOPE * x * s, 1.0 - s, s))
}

#[inline(always)]
fn exact_forward_loop<const FMA: bool>(x: &[f32], y: &mut [MaybeUninit<f32>]) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(exact::<FMA>(x).0);
    }
}

#[inline(always)]
fn quick_forward_loop<const FMA: bool>(x: &[f32], y: &mut [MaybeUninit<f32>]) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(quick::<FMA>(x).0);
    }
}

#[inline(always)]
fn exact_backward_loop<const FMA: bool>(
    x: &[f32],
    gradient: &[f32],
    by_x: &mut [MaybeUninit<f32>],
) {
    for ((by_x, &x), &gradient) in by_x.iter_mut().zip(x).zip(gradient) {
        by_x.write(gradient * exact::<FMA>(x).1);
    }
}

#[inline(always)]
fn quick_backward_loop<const FMA: bool>(
    x: &[f32],
    gradient: &[f32],
    by_x: &mut [MaybeUninit<f32>],
) {
    for ((by_x, &x), &gradient) in by_x.iter_mut().zip(x).zip(gradient) {
        by_x.write(gradient * quick::<FMA>(x).1);
    }
}

#[inline(always)]
fn exact_apply_loop<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x = exact::<FMA>(*x).0;
    }
}

#[inline(always)]
fn quick_apply_loop<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x = quick::<FMA>(*x).0;
    }
}

#[inline(always)]
fn exact_with_slope_loop<const FMA: bool>(x: &mut [f32], y: &mut [MaybeUninit<f32>]) {
    for (x, y) in x.iter_mut().zip(y) {
        let (value, slope) = exact::<FMA>(*x);
        y.write(value);
        *x = slope;
    }
}

#[inline(always)]
fn quick_with_slope_loop<const FMA: bool>(x: &mut [f32], y: &mut [MaybeUninit<f32>]) {
    for (x, y) in x.iter_mut().zip(y) {
        let (value, slope) = quick::<FMA>(*x);
        y.write(value);
        *x = slope;
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

    #[test]
    fn in_place_values_and_slopes_are_those_of_the_two_passes() {
        let x: Vec<f32> = (0..1001).map(|i| (i as f32 - 500.0) / 60.0).collect();
        let ones = vec![1.0; x.len()];
        for kind in [Gelu::Exact, Gelu::Quick] {
            let mut applied = x.clone();
            kind.apply(&mut applied);
            assert_eq!(applied, kind.forward(&x));
            let (mut slope, mut y) = (x.clone(), vec![0.0; x.len()]);
            kind.apply_keeping_slope(&mut slope, overwrite(&mut y));
            assert_eq!(y, applied);
            assert_eq!(slope, kind.backward(&x, &ones));
        }
    }
}
