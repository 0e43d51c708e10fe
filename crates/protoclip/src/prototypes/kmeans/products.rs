//! Search of a block of samples among all centroids by products in f32, where bytes tell too little.
//!
//! Features that lie close together, such as those of an untrained tower, differ by less than what is lost by
//! rounding them to bytes, and most centroids could be nearest. A product in f32 costs three times one
//! of bytes and leaves a handful.

use super::near::Near;
use crate::kernels::distance::{LANES, Panels, Queries, for_each_tile};
use crate::prototypes::byte_distances::distance;

/// Largest squared norm of rows and centroids whose products say something.
const LARGEST_SQUARE: f64 = 1e30;

/// All centroids, ready to be multiplied, in the order of `ids`.
#[derive(Debug)]
pub(super) struct Products {
    panels: Panels,
    ids: Vec<u32>,
    origin: Vec<f32>,
    /// Twice what may be lost of a product, in squared norms of its sides.
    ///
    /// With unit roundoff u, a sum of `dim` products that starts with −½‖c‖² is off by at most
    /// (dim + 4)·u·(‖x‖·‖c‖ + ½‖c‖²), also counting the roundings of x, c and the bias, and
    /// ‖x‖·‖c‖ ≤ ½(‖x‖² + ‖c‖²).
    slack: f64,
}

/// What is known about one sample after all centroids passed by.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) near: Vec<Near>,
    /// A distance that all other centroids are certain not to be below.
    pub(super) floor: f32,
}

/// The centroids of one sample with the largest products so far.
struct Largest {
    square: f64,
    /// How many are kept in the end.
    most: usize,
    /// Product and place.
    kept: Vec<(f32, u32)>,
    /// No product that was not kept is above.
    threshold: f32,
}

impl Products {
    /// `row` gives the centroid `[dim]` of a number.
    pub(super) fn new<'r>(ids: &[u32], origin: &[f32], row: impl Fn(u32) -> &'r [f32]) -> Self {
        let dim = origin.len();
        let slack = 2.0 * (dim + 16) as f64 * f64::from(f32::EPSILON) / 2.0;
        let rows: Vec<f32> = ids.iter().flat_map(|&id| row(id)).copied().collect();
        let bias = |_: usize, row: &[f32]| match square(row, origin) {
            square if square <= LARGEST_SQUARE => ((1.5 * slack - 0.5) * square) as f32,
            // Always looked at.
            _ => f32::INFINITY,
        };
        Self {
            panels: Panels::with_bias(&rows, dim, origin, bias),
            ids: ids.to_vec(),
            origin: origin.to_vec(),
            slack,
        }
    }

    /// Whether a row's products say something.
    pub(super) fn are_of_use(&self, row: &[f32]) -> bool {
        square(row, &self.origin) <= LARGEST_SQUARE
    }

    /// The centroids that can be within `reach` of each of `rows` `[n, dim]`, which are of use; of more
    /// than `most` those that are likely the nearest.
    pub(super) fn find(&self, rows: &[f32], reach: &[f32], most: usize) -> Vec<Found> {
        let dim = self.origin.len();
        let queries = Queries::pack(rows, dim, &self.origin);
        let mut all: Vec<Largest> = rows
            .chunks_exact(dim)
            .zip(reach)
            .map(|(row, &reach)| self.largest(row, reach, most))
            .collect();
        for_each_tile(&queries, &self.panels, |row, first, products| {
            let largest = &mut all[row];
            if any_above(products, largest.threshold) {
                largest.take(first, products);
            }
        });
        all.into_iter().map(|largest| self.found(largest)).collect()
    }

    fn largest(&self, row: &[f32], reach: f32, most: usize) -> Largest {
        let square = square(row, &self.origin);
        let least = 0.5 * (square * (1.0 - self.slack) - f64::from(reach).powi(2));
        // Rounding must not lift it.
        let threshold = least as f32 - (least.abs() as f32) * f32::EPSILON;
        Largest {
            square,
            most,
            kept: Vec::new(),
            threshold: if reach.is_finite() {
                threshold
            } else {
                f32::NEG_INFINITY
            },
        }
    }

    fn found(&self, mut largest: Largest) -> Found {
        largest.shorten();
        let least = |product: f32| {
            let square = largest.square * (1.0 - self.slack) - 2.0 * f64::from(product);
            square.max(0.0).sqrt() as f32 * (1.0 - f32::EPSILON)
        };
        let near = |&(product, place): &(f32, u32)| Near {
            id: self.ids[place as usize],
            least: least(product),
        };
        Found {
            near: largest.kept.iter().map(near).collect(),
            floor: match largest.threshold {
                f32::NEG_INFINITY => f32::INFINITY,
                threshold => least(threshold),
            },
        }
    }
}

impl Largest {
    fn take(&mut self, first: usize, products: &[f32; LANES]) {
        for (lane, &product) in products.iter().enumerate() {
            if product > self.threshold {
                self.kept.push((product, (first + lane) as u32));
                if self.kept.len() / 2 >= self.most {
                    self.shorten();
                }
            }
        }
    }

    fn shorten(&mut self) {
        if self.kept.len() > self.most {
            let falling = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0);
            let (_, next, _) = self.kept.select_nth_unstable_by(self.most, falling);
            self.threshold = self.threshold.max(next.0);
            self.kept.truncate(self.most);
        }
    }
}

#[inline(always)]
fn any_above(products: &[f32; LANES], threshold: f32) -> bool {
    products
        .iter()
        .fold(false, |any, &product| any | (product > threshold))
}

/// ‖row − origin‖².
fn square(row: &[f32], origin: &[f32]) -> f64 {
    distance(row, origin).powi(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No centroid is nearer than is said of it, listed or not, and all within reach are listed
        /// where as many as there are may be.
        #[test]
        fn nothing_is_nearer_than_is_said(
            dim in 1_usize..20,
            count in 1_usize..60,
            values in prop::collection::vec(-1.0_f32..1.0, 20 * 65),
            offset in prop_oneof![Just(0.0_f32), Just(40.0)],
            reach in prop_oneof![0.0_f32..3.0, Just(f32::INFINITY)],
            most in prop_oneof![Just(2_usize), Just(16), Just(usize::MAX)],
        ) {
            let values: Vec<f32> = values.iter().map(|value| value + offset).collect();
            let (origin, rest) = values.split_at(dim);
            let (rows, rest) = rest.split_at(4 * dim);
            let centroid = |id: u32| &rest[id as usize * dim..][..dim];
            let ids: Vec<u32> = (0..count as u32).rev().collect();
            let products = Products::new(&ids, origin, centroid);
            let found = products.find(rows, &[reach; 4], most);
            for (row, found) in rows.chunks_exact(dim).zip(found) {
                prop_assert!(products.are_of_use(row) && found.near.len() <= most);
                for &id in &ids {
                    let far = distance(row, centroid(id)) as f32 * (1.0 + 1e-6);
                    match found.near.iter().find(|near| near.id == id) {
                        Some(near) => prop_assert!(near.least <= far, "{} of {far}", near.least),
                        None => {
                            prop_assert!(found.floor <= far, "{} of {far}", found.floor);
                            prop_assert!(most < count || far >= reach, "{far} is within {reach}");
                        }
                    }
                }
                if most >= count && reach.is_infinite() {
                    prop_assert_eq!((found.near.len(), found.floor), (count, f32::INFINITY));
                }
            }
        }
    }
}
