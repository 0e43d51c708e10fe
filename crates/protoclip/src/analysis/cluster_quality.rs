//! How compact and separate clusters are, from features and labels alone.
//!
//! The three indices follow scikit-learn's definitions; distances are Euclidean.

mod silhouette;

use rayon::prelude::*;

pub use silhouette::SILHOUETTE_LIMIT;

use super::AnalysisError;
use super::error::{checked_aligned, checked_rows};
use super::modality_gap::column_means;
use crate::kernels::distance::squared_distance;
use crate::prototypes::group_means::{GroupMeans, group_means};

/// Features `[n, dim]` with a cluster label each, checked: finite, aligned, at least two clusters
/// and fewer clusters than samples.
#[derive(Debug)]
pub struct LabelledFeatures<'a> {
    features: &'a [f32],
    dim: usize,
    /// `[n]`, renumbered to 0..clusters without gaps.
    labels: Vec<u32>,
    clusters: usize,
}

impl<'a> LabelledFeatures<'a> {
    /// Joins `features` `[n, dim]` and `labels` `[n]`; a label value that no sample has is no cluster.
    ///
    /// # Errors
    /// When shapes do not fit, a number is not finite, or there are fewer than two clusters or as
    /// many as samples.
    pub fn new(features: &'a [f32], dim: usize, labels: &[u32]) -> Result<Self, AnalysisError> {
        let samples = checked_rows("feature", features, dim)?;
        checked_aligned(("features", samples), ("labels", labels.len()))?;
        let mut present = labels.to_vec();
        present.sort_unstable();
        present.dedup();
        let clusters = present.len();
        if clusters < 2 || clusters >= samples {
            return Err(AnalysisError::Clusters { clusters, samples });
        }
        let number = |label: &u32| present.partition_point(|p| p < label) as u32;
        Ok(Self {
            features,
            dim,
            labels: labels.iter().map(number).collect(),
            clusters,
        })
    }

    /// Number of clusters that have a sample.
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// Mean silhouette coefficient in [−1, 1], higher is better (Rousseeuw 1987). Above
    /// [`SILHOUETTE_LIMIT`] samples, a sample of that many is drawn with `seed` and measured among
    /// itself.
    ///
    /// # Errors
    /// When a drawn sample happens to hold fewer than two clusters, or only clusters of one.
    pub fn silhouette(&self, seed: u64) -> Result<f64, AnalysisError> {
        silhouette::silhouette(self, seed)
    }

    /// Davies–Bouldin index (1979), lower is better: mean over clusters of the worst
    /// (spread + other's spread) / distance of centroids. Takes O(clusters² · dim) time.
    pub fn davies_bouldin(&self) -> f64 {
        let GroupMeans { means, counts } = self.means();
        let mut spreads = vec![0.0f64; self.clusters];
        for (row, label) in self.rows() {
            let centroid = &means[label * self.dim..][..self.dim];
            spreads[label] += f64::from(squared_distance(row, centroid)).sqrt();
        }
        for (spread, &count) in spreads.iter_mut().zip(&counts) {
            *spread /= f64::from(count);
        }
        let worst: Vec<f64> = means
            .par_chunks_exact(self.dim)
            .enumerate()
            .map(|(a, centroid)| {
                let ratio = |(b, other)| {
                    let distance = f64::from(squared_distance(centroid, other)).sqrt();
                    // Coinciding centroids are skipped, as in scikit-learn; a == b is one of them.
                    let overlap: f64 = spreads[a] + spreads[b];
                    if distance > 0.0 {
                        overlap / distance
                    } else {
                        0.0
                    }
                };
                means
                    .chunks_exact(self.dim)
                    .enumerate()
                    .map(ratio)
                    .fold(0.0, f64::max)
            })
            .collect();
        worst.iter().sum::<f64>() / self.clusters as f64
    }

    /// Calinski–Harabasz index (1974), higher is better: variance between over variance within
    /// clusters, each per degree of freedom; 1 when no cluster has any spread.
    pub fn calinski_harabasz(&self) -> f64 {
        let GroupMeans { means, counts } = self.means();
        let centre: Vec<f32> = column_means(self.features, self.dim)
            .into_iter()
            .map(|v| v as f32)
            .collect();
        let within: f64 = self
            .rows()
            .map(|(row, label)| {
                f64::from(squared_distance(
                    row,
                    &means[label * self.dim..][..self.dim],
                ))
            })
            .sum();
        if within == 0.0 {
            return 1.0;
        }
        let between: f64 = means
            .chunks_exact(self.dim)
            .zip(&counts)
            .map(|(centroid, &count)| {
                f64::from(count) * f64::from(squared_distance(centroid, &centre))
            })
            .sum();
        let samples = self.labels.len();
        between * (samples - self.clusters) as f64 / (within * (self.clusters - 1) as f64)
    }

    fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.features
            .chunks_exact(self.dim)
            .zip(self.labels.iter().map(|&label| label as usize))
    }

    fn means(&self) -> GroupMeans {
        group_means(self.features, self.dim, &self.labels, self.clusters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_between_label_values_do_not_matter() {
        let features = [0.0, 0.1, 5.0, 5.2, 9.0];
        let measure = |labels: &[u32]| {
            let labelled = LabelledFeatures::new(&features, 1, labels).expect("labelled");
            (
                labelled.clusters(),
                labelled.davies_bouldin(),
                labelled.calinski_harabasz(),
            )
        };
        assert_eq!(measure(&[0, 0, 1, 1, 1]), measure(&[70, 70, 9, 9, 9]));
    }

    #[test]
    fn coinciding_samples_and_centroids_give_finite_indices() {
        let features = [1.0f32; 6];
        let labelled = LabelledFeatures::new(&features, 1, &[0, 0, 1, 1, 2, 2]).expect("labelled");
        assert_eq!(labelled.davies_bouldin(), 0.0);
        assert_eq!(labelled.calinski_harabasz(), 1.0);
        assert_eq!(labelled.silhouette(0), Ok(0.0));
    }

    #[test]
    fn undefined_cases_say_what_is_needed() {
        let error = |labels: &[u32]| {
            LabelledFeatures::new(&[0.0, 1.0, 2.0], 1, labels).expect_err("undefined")
        };
        assert_eq!(
            error(&[4, 4, 4]),
            AnalysisError::Clusters {
                clusters: 1,
                samples: 3
            }
        );
        assert_eq!(
            error(&[0, 1, 2]),
            AnalysisError::Clusters {
                clusters: 3,
                samples: 3
            }
        );
        assert!(matches!(error(&[0, 1]), AnalysisError::Length { .. }));
    }
}
