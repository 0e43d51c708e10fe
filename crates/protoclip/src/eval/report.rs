//! What an evaluation found, as plain data: printed as a table, stored as JSON.

use serde::{Deserialize, Serialize};

use super::{GroupingScores, ProbeScores, RetrievalScores, ZeroShotScores};

/// Everything that was measured of one model on one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    pub data: EvaluatedData,
    pub model: EvaluatedModel,
    /// Seed of splits, k-means and samples.
    pub seed: u64,
    /// Sentences per class of the zero-shot classification.
    pub templates: usize,
    pub seconds_extract: f64,
    pub spaces: Part<SpaceScores>,
    pub retrieval: Part<RetrievalReport>,
    /// One entry per label column; empty when there is none.
    pub columns: Vec<ColumnReport>,
    /// Why `columns` is empty.
    pub no_columns: Option<String>,
}

/// The pairs that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedData {
    pub name: String,
    /// Identifies file, columns and usable rows.
    pub fingerprint: String,
    /// Usable pairs of the whole data set.
    pub pairs: usize,
    /// Rows that could not be used, found when the data set was opened.
    pub skipped_rows: u64,
    /// Pictures that could not be decoded; left out with their captions.
    pub broken_pictures: usize,
    /// The rule that chose the measured pairs, such as `sha1:10`; absent when all were.
    pub holdout: Option<String>,
    /// Pictures on which everything but grouping, separation and the probe's training was measured.
    pub measured_pictures: usize,
    /// Their captions.
    pub measured_captions: usize,
    /// Pictures of the whole data set that have features; grouping and separation use them all.
    pub pictures: usize,
}

/// The model that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedModel {
    /// Dimension of the features.
    pub embed_dim: usize,
    /// Side of the square input, in pixels.
    pub image_size: usize,
    /// Trained numbers.
    pub parameters: usize,
}

/// A measure, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Part<T> {
    Measured { seconds: f64, value: T },
    Absent { reason: String },
}

/// Position and spread of the two spaces; cosines and distances of L2-normalised features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpaceScores {
    /// ‖mean image feature − mean text feature‖.
    pub modality_gap: f64,
    /// Mean positive cosine between image features, each with itself included.
    pub self_similarity_image: f64,
    pub self_similarity_text: f64,
    /// Rows that the self-similarities were measured on: a drawn sample of a large set.
    pub self_similarity_rows: usize,
    /// Mean standard deviation over the dimensions.
    pub feature_std_image: f64,
    pub feature_std_text: f64,
}

/// Retrieval among the measured pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetrievalReport {
    pub scores: RetrievalScores,
    /// Mean of the six recalls.
    pub mean_recall: f64,
    /// Pictures and captions ranked: recall depends on how many there are.
    pub pictures: usize,
    pub captions: usize,
    /// Whether they are a drawn sample of a larger set.
    pub sampled: bool,
}

/// Everything that needs the labels of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnReport {
    pub column: String,
    /// Labels of the column in the order of the numbers in `confusion`.
    pub classes: Vec<String>,
    /// What the classes were called in the prompts.
    pub class_names: Vec<String>,
    /// Pictures of the whole data set that have a label in this column.
    pub labelled_pictures: usize,
    pub zero_shot: Part<ZeroShotScores>,
    /// k-means on the image features of all labelled pictures, as many clusters as classes.
    pub grouping: Part<GroupingScores>,
    pub separation: Part<SeparationScores>,
    pub linear_probe: Part<ProbeScores>,
}

/// How compact and separate the classes are in the image space, all labelled pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeparationScores {
    /// Mean silhouette coefficient in [−1, 1], higher is better.
    pub silhouette: f64,
    /// Pictures that the silhouette was measured on: a drawn sample of a large set.
    pub silhouette_pictures: usize,
    /// Davies–Bouldin index, lower is better.
    pub davies_bouldin: f64,
    /// Calinski–Harabasz index, higher is better.
    pub calinski_harabasz: f64,
}

impl<T> Part<T> {
    /// The value, if it was measured.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Measured { value, .. } => Some(value),
            Self::Absent { .. } => None,
        }
    }

    /// Why there is none.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Measured { .. } => None,
            Self::Absent { reason } => Some(reason),
        }
    }

    pub(super) fn absent(reason: impl Into<String>) -> Self {
        Self::Absent {
            reason: reason.into(),
        }
    }
}
