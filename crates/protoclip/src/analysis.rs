//! Measures of features and clusters, as plain numbers.
//!
//! Called by the trainer's evaluation and by the studio's analyses, on the caller's thread and the
//! current rayon pool. Takes rows, never a model or a batch, and changes nothing.

mod agreement;
mod batch_pairs;
mod cluster_quality;
pub(crate) mod error;
mod gap_shift;
mod map_file;
mod modality_gap;
mod pair_cosines;
mod pca;
mod plane;
mod prototype_gap;
mod student_grouping;
mod tsne;

pub use agreement::{adjusted_mutual_information, adjusted_rand_index};
pub use batch_pairs::{BatchPairs, SamePrototype, same_prototype_percent};
pub use cluster_quality::{LabelledFeatures, SILHOUETTE_LIMIT};
pub use error::AnalysisError;
pub use gap_shift::GapShift;
pub use map_file::MapFile;
pub use modality_gap::{average_self_similarity, mean_feature_std, modality_gap};
pub use pair_cosines::{COSINE_BINS, CosineHistogram, PairCosines, UNMATCHED_LIMIT, pair_cosines};
pub use pca::Pca;
pub use plane::{
    EarlierMap, MOST_DIFFUSED, MapMethod, MapQuality, PlaneError, PlaneMap, PlaneObserver,
    PlaneProgress, aligned_to, carried_start, map_to_plane,
};
pub use prototype_gap::{PrototypeGap, prototype_gaps};
pub use student_grouping::{Student, StudentGrouping, TeacherTarget, student_grouping};
pub use tsne::{
    MapSnapshot, TsneConfig, TsneError, TsneMap, TsneObserver, TsnePhase, TsneProgress, tsne,
};
