//! An order of centroids in which similar ones lie side by side.
//!
//! A panel of similar centroids is given up early for most samples, one of any centroids for few, and
//! a search that starts where a sample's own centroid lies knows early what it may give up. The
//! order is a matter of speed only.

use rayon::prelude::*;

use super::assign::Samples;
use crate::kernels::byte_scan::scan_bytes;
use crate::kernels::distance::squared_distance;

/// Samples that are compared with the pivots together.
const BLOCK: usize = 96;

/// Centroids sorted by the nearest of about √k pivots among them.
#[derive(Debug)]
pub(super) struct Order {
    /// Their numbers.
    pub(super) ids: Vec<u32>,
    /// Where each centroid stands in `ids`.
    places: Vec<u32>,
    pivots: Vec<u32>,
}

impl Order {
    /// Sorts `centroids` `[k, dim]`.
    pub(super) fn new(centroids: &[f32], dim: usize) -> Self {
        let count = centroids.len() / dim;
        let pivots: Vec<u32> = (0..count as u32).step_by(count.isqrt().max(1)).collect();
        let row = |id: u32| &centroids[id as usize * dim..][..dim];
        let mut sorted: Vec<(u32, u32)> = (0..count as u32)
            .into_par_iter()
            .map(|id| {
                let square = |&pivot: &u32| squared_distance(row(id), row(pivot));
                let nearest = pivots.iter().copied();
                let nearest = nearest.min_by(|a, b| square(a).total_cmp(&square(b)));
                (nearest.unwrap_or(0), id)
            })
            .collect();
        sorted.sort_unstable();
        let ids: Vec<u32> = sorted.into_iter().map(|(_, id)| id).collect();
        let mut places = vec![0; count];
        for (place, &id) in ids.iter().enumerate() {
            places[id as usize] = place as u32;
        }
        Self {
            ids,
            places,
            pivots,
        }
    }

    /// Where a centroid stands.
    pub(super) fn place(&self, id: u32) -> u32 {
        self.places[id as usize]
    }

    /// For every sample the place of a pivot that is near, by bytes alone.
    pub(super) fn likely_places(&self, samples: &Samples<'_>, centroids: &[f32]) -> Vec<u32> {
        let bytes = &samples.bytes;
        let pivots = bytes.scale.centroids(centroids, self.pivots.clone());
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
                    0,
                    &mut highest,
                    |row, pivot, score, _| {
                        places[row] = self.place(pivots.ids[pivot]);
                        score
                    },
                );
            });
        places
    }
}
