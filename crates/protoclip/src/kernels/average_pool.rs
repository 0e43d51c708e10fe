//! Averages over square cells of channels-last pictures, forward and backward, over slices.

use rayon::prelude::*;

/// Sizes of one call: pictures `[count, height, width, channels]`, cells of `side`²; what is left
/// over at the right and below is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolShape {
    pub(super) count: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) side: usize,
}

impl PoolShape {
    /// Height and width of the output.
    pub(super) fn output_size(&self) -> [usize; 2] {
        [self.height / self.side, self.width / self.side]
    }

    fn share(&self) -> f32 {
        1.0 / (self.side * self.side) as f32
    }

    /// Numbers of `side` lines of a picture, and of the output line they become.
    fn line_lengths(&self) -> [usize; 2] {
        let output = self.output_size()[1] * self.channels;
        [self.side * self.width * self.channels, output]
    }

    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [rows, _] = self.output_size();
        let [lines, out_line] = self.line_lengths();
        let picture = self.height * self.width * self.channels;
        let mut y = vec![0.0; self.count * rows * out_line];
        y.par_chunks_mut(rows * out_line)
            .zip(x.par_chunks(picture))
            .for_each(|(y, x)| {
                for (y, x) in y.chunks_exact_mut(out_line).zip(x.chunks_exact(lines)) {
                    self.average(x, y);
                }
            });
        y
    }

    /// The gradient by the pictures, given that by the output.
    pub(super) fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        let [rows, _] = self.output_size();
        let [lines, out_line] = self.line_lengths();
        let picture = self.height * self.width * self.channels;
        let mut by_x = vec![0.0; self.count * picture];
        by_x.par_chunks_mut(picture)
            .zip(gradient.par_chunks(rows * out_line))
            .for_each(|(by_x, gradient)| {
                let lines = by_x.chunks_exact_mut(lines);
                for (by_x, gradient) in lines.zip(gradient.chunks_exact(out_line)) {
                    self.spread(gradient, by_x);
                }
            });
        by_x
    }

    /// `side` lines of a picture to one line of output, which starts as zeros.
    fn average(&self, x: &[f32], y: &mut [f32]) {
        let cell = self.side * self.channels;
        for line in x.chunks_exact(self.width * self.channels) {
            for (y, cell) in y
                .chunks_exact_mut(self.channels)
                .zip(line.chunks_exact(cell))
            {
                for pixel in cell.chunks_exact(self.channels) {
                    for (y, x) in y.iter_mut().zip(pixel) {
                        *y += x;
                    }
                }
            }
        }
        for y in y {
            *y *= self.share();
        }
    }

    fn spread(&self, gradient: &[f32], by_x: &mut [f32]) {
        let cell = self.side * self.channels;
        let share = self.share();
        for line in by_x.chunks_exact_mut(self.width * self.channels) {
            let cells = line.chunks_exact_mut(cell);
            for (cell, gradient) in cells.zip(gradient.chunks_exact(self.channels)) {
                for pixel in cell.chunks_exact_mut(self.channels) {
                    for (x, g) in pixel.iter_mut().zip(gradient) {
                        *x = g * share;
                    }
                }
            }
        }
    }
}
