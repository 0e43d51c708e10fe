//! Gaussian blur of a square picture, with reflected borders as in torchvision.

use std::ops::RangeInclusive;

use super::colour::Pixel;

/// Size at which the reference's settings hold.
const REFERENCE_SIZE: f32 = 224.0;
const REFERENCE_TAPS: f32 = 21.0;
const REFERENCE_SIGMAS: (f32, f32) = (0.1, 2.0);
/// Smallest upper limit of σ, in pixels.
const LEAST_LARGEST_SIGMA: f32 = 0.5;

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

/// Blurs a picture of `side · side` pixels.
pub(super) fn gaussian(pixels: &[Pixel], side: usize, taps: usize, sigma: f32) -> Vec<Pixel> {
    let kernel = kernel(taps, sigma);
    let rows = along_rows(pixels, side, &kernel);
    let turned = transposed(&rows, side);
    transposed(&along_rows(&turned, side, &kernel), side)
}

fn kernel(taps: usize, sigma: f32) -> Vec<f32> {
    let half = (taps / 2) as f32;
    let weights: Vec<f32> = (0..taps)
        .map(|tap| (-0.5 * ((tap as f32 - half) / sigma).powi(2)).exp())
        .collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

fn along_rows(pixels: &[Pixel], side: usize, kernel: &[f32]) -> Vec<Pixel> {
    let half = kernel.len() / 2;
    let mut blurred = vec![[0.0; 3]; pixels.len()];
    for (to, from) in blurred
        .chunks_exact_mut(side)
        .zip(pixels.chunks_exact(side))
    {
        for (x, out) in to.iter_mut().enumerate() {
            for (tap, weight) in kernel.iter().enumerate() {
                let pixel = from[reflected(x + tap, half, side)];
                for (sum, value) in out.iter_mut().zip(pixel) {
                    *sum += weight * value;
                }
            }
        }
    }
    blurred
}

/// Position `shifted − half`, mirrored at the borders without repeating them.
fn reflected(shifted: usize, half: usize, side: usize) -> usize {
    let period = 2 * (side - 1).max(1);
    let position = (shifted as isize - half as isize).rem_euclid(period as isize) as usize;
    position.min(period - position).min(side - 1)
}

fn transposed(pixels: &[Pixel], side: usize) -> Vec<Pixel> {
    (0..side * side)
        .map(|at| pixels[(at % side) * side + at / side])
        .collect()
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

    #[test]
    fn a_plain_picture_stays_and_a_point_spreads_evenly() {
        let plain = vec![[40.0, 50.0, 60.0]; 25];
        for pixel in gaussian(&plain, 5, 5, 1.0) {
            assert!((pixel[0] - 40.0).abs() < 1e-3 && (pixel[2] - 60.0).abs() < 1e-3);
        }
        let mut point = vec![[0.0; 3]; 81];
        point[40] = [100.0; 3];
        let spread = gaussian(&point, 9, 3, 0.8);
        let sum: f32 = spread.iter().map(|p| p[0]).sum();
        assert!((sum - 100.0).abs() < 1e-3, "energy is kept: {sum}");
        assert!((spread[31][0] - spread[49][0]).abs() < 1e-5, "up and down");
        assert!((spread[39][0] - spread[31][0]).abs() < 1e-5, "left and up");
        assert!(spread[40][0] > spread[31][0] && spread[31][0] > spread[30][0]);
        assert_eq!(spread[0][0], 0.0);
    }

    #[test]
    fn borders_are_mirrored_without_repetition() {
        let positions: Vec<usize> = (0..9).map(|shifted| reflected(shifted, 2, 5)).collect();
        assert_eq!(positions, [2, 1, 0, 1, 2, 3, 4, 3, 2]);
        assert_eq!(reflected(5, 2, 1), 0);
    }
}
