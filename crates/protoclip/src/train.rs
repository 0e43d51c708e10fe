//! Training: [`run`] executes episodes on the calling thread, reports [`TrainEvent`]s upward and
//! obeys a [`Control`] that any thread may hold.

mod checkpoint;
mod checkpoint_files;
mod checkpoint_place;
mod control;
mod episode;
mod evaluation;
mod event;
mod export;
mod extract;
mod feature_files;
#[cfg(test)]
mod lifecycle_tests;
mod memory_need;
mod meter;
mod optimizer;
mod passes;
pub(crate) mod replay;
mod schedule;
mod session;
mod steer;
mod step;
mod step_bench;
mod tensors;
mod trainer;
mod upcoming;
mod writing;

pub use checkpoint::{
    BrokenCheckpoint, CheckpointFile, CheckpointHeader, CheckpointInfo, MANIFEST, PINNED,
    latest_checkpoint, list_checkpoints, prune_checkpoints, verify_checkpoint, write_checkpoint,
};
pub use checkpoint_files::{check_file, listed_files, set_pinned};
pub use checkpoint_place::{CheckpointPlace, checkpoint_place};
pub use control::{
    AppliesAt, Command, Control, ControlChange, ControlValues, Position, StopReason,
};
pub use episode::{EpisodePrototypes, TranslatedPrototypes, snapshot_file, snapshot_steps};
pub use event::{BeforeChange, LogLevel, Observer, ObserverError, Phase, Tag, TrainEvent, tag};
pub use export::{ExportError, ExportOptions, Exported, export_checkpoint, export_watched};
pub use extract::{EpisodeFeatures, Matrix, extract_features};
pub use feature_files::{feature_file, feature_steps};
pub use memory_need::MemoryNeed;
pub use meter::ThroughputMeter;
pub use optimizer::{RunOptimizer, clip_gradients};
pub(crate) use schedule::LearningRateWindow;
pub use schedule::{LearningRateSchedule, LearningRates};
pub use steer::BEFORE_CHANGE;
pub use step_bench::StepBench;
pub use trainer::{Outcome, TrainError, TrainJob, run};
pub use upcoming::training_order;
