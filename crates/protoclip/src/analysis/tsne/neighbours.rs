//! The nearest neighbours of every sample, exactly.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::TsneError;
use super::TsnePhase;
use super::progress::Watch;
use crate::kernels::byte_scan::{Tour, scan_bytes};
use crate::kernels::distance::squared_distance;
use crate::prototypes::byte_distances::{CentroidBytes, SampleBytes};

/// Samples that are compared with all others together.
const BLOCK: usize = 96;

/// Byte products between two calls of the observer: a few hundredths of a second.
const WAVE_WORK: usize = 2_000_000_000;

/// Neighbours of all samples.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Per sample.
    pub(super) count: usize,
    /// `[n, count]`, nearest first, the lowest number at a tie.
    pub(super) ids: Vec<u32>,
    /// `[n, count]`: squared distances.
    pub(super) squares: Vec<f32>,
}

impl Neighbours {
    /// The `count` nearest of every row of `features` `[n, dim]`, itself left out.
    pub(super) fn find(
        features: &[f32],
        dim: usize,
        count: usize,
        watch: &Watch<'_>,
    ) -> Result<Self, TsneError> {
        let samples = features.len() / dim;
        let search = Search::new(features, dim, count);
        let wave = (WAVE_WORK / (BLOCK * features.len())).max(rayon::current_num_threads()) * BLOCK;
        let mut found = Self {
            count,
            ids: Vec::with_capacity(samples * count),
            squares: Vec::with_capacity(samples * count),
        };
        for start in (0..samples).step_by(wave) {
            let end = samples.min(start + wave);
            let blocks: Vec<Vec<Nearest>> = (start..end)
                .into_par_iter()
                .step_by(BLOCK)
                .map(|first| search.block(first, end.min(first + BLOCK)))
                .collect();
            for nearest in blocks.into_iter().flatten() {
                found.ids.extend(nearest.found.iter().map(|&(_, id)| id));
                found
                    .squares
                    .extend(nearest.found.iter().map(|&(square, _)| square));
            }
            watch.work(TsnePhase::Neighbours, end, samples)?;
        }
        Ok(found)
    }
}

/// All samples, to be compared with all.
struct Search<'a> {
    features: &'a [f32],
    dim: usize,
    count: usize,
    bytes: SampleBytes,
    all: CentroidBytes,
    /// By how much rounding may move a measured distance against another.
    tolerance: f32,
}

/// The nearest of one sample so far.
struct Nearest {
    sample: usize,
    /// Squared distances and numbers; the first `measured` have one.
    found: Vec<(f32, u32)>,
    measured: usize,
}

impl<'a> Search<'a> {
    fn new(features: &'a [f32], dim: usize, count: usize) -> Self {
        let bytes = SampleBytes::new(features, dim, &mean(features, dim));
        let ids = (0..(features.len() / dim) as u32).collect();
        let all = bytes.scale.centroids(features, ids);
        Self {
            features,
            dim,
            count,
            bytes,
            all,
            tolerance: 1.0 + 2.0 * (dim / 8 + 16) as f32 * f32::EPSILON,
        }
    }

    /// The nearest of the samples `start..end`.
    fn block(&self, start: usize, end: usize) -> Vec<Nearest> {
        let mut nearest: Vec<Nearest> = (start..end).map(Nearest::none).collect();
        let mut thresholds: Vec<i16> = (start..end)
            .map(|sample| match self.bytes.is_rounded(sample) {
                true => i16::MIN,
                false => i16::MAX,
            })
            .collect();
        let rows = self.bytes.rows(start, end - start);
        // Similar samples often lie side by side.
        scan_bytes(
            rows,
            &self.all.panels,
            Tour::of_all_from(start),
            &mut thresholds,
            |row, other, _, threshold| {
                let nearest = &mut nearest[row];
                nearest.found.push((0.0, other as u32));
                if nearest.found.len() < 2 * self.count + 1 {
                    return threshold;
                }
                let farthest = nearest.tidy(self).sqrt() * self.tolerance;
                threshold.max(
                    self.bytes
                        .threshold(nearest.sample, farthest)
                        .saturating_sub(1),
                )
            },
        );
        for nearest in &mut nearest {
            if !self.bytes.is_rounded(nearest.sample) {
                nearest.found = self.all.ids.iter().map(|&id| (0.0, id)).collect();
            }
            nearest.tidy(self);
            nearest.found.sort_unstable_by(by_distance);
        }
        nearest
    }

    fn row(&self, sample: usize) -> &[f32] {
        &self.features[sample * self.dim..][..self.dim]
    }
}

impl Nearest {
    fn none(sample: usize) -> Self {
        Self {
            sample,
            found: Vec::new(),
            measured: 0,
        }
    }

    /// Measures distances and keeps the nearest; the squared distance of the farthest of these.
    fn tidy(&mut self, search: &Search<'_>) -> f32 {
        for (square, other) in &mut self.found[self.measured..] {
            let row = search.row(*other as usize);
            *square = squared_distance(search.row(self.sample), row);
        }
        self.found
            .retain(|&(_, other)| other as usize != self.sample);
        let mut farthest = f32::INFINITY;
        if self.found.len() > search.count {
            let last = search.count - 1;
            let (_, kept, _) = self.found.select_nth_unstable_by(last, by_distance);
            farthest = kept.0;
            self.found.truncate(search.count);
        }
        self.measured = self.found.len();
        farthest
    }
}

fn by_distance(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

fn mean(features: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for row in features.chunks_exact(dim) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let count = (features.len() / dim).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}
