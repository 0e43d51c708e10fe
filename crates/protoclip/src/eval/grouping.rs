//! Do clusters of image features follow the labels? The paper's grouping evaluation.

use serde::{Deserialize, Serialize};

use super::EvalProgress;
use crate::analysis::error::{checked_aligned, checked_rows};
use crate::analysis::{AnalysisError, adjusted_mutual_information, adjusted_rand_index};
use crate::prototypes::{KMeansConfig, KMeansError, kmeans};

/// k-means settings of the evaluation; the same as those of an episode in the paper.
const ITERATIONS: usize = 20;
const RESTARTS: usize = 3;

/// Agreement of clusters with labels, each × 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupingScores {
    /// Adjusted Rand index × 100.
    pub ari: f64,
    /// Adjusted mutual information × 100.
    pub ami: f64,
    /// Number of classes, and of clusters.
    pub classes: usize,
}

/// Why there is no grouping score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupingError {
    #[error(transparent)]
    Cluster(#[from] KMeansError),
    #[error(transparent)]
    Compare(#[from] AnalysisError),
}

/// Clusters normalised `image_features` `[n, dim]` into as many groups as `labels` `[n]` has classes
/// and compares the two.
///
/// # Errors
/// When features and labels are not aligned, there is no sample, a feature is not finite, or
/// `progress` cancelled ([`KMeansError::Cancelled`]).
pub fn grouping(
    image_features: &[f32],
    dim: usize,
    labels: &[u32],
    seed: u64,
    progress: EvalProgress<'_>,
) -> Result<GroupingScores, GroupingError> {
    let samples = checked_rows("image feature", image_features, dim)?;
    checked_aligned(("image_features", samples), ("labels", labels.len()))?;
    let classes = distinct(labels);
    let config = KMeansConfig {
        count: classes,
        iterations: ITERATIONS,
        restarts: RESTARTS,
        seed,
    };
    let clusters = kmeans(image_features, dim, &config, None, progress)?;
    Ok(GroupingScores {
        ari: 100.0 * adjusted_rand_index(&clusters.assignments, labels)?,
        ami: 100.0 * adjusted_mutual_information(&clusters.assignments, labels)?,
        classes,
    })
}

fn distinct(labels: &[u32]) -> usize {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels.dedup();
    labels.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three groups on the circle, 40 samples each.
    fn circle() -> (Vec<f32>, Vec<u32>) {
        let labels: Vec<u32> = (0..120).map(|i| i % 3).collect();
        let features = (0..120)
            .flat_map(|i| {
                let angle = (i % 3) as f32 * 2.0 + (i / 3) as f32 * 0.01;
                [angle.cos(), angle.sin()]
            })
            .collect();
        (features, labels)
    }

    #[test]
    fn separate_classes_score_a_hundred_and_shuffled_labels_nothing() {
        let (features, labels) = circle();
        let scores = grouping(&features, 2, &labels, 0, &|_, _| true).expect("scored");
        assert_eq!((scores.ari, scores.ami, scores.classes), (100.0, 100.0, 3));
        let shuffled: Vec<u32> = (0..120u32)
            .map(|i| i.wrapping_mul(2_654_435_761) >> 20 & 1)
            .collect();
        let scores = grouping(&features, 2, &shuffled, 0, &|_, _| true).expect("scored");
        assert!(
            scores.ari.abs() < 6.0 && scores.ami.abs() < 6.0,
            "{scores:?}"
        );
        assert_eq!(scores.classes, 2);
    }

    #[test]
    fn misaligned_empty_and_cancelled_are_errors() {
        let (features, labels) = circle();
        let run = |features: &[f32], labels: &[u32], go: bool| {
            grouping(features, 2, labels, 0, &|_, _| go).expect_err("refused")
        };
        assert!(matches!(
            run(&features, &labels[1..], true),
            GroupingError::Compare(_)
        ));
        assert_eq!(run(&[], &[], true), AnalysisError::Empty.into());
        assert_eq!(
            run(&features, &labels, false),
            KMeansError::Cancelled.into()
        );
    }
}
