//! Measures of features and clusters, as plain numbers.
//!
//! Called by the trainer's evaluation and by the studio's analyses, on the caller's thread and the
//! current rayon pool. Takes rows, never a model or a batch, and changes nothing.

mod agreement;
mod cluster_quality;
pub(crate) mod error;
mod modality_gap;
mod pca;
mod tsne;

pub use agreement::{adjusted_mutual_information, adjusted_rand_index};
pub use cluster_quality::{LabelledFeatures, SILHOUETTE_LIMIT};
pub use error::AnalysisError;
pub use modality_gap::{average_self_similarity, mean_feature_std, modality_gap};
pub use pca::Pca;
pub use tsne::{
    MapSnapshot, TsneConfig, TsneError, TsneMap, TsneObserver, TsnePhase, TsneProgress, tsne,
};
