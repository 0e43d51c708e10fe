//! Gaussian blur of a square picture, with reflected borders as in torchvision.

use std::ops::RangeInclusive;

use super::colour::Planes;
use crate::kernels::pixels;

/// Size at which the reference's settings hold.
const REFERENCE_SIZE: f32 = 224.0;
const REFERENCE_TAPS: f32 = 21.0;
const REFERENCE_SIGMAS: (f32, f32) = (0.1, 2.0);
/// Smallest upper limit of σ, in pixels.
const LEAST_LARGEST_SIGMA: f32 = 0.5;
/// Weight, relative to that of the centre, below which a tap is left out: all of them together
/// change a value by less than f32 can hold.
const NEGLIGIBLE: f32 = 1e-9;

/// Kernel length at a model size: 21 at 224, in proportion, odd and at least 3.
pub(super) fn taps(size: u32) -> usize {
    let half = (REFERENCE_TAPS * size as f32 / REFERENCE_SIZE - 1.0) / 2.0;
    2 * (half.round().max(1.0) as usize) + 1
}

/// Standard deviations to draw from at a model size, in pixels.
pub(super) fn sigmas(size: u32) -> RangeInclusive<f32> {
    let scale = size as f32 / REFERENCE_SIZE;
    let largest = (REFERENCE_SIGMAS.1 * scale).max(LEAST_LARGEST_SIGMA);
    REFERENCE_SIGMAS.0 * scale..=largest
}

/// Blurs planes of `side · side` pixels in place; `scratch` keeps its memory from call to call.
pub(super) fn gaussian(
    planes: &mut Planes<'_>,
    side: usize,
    taps: usize,
    sigma: f32,
    scratch: &mut Vec<f32>,
) {
    let kernel = kernel(taps, sigma);
    let padded = side + kernel.len() - 1;
    scratch.resize(side * side + padded, 0.0);
    let (rows, line) = scratch.split_at_mut(side * side);
    for plane in planes.each() {
        along_rows(plane, side, &kernel, line, rows);
        along_columns(rows, side, &kernel, plane);
    }
}

/// Weights of the taps, without those at both ends that are too small to change a value.
fn kernel(taps: usize, sigma: f32) -> Vec<f32> {
    let half = (taps / 2) as f32;
    let weights: Vec<f32> = (0..taps)
        .map(|tap| (-0.5 * ((tap as f32 - half) / sigma).powi(2)).exp())
        .collect();
    let small = weights.iter().take_while(|w| **w < NEGLIGIBLE).count();
    let sum: f32 = weights.iter().sum();
    let kept = &weights[small..taps - small];
    kept.iter().map(|w| w / sum).collect()
}

/// `line` is room for one row and its mirrored ends.
fn along_rows(plane: &[f32], side: usize, kernel: &[f32], line: &mut [f32], blurred: &mut [f32]) {
    let half = kernel.len() / 2;
    for (from, to) in plane.chunks_exact(side).zip(blurred.chunks_exact_mut(side)) {
        line[half..half + side].copy_from_slice(from);
        for end in 0..half {
            line[end] = from[reflected(end, half, side)];
            line[half + side + end] = from[reflected(half + side + end, half, side)];
        }
        to.fill(0.0);
        for (tap, weight) in kernel.iter().enumerate() {
            pixels::add_weighted(to, *weight, &line[tap..tap + side]);
        }
    }
}

fn along_columns(plane: &[f32], side: usize, kernel: &[f32], blurred: &mut [f32]) {
    let half = kernel.len() / 2;
    for (y, to) in blurred.chunks_exact_mut(side).enumerate() {
        to.fill(0.0);
        for (tap, weight) in kernel.iter().enumerate() {
            let row = reflected(y + tap, half, side) * side;
            pixels::add_weighted(to, *weight, &plane[row..row + side]);
        }
    }
}

/// Position `shifted − half`, mirrored at the borders without repeating them.
fn reflected(shifted: usize, half: usize, side: usize) -> usize {
    let period = 2 * (side - 1).max(1);
    let position = (shifted as isize - half as isize).rem_euclid(period as isize) as usize;
    position.min(period - position).min(side - 1)
}

/// What the planes are compared with: all taps in two dimensions, in f64.
#[cfg(test)]
pub(super) fn weighted_mean(
    plane: &[f32],
    side: usize,
    (x, y): (usize, usize),
    taps: usize,
    sigma: f32,
) -> f32 {
    let half = taps / 2;
    let weight = |tap: usize| {
        let distance = (tap as f64 - half as f64) / f64::from(sigma);
        (-0.5 * distance * distance).exp()
    };
    let (mut sum, mut weights) = (0.0, 0.0);
    for down in 0..taps {
        for right in 0..taps {
            let (row, column) = (
                reflected(y + down, half, side),
                reflected(x + right, half, side),
            );
            let both = weight(down) * weight(right);
            sum += both * f64::from(plane[row * side + column]);
            weights += both;
        }
    }
    (sum / weights) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_references_at_its_size_and_scale_down() {
        assert_eq!(taps(224), 21);
        assert_eq!(*sigmas(224).end(), 2.0);
        assert_eq!((taps(64), taps(32)), (7, 3));
        assert_eq!(*sigmas(32).end(), 0.5);
    }

    /// The first plane, blurred.
    fn blurred(plane: &[f32], side: usize, taps: usize, sigma: f32) -> Vec<f32> {
        let mut values = plane.repeat(3);
        let mut scratch = Vec::new();
        gaussian(
            &mut Planes::new(&mut values),
            side,
            taps,
            sigma,
            &mut scratch,
        );
        let pixels = side * side;
        assert_eq!(values[..pixels], values[pixels..2 * pixels]);
        assert_eq!(values[..pixels], values[2 * pixels..]);
        values.truncate(pixels);
        values
    }

    #[test]
    fn a_plain_picture_stays_and_a_point_spreads_evenly() {
        for value in blurred(&[40.0; 25], 5, 5, 1.0) {
            assert!((value - 40.0).abs() < 1e-3);
        }
        let mut point = vec![0.0; 81];
        point[40] = 100.0;
        let spread = blurred(&point, 9, 3, 0.8);
        let sum: f32 = spread.iter().sum();
        assert!((sum - 100.0).abs() < 1e-3, "energy is kept: {sum}");
        assert!((spread[31] - spread[49]).abs() < 1e-5, "up and down");
        assert!((spread[39] - spread[31]).abs() < 1e-5, "left and up");
        assert!(spread[40] > spread[31] && spread[31] > spread[30]);
        assert_eq!(spread[0], 0.0);
    }

    #[test]
    fn a_blur_is_the_weighted_mean_of_the_neighbours() {
        for (side, taps, sigma) in [(1, 3, 0.5), (5, 21, 2.0), (19, 7, 0.9), (24, 21, 0.3)] {
            let plane: Vec<f32> = (0..side * side).map(|at| (at * 89 % 256) as f32).collect();
            let found = blurred(&plane, side, taps, sigma);
            for (at, value) in found.iter().enumerate() {
                let expected = weighted_mean(&plane, side, (at % side, at / side), taps, sigma);
                assert!(
                    (value - expected).abs() < 1e-3,
                    "{side} {taps} {at}: {value}"
                );
            }
        }
    }

    #[test]
    fn far_taps_of_a_narrow_blur_are_left_out() {
        assert_eq!(kernel(21, 0.1), [1.0]);
        assert_eq!(kernel(21, 2.0).len(), 21);
        let sum: f32 = kernel(21, 0.9).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn borders_are_mirrored_without_repetition() {
        let positions: Vec<usize> = (0..9).map(|shifted| reflected(shifted, 2, 5)).collect();
        assert_eq!(positions, [2, 1, 0, 1, 2, 3, 4, 3, 2]);
        assert_eq!(reflected(5, 2, 1), 0);
    }
}
