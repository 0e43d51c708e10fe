//! Assignment of every sample to its nearest centroid, block by block on the current rayon pool.
//!
//! The nearest centroid is the one with the smallest `squared_distance`, the lowest index at a
//! tie. Which distances are computed for that is decided by bounds: a sieve of byte products
//! ([`byte_distances`](crate::prototypes::byte_distances)) finds the few centroids that can be nearest,
//! and what it finds is remembered ([`Neighbourhood`]), so that later only centroids that moved far are
//! compared again. Where features lie so close together that most centroids pass the sieve, products in
//! f32 take its place ([`Products`](super::products::Products)).

use super::near::Neighbourhood;
use super::order::Order;
use super::pass::Pass;
use super::{KMeansError, KMeansProgress, movement};
use crate::prototypes::byte_distances::{CentroidBytes, SampleBytes};

/// Reach of the neighbourhood that is remembered, in distances to the nearest centroid: after the
/// first update everything is compared again, later centroids move little.
const FIRST_MARGIN: f32 = 1.02;
const MARGIN: f32 = 1.15;

/// The features that are clustered, `[count, dim]`.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    pub(super) features: &'a [f32],
    pub(super) dim: usize,
    pub(super) bytes: SampleBytes,
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

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Says that `done` assignments of the total lie behind, made or saved.
    pub(super) fn reach(&mut self, done: u64) -> Result<(), KMeansError> {
        self.done = done.min(self.total);
        if (self.progress)(self.done, self.total) {
            Ok(())
        } else {
            Err(KMeansError::Cancelled)
        }
    }

    pub(super) fn advance(&mut self, samples: usize) -> Result<(), KMeansError> {
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
        let origin: Vec<f32> = sums.into_iter().map(|sum| (sum / count) as f32).collect();
        Self {
            features,
            dim,
            bytes: SampleBytes::new(features, dim, &origin),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.features.len() / self.dim
    }

    pub(super) fn row(&self, sample: usize) -> &[f32] {
        &self.features[sample * self.dim..][..self.dim]
    }
}

/// The nearest centroid of every sample, and what makes finding the next one quick.
#[derive(Debug)]
pub(super) struct Assignment<'a> {
    samples: &'a Samples<'a>,
    rows: Vec<Neighbourhood>,
    /// Order and bytes of the centroids; nothing before the first.
    table: Option<(Order, CentroidBytes)>,
}

impl<'a> Assignment<'a> {
    pub(super) fn new(samples: &'a Samples<'a>) -> Self {
        Self {
            samples,
            rows: vec![Neighbourhood::unknown(); samples.count()],
            table: None,
        }
    }

    /// Nearest centroid and squared distance to it of every sample.
    pub(super) fn nearest(&self) -> impl Iterator<Item = (u32, f32)> {
        self.rows.iter().map(|row| (row.nearest, row.square))
    }

    /// The k-means objective: sum of squared distances, in sample order.
    pub(super) fn objective(&self) -> f64 {
        self.rows.iter().map(|row| f64::from(row.square)).sum()
    }

    /// Assigns all samples to `centroids` `[k, dim]`, of which nothing is known.
    pub(super) fn assign(
        &mut self,
        centroids: &[f32],
        meter: &mut Meter<'_>,
    ) -> Result<(), KMeansError> {
        self.rows.fill(Neighbourhood::unknown());
        let order = Order::new(centroids, self.samples.dim);
        let scale = &self.samples.bytes.scale;
        let all = scale.centroids(centroids, order.ids.clone());
        let likely = order.likely_places(self.samples);
        let pass = Pass::new(self.samples, centroids, &order, &all);
        pass.scout(&mut self.rows, &likely, meter)?;
        let every: Vec<u32> = (0..self.rows.len() as u32).collect();
        pass.look_at_all(&mut self.rows, &every, FIRST_MARGIN, meter)?;
        self.table = Some((order, all));
        Ok(())
    }

    /// Assigns all samples after every centroid moved by at most `moved` `[k]` since the last
    /// assignment.
    pub(super) fn reassign(
        &mut self,
        centroids: &[f32],
        moved: &[f32],
        meter: &mut Meter<'_>,
    ) -> Result<(), KMeansError> {
        let Some((order, all)) = &mut self.table else {
            return self.assign(centroids, meter);
        };
        let scale = &self.samples.bytes.scale;
        scale.refresh(all, centroids, |id| moved[id as usize] > 0.0);
        let pass = Pass::new(self.samples, centroids, order, all);
        pass.measure_own(&mut self.rows, moved);
        let open = match movement::allowance(moved, &self.rows) {
            Some(allowance) => pass.look_at_moved(&mut self.rows, moved, allowance, meter)?,
            None => (0..self.rows.len() as u32).collect(),
        };
        pass.look_at_all(&mut self.rows, &open, MARGIN, meter)
    }
}
