//! An order of centroids in which similar ones lie side by side.
//!
//! A panel of similar centroids is given up early for most samples, one of any centroids for few, and
//! a search that starts where a sample's own centroid lies knows early what it may give up. The
//! order is a matter of speed only.

use rayon::prelude::*;

use super::assign::Samples;
use crate::kernels::byte_scan::{Tour, scan_bytes};
use crate::kernels::distance::squared_distance;
use crate::prototypes::group_means::refresh_group_means;

/// Samples that are compared with the pivots together.
const BLOCK: usize = 96;

/// Iterations that move the pivots to the middle of their groups.
const ITERATIONS: usize = 2;

/// Centroids sorted by the nearest of about √k pivots.
#[derive(Debug)]
pub(super) struct Order {
    /// Their numbers.
    pub(super) ids: Vec<u32>,
    /// Where each centroid stands in `ids`.
    places: Vec<u32>,
    /// `[pivots, dim]`.
    pivots: Vec<f32>,
    /// Where each pivot's group starts.
    starts: Vec<u32>,
}

impl Order {
    /// Sorts `centroids` `[k, dim]`.
    pub(super) fn new(centroids: &[f32], dim: usize) -> Self {
        let count = centroids.len() / dim;
        let step = count.isqrt().max(1);
        let mut pivots: Vec<f32> = centroids
            .chunks_exact(dim)
            .step_by(step)
            .flatten()
            .copied()
            .collect();
        let mut groups = nearest_pivots(centroids, &pivots, dim);
        for _ in 0..ITERATIONS {
            let stale = vec![true; pivots.len() / dim];
            refresh_group_means(centroids, dim, &groups, &mut pivots, &stale);
            groups = nearest_pivots(centroids, &pivots, dim);
        }
        let mut ids: Vec<u32> = (0..count as u32).collect();
        ids.sort_by_key(|&id| groups[id as usize]);
        let mut places = vec![0; count];
        for (place, &id) in ids.iter().enumerate() {
            places[id as usize] = place as u32;
        }
        let before = |pivot: u32| ids.partition_point(|&id| groups[id as usize] < pivot) as u32;
        let starts = (0..(pivots.len() / dim) as u32).map(before).collect();
        Self {
            ids,
            places,
            pivots,
            starts,
        }
    }

    /// Where a centroid stands.
    pub(super) fn place(&self, id: u32) -> u32 {
        self.places[id as usize]
    }

    /// For every sample the place where the group of a near pivot starts, by bytes alone.
    pub(super) fn likely_places(&self, samples: &Samples<'_>) -> Vec<u32> {
        let bytes = &samples.bytes;
        let pivots = bytes
            .scale
            .centroids(&self.pivots, (0..self.starts.len() as u32).collect());
        let mut places = vec![0; samples.count()];
        places
            .par_chunks_mut(BLOCK)
            .enumerate()
            .for_each(|(block, places)| {
                let rows = bytes.rows(block * BLOCK, places.len());
                let mut highest = vec![i16::MIN; places.len()];
                scan_bytes(
                    rows,
                    &pivots.panels,
                    Tour::of_all_from(0),
                    &mut highest,
                    |row, pivot, score, _| {
                        places[row] = self.starts[pivot];
                        score
                    },
                );
            });
        places
    }
}

/// For each of `centroids` the nearest of `pivots`.
fn nearest_pivots(centroids: &[f32], pivots: &[f32], dim: usize) -> Vec<u32> {
    let nearest = |row: &[f32]| {
        let mut best = (0, f32::INFINITY);
        for (pivot, place) in pivots.chunks_exact(dim).zip(0..) {
            let square = squared_distance(row, pivot);
            if square < best.1 {
                best = (place, square);
            }
        }
        best.0
    };
    centroids.par_chunks(dim).map(nearest).collect()
}
