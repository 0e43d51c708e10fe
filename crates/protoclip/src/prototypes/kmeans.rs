//! Euclidean k-means of an episode's features.
//!
//! Called by the trainer between extraction and back translation, and by grouping. Runs on the
//! current rayon pool and calls back only on the calling thread. The result depends on features,
//! settings and seed, never on the number of threads. Memory beside the features is a byte per value
//! and O(n + k·d): distances of all pairs are never held.
//!
//! It is quick because few distances are computed: byte products with certain error bounds tell which
//! centroids can be nearest ([`byte_distances`](super::byte_distances), [`search`]), every sample remembers those near it, and after an
//! update only centroids that moved farther than a sample's lead are compared again ([`movement`]).
//! The centroid taken is always the one with the smallest f32 distance.
//!
//! Semantics are those of faiss' `Clustering`: the first centroids are the leading rows of a seeded
//! permutation; every sample counts (no subsampling); an iteration assigns, records the objective and
//! moves each centroid to the mean of its samples; a centroid without samples splits a large one;
//! a restart ends early when the objective no longer changes; the restart with the lowest last
//! objective wins; centroids are not re-normalised. Intended differences: sums are f64, distances are
//! those of differences (no cancellation), and ties go to the lowest index.

mod assign;
mod iteration;
mod lloyd;
mod movement;
mod near;
mod order;
mod pass;
mod products;
mod search;
mod split;
#[cfg(test)]
mod tests;

use assign::Samples;
use lloyd::Lloyd;

use super::SpaceClusters;

/// Settings of [`kmeans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KMeansConfig {
    /// K, the number of centroids.
    pub count: usize,
    /// Most iterations of one restart.
    pub iterations: usize,
    /// Independent starts; the lowest last objective wins.
    pub restarts: usize,
    /// Seed of the permutations and splits.
    pub seed: u64,
}

/// Centroids and what they were found with.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansResult {
    /// Feature dimension d.
    pub dim: usize,
    /// `[k, d]`, row-major, not normalised.
    pub centroids: Vec<f32>,
    /// `[n]`: nearest centroid of each sample, the lowest index at a tie.
    pub assignments: Vec<u32>,
    /// `[n]`: Euclidean distance of each sample to its centroid.
    pub distances: Vec<f32>,
    /// Sum of the squared distances.
    pub inertia: f64,
    /// Objective of the winning restart before each update of its centroids.
    pub trace: Vec<f64>,
}

/// Why there is no clustering.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KMeansError {
    #[error(
        "{samples} samples cannot form {count} prototypes; lower prototypes.count to {samples} or less, or raise episode_size"
    )]
    TooFewSamples { samples: usize, count: usize },
    #[error("k-means {setting} must be at least 1, got 0")]
    Zero { setting: &'static str },
    #[error("{name} hold {found} values, which is no multiple of dimension {dim}")]
    Shape {
        name: &'static str,
        found: usize,
        dim: usize,
    },
    #[error("{found} initial centroids were given for {count} prototypes")]
    InitialCount { found: usize, count: usize },
    #[error("{name}, row {row}: NaN or infinite; k-means needs finite numbers")]
    NotFinite { name: &'static str, row: usize },
    #[error("k-means was cancelled")]
    Cancelled,
}

/// Progress in sample assignments, `(done, total)`; return `false` to cancel.
pub type KMeansProgress<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Clusters `features` `[n, dim]`, row-major.
///
/// `initial` `[k, dim]` replaces the drawn centroids; one start is then made, as all would be equal.
/// With k = n the centroids are copies of the samples. `progress` is called on this thread every few
/// hundredths of a second.
///
/// # Errors
/// When k exceeds n, a setting is zero, a shape does not fit, a value is not finite, or `progress`
/// cancelled.
pub fn kmeans(
    features: &[f32],
    dim: usize,
    config: &KMeansConfig,
    initial: Option<&[f32]>,
    progress: KMeansProgress<'_>,
) -> Result<KMeansResult, KMeansError> {
    check_settings(dim, config)?;
    check_rows("features", features, dim)?;
    let samples = Samples::new(features, dim);
    if config.count > samples.count() {
        return Err(KMeansError::TooFewSamples {
            samples: samples.count(),
            count: config.count,
        });
    }
    if let Some(initial) = initial {
        check_rows("initial centroids", initial, dim)?;
        let found = initial.len() / dim;
        if found != config.count {
            return Err(KMeansError::InitialCount {
                found,
                count: config.count,
            });
        }
    }
    Lloyd::new(&samples, config, progress).run(initial)
}

impl KMeansResult {
    /// Number of centroids.
    pub fn count(&self) -> usize {
        self.centroids.len() / self.dim
    }
}

impl From<KMeansResult> for SpaceClusters {
    fn from(result: KMeansResult) -> Self {
        Self {
            count: result.count(),
            dim: result.dim,
            centroids: result.centroids,
            assignments: result.assignments,
            distances: result.distances,
        }
    }
}

fn check_settings(dim: usize, config: &KMeansConfig) -> Result<(), KMeansError> {
    for (setting, value) in [
        ("dimension", dim),
        ("count", config.count),
        ("iterations", config.iterations),
        ("restarts", config.restarts),
    ] {
        if value == 0 {
            return Err(KMeansError::Zero { setting });
        }
    }
    Ok(())
}

fn check_rows(name: &'static str, rows: &[f32], dim: usize) -> Result<(), KMeansError> {
    if !rows.len().is_multiple_of(dim) {
        return Err(KMeansError::Shape {
            name,
            found: rows.len(),
            dim,
        });
    }
    match rows.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(KMeansError::NotFinite {
            name,
            row: at / dim,
        }),
        None => Ok(()),
    }
}
