//! Assignment of every sample to its nearest centroid, block by block on the current rayon pool.

use rayon::prelude::*;

use super::{KMeansError, KMeansProgress};
use crate::kernels::distance::{LANES, Panels, Queries, for_each_tile, squared_distance};

/// Samples of one block: their packed copy and the running best stay in the second cache.
const BLOCK: usize = 240;

/// Multiply-adds between two calls of the progress callback: a few hundredths of a second.
const WAVE_WORK: usize = 400_000_000;

/// The features that are clustered, `[count, dim]`.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    pub(super) features: &'a [f32],
    pub(super) dim: usize,
    /// Mean feature `[dim]`, the origin of all scores.
    origin: Vec<f32>,
}

/// The nearest centroid of every sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    /// `[n]`.
    pub(super) nearest: Vec<u32>,
    /// `[n]`: squared distance to it.
    pub(super) squares: Vec<f32>,
}

/// Counts assigned samples and asks whether to go on.
pub(super) struct Meter<'a> {
    done: u64,
    total: u64,
    progress: KMeansProgress<'a>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(total: u64, progress: KMeansProgress<'a>) -> Self {
        Self {
            done: 0,
            total,
            progress,
        }
    }

    /// Says that `done` assignments of the total lie behind, made or saved.
    pub(super) fn reach(&mut self, done: u64) -> Result<(), KMeansError> {
        self.done = done;
        if (self.progress)(self.done, self.total) {
            Ok(())
        } else {
            Err(KMeansError::Cancelled)
        }
    }

    fn advance(&mut self, samples: usize) -> Result<(), KMeansError> {
        self.reach(self.done + samples as u64)
    }
}

impl<'a> Samples<'a> {
    pub(super) fn new(features: &'a [f32], dim: usize) -> Self {
        let mut sums = vec![0.0f64; dim];
        for row in features.chunks_exact(dim) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        let count = (features.len() / dim).max(1) as f64;
        Self {
            features,
            dim,
            origin: sums.into_iter().map(|sum| (sum / count) as f32).collect(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.features.len() / self.dim
    }

    /// Assigns all samples to `centroids` `[k, dim]`.
    pub(super) fn assign(
        &self,
        centroids: &[f32],
        meter: &mut Meter<'_>,
    ) -> Result<Assignment, KMeansError> {
        let panels = Panels::nearest(centroids, self.dim, &self.origin);
        let mut nearest = vec![0u32; self.count()];
        let mut squares = vec![0.0f32; self.count()];
        let wave = self.wave_rows(centroids.len());
        let waves = self
            .features
            .chunks(wave * self.dim)
            .zip(nearest.chunks_mut(wave))
            .zip(squares.chunks_mut(wave));
        for ((features, nearest), squares) in waves {
            features
                .par_chunks(BLOCK * self.dim)
                .zip(nearest.par_chunks_mut(BLOCK))
                .zip(squares.par_chunks_mut(BLOCK))
                .for_each(|((rows, nearest), squares)| {
                    self.assign_block(rows, &panels, nearest);
                    for ((row, &own), square) in
                        rows.chunks_exact(self.dim).zip(nearest.iter()).zip(squares)
                    {
                        let centroid = &centroids[own as usize * self.dim..][..self.dim];
                        *square = squared_distance(row, centroid);
                    }
                });
            meter.advance(nearest.len())?;
        }
        Ok(Assignment { nearest, squares })
    }

    /// Rows of one wave: whole blocks, at least one for each thread.
    fn wave_rows(&self, centroid_values: usize) -> usize {
        let blocks = WAVE_WORK / (BLOCK * centroid_values);
        BLOCK * blocks.max(rayon::current_num_threads())
    }

    fn assign_block(&self, rows: &[f32], panels: &Panels, nearest: &mut [u32]) {
        let queries = Queries::pack(rows, self.dim, &self.origin);
        let mut best = vec![([f32::NEG_INFINITY; LANES], [0u32; LANES]); nearest.len()];
        for_each_tile(&queries, panels, |row, first, scores| {
            let (score, start) = &mut best[row];
            for lane in 0..LANES {
                let better = scores[lane] > score[lane];
                score[lane] = if better { scores[lane] } else { score[lane] };
                start[lane] = if better { first as u32 } else { start[lane] };
            }
        });
        for (nearest, (scores, starts)) in nearest.iter_mut().zip(&best) {
            *nearest = best_lane(scores, starts);
        }
    }
}

/// The candidate with the highest score, the lowest index at a tie.
fn best_lane(scores: &[f32; LANES], starts: &[u32; LANES]) -> u32 {
    let mut best = (scores[0], starts[0]);
    for lane in 1..LANES {
        let candidate = starts[lane] + lane as u32;
        if scores[lane] > best.0 || (scores[lane] == best.0 && candidate < best.1) {
            best = (scores[lane], candidate);
        }
    }
    best.1
}

impl Assignment {
    /// The k-means objective: sum of squared distances, in sample order.
    pub(super) fn objective(&self) -> f64 {
        self.squares.iter().map(|&square| f64::from(square)).sum()
    }
}
