//! Square convolutions without bias on channels-last pictures, forward and backward, over slices.
//!
//! A block of output positions becomes a matrix of the pixels below the kernel (im2col), which one
//! product turns into output rows; 1×1 kernels multiply the pixels themselves. The order of all
//! additions depends on sizes only, never on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::{overwrite, written};
use super::product::{Matrix, Target, Threads, multiply, multiply_add};
use crate::config::Precision;

/// Output positions per product: enough that packing the weights again does not count.
const POSITIONS: usize = 256;

/// Most partial sums of a weight gradient.
const PARTIAL_SUMS: usize = 16;

/// Sizes of one call: pictures `[count, side, side, input]`, weights `[output, input, kernel, kernel]`,
/// "same" padding of `kernel / 2` zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConvolutionShape {
    pub(super) count: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) input: usize,
    pub(super) output: usize,
    /// Odd.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) precision: Precision,
}

impl ConvolutionShape {
    /// Height and width of the output.
    pub(super) fn output_size(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| side.div_ceil(self.stride))
    }

    /// Output positions of one picture.
    fn positions(&self) -> usize {
        let [height, width] = self.output_size();
        height * width
    }

    fn picture(&self) -> usize {
        self.height * self.width * self.input
    }

    /// Numbers below the kernel at one position.
    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.input
    }

    /// Whether positions are pixels, so that no matrix of patches is needed.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }

    /// The convolution that turns output gradients into input gradients; for stride 1.
    fn reversed(&self) -> Self {
        Self {
            input: self.output,
            output: self.input,
            ..*self
        }
    }

    /// `[count, height/stride, width/stride, output]`
    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        if self.is_pointwise() {
            let weight = Matrix::new(weight, self.input).transpose();
            return Matrix::new(x, self.input).times(weight, Threads::Pool, self.precision);
        }
        self.convolve(x, &self.weight_matrix(weight))
    }

    /// `weights` are `[patch, output]`.
    #[allow(unsafe_code, reason = "the output is written position by position")]
    fn convolve(&self, x: &[f32], weights: &[f32]) -> Vec<f32> {
        let weights = Matrix::new(weights, self.output);
        let pictures = self.pictures_per_piece();
        // SAFETY: the pieces cover the output, and each product writes all rows of its positions.
        unsafe {
            written(self.count * self.positions() * self.output, |y| {
                y.par_chunks_mut(pictures * self.positions() * self.output)
                    .zip(x.par_chunks(pictures * self.picture()))
                    .for_each_init(Vec::new, |patches, (y, x)| {
                        self.for_each_block(x, patches, |positions, patches| {
                            let y = &mut y[positions.start * self.output..];
                            let target = Target::rows(y, self.output);
                            multiply(patches, weights, target, Threads::One, self.precision);
                        });
                    });
            })
        }
    }

    /// The gradient by the pictures, given that by the output.
    pub(super) fn backward_input(&self, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
        if self.is_pointwise() {
            let weight = Matrix::new(weight, self.input);
            return Matrix::new(gradient, self.output).times(weight, Threads::Pool, self.precision);
        }
        match self.stride {
            1 => self
                .reversed()
                .convolve(gradient, &self.reversed_weight_matrix(weight)),
            _ => self.scatter(gradient, &self.weight_matrix(weight)),
        }
    }

    /// The gradient by the weights, `[output, input, kernel, kernel]`.
    pub(super) fn backward_weight(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        if self.is_pointwise() {
            let gradient = Matrix::new(gradient, self.output).transpose();
            return gradient.times(Matrix::new(x, self.input), Threads::Pool, self.precision);
        }
        let pieces = self.count.div_ceil(self.pictures_per_piece());
        let pictures = self.pictures_per_piece() * pieces.div_ceil(PARTIAL_SUMS);
        let partial: Vec<Vec<f32>> = x
            .par_chunks(pictures * self.picture())
            .zip(gradient.par_chunks(pictures * self.positions() * self.output))
            .map_init(Vec::new, |patches, (x, gradient)| {
                let mut sums = vec![0.0; self.patch() * self.output];
                self.for_each_block(x, patches, |positions, patches| {
                    let rows = positions.start * self.output..positions.end * self.output;
                    let gradient = Matrix::new(&gradient[rows], self.output);
                    multiply_add(
                        patches.transpose(),
                        gradient,
                        &mut sums,
                        self.output,
                        self.precision,
                    );
                });
                sums
            })
            .collect();
        let mut total = vec![0.0; self.patch() * self.output];
        for sums in &partial {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        self.weight_of_matrix(&total)
    }

    fn pictures_per_piece(&self) -> usize {
        POSITIONS.div_ceil(self.positions().max(1))
    }

    /// Calls `visit` with blocks of consecutive positions of these pictures and the matrix of their
    /// patches, `[positions, patch]`.
    fn for_each_block(
        &self,
        x: &[f32],
        patches: &mut Vec<f32>,
        mut visit: impl FnMut(Range<usize>, Matrix<'_>),
    ) {
        let positions = x.len() / self.picture() * self.positions();
        let patch = self.patch();
        patches.resize(POSITIONS.min(positions) * patch, 0.0);
        let mut start = 0;
        while start < positions {
            let block = start..(start + POSITIONS).min(positions);
            let patches = &mut patches[..block.len() * patch];
            for (position, patch) in block.clone().zip(patches.chunks_exact_mut(patch)) {
                self.copy_patch(x, position, patch);
            }
            start = block.end;
            visit(block, Matrix::new(patches, patch));
        }
    }

    /// The pixels below the kernel at one position; zeros outside of the picture.
    fn copy_patch(&self, x: &[f32], position: usize, patch: &mut [f32]) {
        let (x, top, left) = self.corner(x.len(), position, |range| &x[range]);
        let line = self.kernel * self.input;
        for (ky, line) in patch.chunks_exact_mut(line).enumerate() {
            let Some(row) = inside(top + ky, self.kernel / 2, self.height) else {
                line.fill(0.0);
                continue;
            };
            let row = &x[row * self.width * self.input..][..self.width * self.input];
            let columns = self.columns_inside(left);
            let (before, rest) = line.split_at_mut(columns.skipped * self.input);
            let (middle, after) = rest.split_at_mut(columns.pixels.len() * self.input);
            before.fill(0.0);
            let pixels = columns.pixels.start * self.input..columns.pixels.end * self.input;
            middle.copy_from_slice(&row[pixels]);
            after.fill(0.0);
        }
    }

    /// The picture of a position, and the upper left pixel of its patch, counted from the padding.
    fn corner<T>(
        &self,
        length: usize,
        position: usize,
        cut: impl FnOnce(Range<usize>) -> T,
    ) -> (T, usize, usize) {
        debug_assert_eq!(length % self.picture(), 0);
        let [_, width] = self.output_size();
        let (picture, place) = (position / self.positions(), position % self.positions());
        let start = picture * self.picture();
        let (y, x) = (place / width, place % width);
        (
            cut(start..start + self.picture()),
            y * self.stride,
            x * self.stride,
        )
    }

    /// Which pixels of a row lie below a line of the kernel that starts at `left`, counted from the
    /// padding.
    fn columns_inside(&self, left: usize) -> Columns {
        let padding = self.kernel / 2;
        let start = left.saturating_sub(padding);
        let end = (left + self.kernel - padding).min(self.width);
        Columns {
            skipped: padding.saturating_sub(left),
            pixels: start..end,
        }
    }

    /// Input gradients for any stride: products of patches, added to the pixels they came from.
    fn scatter(&self, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
        let weights = Matrix::new(weights, self.output).transpose();
        let mut by_x = vec![0.0; self.count * self.picture()];
        by_x.par_chunks_mut(self.picture())
            .zip(gradient.par_chunks(self.positions() * self.output))
            .for_each_init(
                || vec![0.0; self.positions() * self.patch()],
                |patches, (by_x, gradient)| {
                    let target = Target::rows(overwrite(patches), self.patch());
                    let gradient = Matrix::new(gradient, self.output);
                    multiply(gradient, weights, target, Threads::One, self.precision);
                    for (place, patch) in patches.chunks_exact(self.patch()).enumerate() {
                        self.add_patch(by_x, place, patch);
                    }
                },
            );
        by_x
    }

    /// The reverse of [`Self::copy_patch`] within one picture.
    fn add_patch(&self, picture: &mut [f32], place: usize, patch: &[f32]) {
        let ((), top, left) = self.corner(picture.len(), place, |_| ());
        let columns = self.columns_inside(left);
        for (ky, line) in patch.chunks_exact(self.kernel * self.input).enumerate() {
            let Some(row) = inside(top + ky, self.kernel / 2, self.height) else {
                continue;
            };
            let start = (row * self.width + columns.pixels.start) * self.input;
            let pixels = &mut picture[start..][..columns.pixels.len() * self.input];
            for (pixel, value) in pixels.iter_mut().zip(&line[columns.skipped * self.input..]) {
                *pixel += value;
            }
        }
    }

    /// `[output, input, kernel²]` → `[kernel², input, output]`
    fn weight_matrix(&self, weight: &[f32]) -> Vec<f32> {
        let mut matrix = vec![0.0; weight.len()];
        self.for_each_weight(|at, [o, i, k]| {
            matrix[(k * self.input + i) * self.output + o] = weight[at];
        });
        matrix
    }

    /// `[output, input, kernel²]` → `[kernel², output, input]` with the kernel turned around
    fn reversed_weight_matrix(&self, weight: &[f32]) -> Vec<f32> {
        let mut matrix = vec![0.0; weight.len()];
        let last = self.kernel * self.kernel - 1;
        self.for_each_weight(|at, [o, i, k]| {
            matrix[((last - k) * self.output + o) * self.input + i] = weight[at];
        });
        matrix
    }

    /// The reverse of [`Self::weight_matrix`].
    fn weight_of_matrix(&self, matrix: &[f32]) -> Vec<f32> {
        let mut weight = vec![0.0; matrix.len()];
        self.for_each_weight(|at, [o, i, k]| {
            weight[at] = matrix[(k * self.input + i) * self.output + o];
        });
        weight
    }

    /// Every place of the weights, with its output, input and place in the kernel.
    fn for_each_weight(&self, mut visit: impl FnMut(usize, [usize; 3])) {
        let area = self.kernel * self.kernel;
        for o in 0..self.output {
            for i in 0..self.input {
                for k in 0..area {
                    visit((o * self.input + i) * area + k, [o, i, k]);
                }
            }
        }
    }
}

/// The part of a kernel's line that lies inside of the picture.
struct Columns {
    /// Places of the line before the first pixel.
    skipped: usize,
    pixels: Range<usize>,
}

/// `at − padding` when it lies in `0..side`.
fn inside(at: usize, padding: usize, side: usize) -> Option<usize> {
    at.checked_sub(padding).filter(|&at| at < side)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition, in f64: output, gradient by the pictures, gradient by the weights.
    fn definition(
        shape: ConvolutionShape,
        x: &[f32],
        weight: &[f32],
        gradient: &[f32],
    ) -> [Vec<f64>; 3] {
        let [out_height, out_width] = shape.output_size();
        let mut y = vec![0.0; gradient.len()];
        let (mut by_x, mut by_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        let (k, padding) = (shape.kernel, shape.kernel / 2);
        for n in 0..shape.count {
            for place in 0..out_height * out_width {
                let (oy, ox) = (place / out_width, place % out_width);
                for (ky, kx) in (0..k * k).map(|at| (at / k, at % k)) {
                    let row = inside(oy * shape.stride + ky, padding, shape.height);
                    let column = inside(ox * shape.stride + kx, padding, shape.width);
                    let (Some(row), Some(column)) = (row, column) else {
                        continue;
                    };
                    let pixel = ((n * shape.height + row) * shape.width + column) * shape.input;
                    for (o, i) in (0..shape.output * shape.input)
                        .map(|at| (at / shape.input, at % shape.input))
                    {
                        let w = ((o * shape.input + i) * k + ky) * k + kx;
                        let out = (n * out_height * out_width + place) * shape.output + o;
                        y[out] += f64::from(x[pixel + i]) * f64::from(weight[w]);
                        by_x[pixel + i] += f64::from(gradient[out]) * f64::from(weight[w]);
                        by_weight[w] += f64::from(gradient[out]) * f64::from(x[pixel + i]);
                    }
                }
            }
        }
        [y, by_x, by_weight]
    }

    #[test]
    fn all_three_results_follow_the_definition() {
        let series = |seed: usize, n: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * seed) % 7) as f32 - 3.0).collect()
        };
        for (count, [height, width], [input, output], kernel, stride) in [
            (2, [5, 4], [3, 4], 3, 1),
            (2, [5, 6], [3, 2], 3, 2),
            (1, [1, 1], [2, 3], 3, 1),
            (3, [4, 4], [5, 2], 1, 1),
            (2, [4, 5], [2, 3], 1, 2),
            (20, [20, 20], [2, 3], 3, 1),
            (2, [7, 7], [2, 2], 5, 1),
        ] {
            let shape = ConvolutionShape {
                count,
                height,
                width,
                input,
                output,
                kernel,
                stride,
                precision: Precision::F32,
            };
            let [out_height, out_width] = shape.output_size();
            let x = series(5, count * height * width * input);
            let weight = series(3, output * input * kernel * kernel);
            let gradient = series(11, count * out_height * out_width * output);
            // Small integers: every order of additions gives the same number.
            let ours = [
                shape.forward(&x, &weight),
                shape.backward_input(&gradient, &weight),
                shape.backward_weight(&x, &gradient),
            ];
            let wanted = definition(shape, &x, &weight, &gradient);
            for (ours, wanted) in ours.iter().zip(&wanted) {
                let ours: Vec<f64> = ours.iter().map(|&v| f64::from(v)).collect();
                assert_eq!(&ours, wanted, "{shape:?}");
            }
        }
    }
}
