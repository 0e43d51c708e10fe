//! Prototypes: centroids of an episode's features, their translation between spaces, and the
//! snapshots that the studio shows.

mod back_translation;
pub(crate) mod byte_distances;
mod external_teacher;
mod features;
pub(crate) mod group_means;
mod hierarchy;
mod kmeans;
mod lineage;
mod snapshot;
mod soft_target;
mod student_choice;
mod words;

pub use back_translation::{BackTranslated, BackTranslationError, back_translate};
pub use external_teacher::ExternalTeacher;
pub use features::{FeaturePair, FeatureSnapshot};
pub use hierarchy::{Hierarchy, HierarchyError, MOST_EXACT, super_groups};
pub use kmeans::{KMeansConfig, KMeansError, KMeansProgress, KMeansResult, kmeans};
pub use lineage::{CONTINUES, Fate, Grouping, Lineage, LineageLink, Origin, SUBSTANTIAL};
pub use snapshot::{PrototypeSnapshot, Space, SpaceClusters};
pub use soft_target::SoftTarget;
pub use student_choice::{StudentChoice, StudentScores, student_choices};
pub use words::{CaptionStatistics, prototype_words};
