//! Features as bytes, with what is certain about the distances that their products stand for.
//!
//! Used by k-means and by the search for neighbours of a map, from any thread.
//!
//! Rows are taken relative to the mean feature, their dimensions sorted by variance, so that the first
//! ones tell most, rotated in groups, so that none is much larger than its neighbours, and rounded. For a row x and a centroid c with their rounded copies x' and c',
//! `x·c = x'·c' + (x − x')·c' + x·(c − c')`; the norms of what was rounded away bound the last two
//! terms by Cauchy and Schwarz. A score is thus an upper bound of `x·c − ½‖c‖²`, and
//! `‖x‖² − 2·score` a lower bound of the squared distance: assumed is nothing, and the numbers that
//! the bounds are made of are those of the rows at hand.

use rayon::prelude::*;

use crate::kernels::byte_scan::{BytePanels, ByteRows};
use crate::kernels::elementary::NO_FRACTION;

/// Rows farther from the mean than this many times the root mean square are not rounded.
const WIDEST: f64 = 3.0;

/// Of the range of 16 bits, what scores may span.
const SPAN: f64 = 65_000.0;
const TOP: f64 = 32_600.0;

/// Lowest and highest score within reach, in units of the squared radius: `x·c − ½‖c‖²` and what
/// rounding adds.
const HIGHEST_SCORE: f64 = 0.8;
const SCORES: f64 = 2.5;

/// Most that rounding may take away from a row, in units of the radius.
const MOST_LOST: f64 = 0.08;

/// Dimensions that are rotated together, at most: as many as scores are given up after.
const MOST_TURNED: usize = 32;

/// Relative error of centring and rotating in f32, per norm: at most eight roundings, doubled.
const ROTATION_ERROR: f64 = 1e-6;

/// Error of squared distances that are put together from norms and scores in f32, in units of the
/// squared radius.
const ASSEMBLY_ERROR: f64 = 1e-5;

/// How rows of one data set are rounded.
#[derive(Debug)]
pub(crate) struct ByteScale {
    dim: usize,
    /// Dimensions rotated together, a power of two.
    turn: usize,
    /// Bytes per row: `dim`, filled up to whole turns.
    width: usize,
    origin: Vec<f32>,
    /// Dimensions by falling variance.
    order: Vec<usize>,
    /// Largest norm of a row that is rounded.
    radius: f64,
    /// Bytes per unit.
    step: f64,
}

/// One row as bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RowBound {
    /// Squared norm; NaN when the row has no bytes that say enough, and all its bounds are 0.
    square: f32,
    /// What rounding the row may add to a score, in score units.
    lost: f32,
}

/// All samples as bytes.
#[derive(Debug)]
pub(crate) struct SampleBytes {
    pub(crate) scale: ByteScale,
    /// `[n, width]`.
    values: Vec<i8>,
    bounds: Vec<RowBound>,
}

/// Some rows to compare samples with, such as centroids, as bytes.
#[derive(Debug)]
pub(crate) struct CentroidBytes {
    pub(crate) panels: BytePanels,
    /// Their numbers, in the order of the panels.
    pub(crate) ids: Vec<u32>,
}

impl SampleBytes {
    /// Rounds `features` `[n, dim]`.
    pub(crate) fn new(features: &[f32], dim: usize, origin: &[f32]) -> Self {
        let scale = ByteScale::new(features, dim, origin);
        let width = scale.width;
        let mut values = vec![0; features.len() / dim * width];
        let mut bounds = vec![RowBound::default(); features.len() / dim];
        values
            .par_chunks_mut(width)
            .zip(&mut bounds)
            .zip(features.par_chunks(dim))
            .for_each_init(
                || vec![0.0; width],
                |turned, ((bytes, bound), row)| *bound = scale.round_sample(row, turned, bytes),
            );
        Self {
            scale,
            values,
            bounds,
        }
    }

    /// Bytes per row.
    pub(crate) fn width(&self) -> usize {
        self.scale.width
    }

    /// The bytes of `count` rows from `start` on.
    pub(crate) fn rows(&self, start: usize, count: usize) -> ByteRows<'_> {
        ByteRows {
            width: self.width(),
            values: &self.values[start * self.width()..][..count * self.width()],
        }
    }

    /// Whether the row has bytes that say something.
    pub(crate) fn is_rounded(&self, row: usize) -> bool {
        !self.bounds[row].square.is_nan()
    }

    /// A distance that a centroid of this score is certain not to be below.
    pub(crate) fn least_distance(&self, row: usize, score: i16) -> f32 {
        let RowBound { square, lost } = self.bounds[row];
        if score == i16::MAX || square.is_nan() {
            return 0.0;
        }
        let score = self.scale.score(f64::from(score) + f64::from(lost));
        let radius = self.scale.radius;
        let distance = f64::from(square) - 2.0 * score - ASSEMBLY_ERROR * radius * radius;
        distance.max(0.0).sqrt() as f32 * (1.0 - f32::EPSILON)
    }

    /// The highest score of centroids that are certain to be at least this far from the row.
    pub(crate) fn threshold(&self, row: usize, distance: f32) -> i16 {
        let RowBound { square, lost } = self.bounds[row];
        let radius = self.scale.radius;
        let distance = f64::from(distance).powi(2);
        let score = 0.5 * (f64::from(square) - ASSEMBLY_ERROR * radius * radius - distance);
        // Saturates, and NaN becomes 0; `least_distance` decides what the threshold then means.
        (self.scale.units(score) - f64::from(lost)).floor() as i16
    }
}

impl ByteScale {
    fn new(features: &[f32], dim: usize, origin: &[f32]) -> Self {
        let norms: Vec<f64> = features
            .par_chunks(dim)
            .map(|row| distance(row, origin))
            .collect();
        let mean_square =
            norms.iter().map(|norm| norm * norm).sum::<f64>() / norms.len().max(1) as f64;
        let most = norms.iter().fold(0.0, |most: f64, &norm| most.max(norm));
        let radius = most.min(WIDEST * mean_square.sqrt()) * (1.0 + ROTATION_ERROR);
        let turn = dim.next_power_of_two().clamp(2, MOST_TURNED);
        Self {
            dim,
            turn,
            width: dim.next_multiple_of(turn),
            origin: origin.to_vec(),
            order: by_variance(features, dim, origin),
            radius,
            step: (SPAN / SCORES).sqrt() / radius,
        }
    }

    /// What rows are taken relative to, `[dim]`.
    pub(crate) fn origin(&self) -> &[f32] {
        &self.origin
    }

    /// Whether squares of these features stay within the range of f32.
    fn usable(&self) -> bool {
        (1e-15..1e15).contains(&self.radius)
    }

    /// Score units of `x·c − ½‖c‖²`.
    fn units(&self, score: f64) -> f64 {
        score * self.step * self.step + self.shift()
    }

    fn score(&self, units: f64) -> f64 {
        (units - self.shift()) / (self.step * self.step)
    }

    /// Brings the highest score to the top of the range.
    fn shift(&self) -> f64 {
        TOP - HIGHEST_SCORE * (self.radius * self.step).powi(2)
    }

    fn round_sample(&self, row: &[f32], turned: &mut [f32], bytes: &mut [i8]) -> RowBound {
        let useless = RowBound {
            square: f32::NAN,
            lost: 0.0,
        };
        if !self.usable() {
            return useless;
        }
        let norm = self.turn_row(row, turned);
        let lost = self.round(turned, 127, bytes) + ROTATION_ERROR * norm;
        if norm > self.radius || lost > MOST_LOST * self.radius {
            bytes.fill(0);
            return useless;
        }
        let most = (1.0 + MOST_LOST) * self.radius * lost * self.step * self.step;
        RowBound {
            square: (norm * norm) as f32,
            lost: (most * (1.0 + 1e-6)) as f32,
        }
    }

    /// The centroids `ids` of `centroids` `[k, dim]`.
    pub(crate) fn centroids(&self, centroids: &[f32], ids: Vec<u32>) -> CentroidBytes {
        let mut bytes = CentroidBytes {
            panels: BytePanels::new(ids.len(), self.width),
            ids,
        };
        self.refresh(&mut bytes, centroids, |_| true);
        bytes
    }

    /// Rounds those centroids again that `changed`.
    pub(crate) fn refresh(
        &self,
        bytes: &mut CentroidBytes,
        centroids: &[f32],
        changed: impl Fn(u32) -> bool,
    ) {
        let mut turned = vec![0.0; self.width];
        let mut values = vec![0; self.width];
        let CentroidBytes { panels, ids } = bytes;
        for (place, &id) in ids.iter().enumerate() {
            if changed(id) {
                let row = &centroids[id as usize * self.dim..][..self.dim];
                let bias = self.round_centroid(row, &mut turned, &mut values);
                panels.set(place, &values, bias);
            }
        }
    }

    /// The bias of a centroid; the highest of all for one that must always be looked at.
    fn round_centroid(&self, row: &[f32], turned: &mut [f32], bytes: &mut [i8]) -> i16 {
        let norm = self.turn_row(row, turned);
        let lost = self.round(turned, 63, bytes) + ROTATION_ERROR * norm;
        if norm > self.radius || !norm.is_finite() || lost > MOST_LOST * self.radius {
            bytes.fill(0);
            return i16::MAX;
        }
        self.units(lost * self.radius - 0.5 * norm * norm).ceil() as i16
    }

    /// Rounds to bytes of at most `most`; the norm of what is lost.
    fn round(&self, turned: &[f32], most: i8, bytes: &mut [i8]) -> f64 {
        let (step, most, unit) = (self.step as f32, f32::from(most), 1.0 / self.step);
        let mut lost = 0.0;
        for (byte, &value) in bytes.iter_mut().zip(turned) {
            // Adding leaves no room for digits after the point; the processor's own instruction may be
            // missing, and then each value is a call.
            let whole = ((value * step).clamp(-most, most) + NO_FRACTION) - NO_FRACTION;
            *byte = whole as i8;
            let rest = f64::from(value) - f64::from(whole) * unit;
            lost += rest * rest;
        }
        lost.sqrt()
    }

    /// The centred and sorted row after random signs and Hadamard transforms of `turn` dimensions
    /// each; its norm.
    fn turn_row(&self, row: &[f32], turned: &mut [f32]) -> f64 {
        turned.fill(0.0);
        for (place, (slot, &d)) in turned.iter_mut().zip(&self.order).enumerate() {
            // The top bit of a multiplicative hash: fixed signs, aligned with no Hadamard row.
            let hash = (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let value = row[d] - self.origin[d];
            *slot = if hash >> 63 == 0 { value } else { -value };
        }
        for group in turned.chunks_exact_mut(self.turn) {
            hadamard(group);
        }
        let square: f64 = turned.iter().map(|&v| f64::from(v).powi(2)).sum();
        square.sqrt()
    }
}

/// The dimensions of `features` `[n, dim]`, those that vary most first, judged by some thousand rows.
fn by_variance(features: &[f32], dim: usize, origin: &[f32]) -> Vec<usize> {
    let step = (features.len() / dim / 4096).max(1);
    let mut variance = vec![0.0f64; dim];
    for row in features.chunks_exact(dim).step_by(step) {
        for ((sum, &value), &origin) in variance.iter_mut().zip(row).zip(origin) {
            *sum += (f64::from(value) - f64::from(origin)).powi(2);
        }
    }
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| variance[b].total_cmp(&variance[a]));
    order
}

/// The orthonormal Walsh–Hadamard transform of a power of two of values.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f32).sqrt();
    for value in values {
        *value *= scale;
    }
}

/// ‖a − b‖ in f64.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}
