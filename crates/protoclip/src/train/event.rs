//! What a training run tells the outside world. Plain data, importable from any layer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::ControlValues;

/// Name of a curve, such as `train/loss_clip`; the known ones are in [`tag`].
pub type Tag = Cow<'static, str>;

/// The curves that a run writes.
pub mod tag {
    pub const LOSS_TOTAL: &str = "train/loss_total";
    pub const LOSS_CLIP: &str = "train/loss_clip";
    pub const LOSS_PROTO: &str = "train/loss_proto";
    pub const LOSS_EXTERNAL: &str = "train/loss_external";
    /// Percent of the batch whose best-scoring prototype is its own.
    pub const PROTO_ACCURACY_IMAGE: &str = "train/proto_accuracy_image";
    pub const PROTO_ACCURACY_TEXT: &str = "train/proto_accuracy_text";
    /// Mean entropy of the soft targets, in nats.
    pub const TARGET_ENTROPY: &str = "train/target_entropy";
    pub const TEMPERATURE: &str = "train/temperature";
    pub const TEMPERATURE_PROTO: &str = "train/temperature_proto";
    pub const LR_IMAGE: &str = "train/lr_image";
    pub const LR_REST: &str = "train/lr_rest";
    /// Global norm before clipping.
    pub const GRAD_NORM: &str = "train/grad_norm";
    pub const MODALITY_GAP: &str = "train/modality_gap";
    pub const FEATURE_STD_IMAGE: &str = "train/feature_std_image";
    pub const FEATURE_STD_TEXT: &str = "train/feature_std_text";
    /// Percent of the unmatched pairs of the batch whose image and text belong to one prototype of
    /// the image space, and of the text space.
    pub const SAME_PROTOTYPE_PAIRS_IMAGE: &str = "train/same_prototype_pairs_image";
    pub const SAME_PROTOTYPE_PAIRS_TEXT: &str = "train/same_prototype_pairs_text";
    /// Percent of InfoNCE's pushes, its gradient by the logits of unmatched pairs, on these pairs.
    pub const SAME_PROTOTYPE_REPULSION_IMAGE: &str = "train/same_prototype_repulsion_image";
    pub const SAME_PROTOTYPE_REPULSION_TEXT: &str = "train/same_prototype_repulsion_text";
    pub const SAMPLES_PER_SECOND: &str = "train/samples_per_second";
    /// Percent of the last seconds in which the training thread waited for a batch.
    pub const DATA_WAIT_PERCENT: &str = "train/data_wait_percent";
    pub const KMEANS_INERTIA_IMAGE: &str = "episode/kmeans_inertia_image";
    pub const KMEANS_INERTIA_TEXT: &str = "episode/kmeans_inertia_text";
    pub const EMPTY_IMAGE: &str = "episode/empty_image";
    pub const EMPTY_TEXT: &str = "episode/empty_text";
    pub const SECONDS_EXTRACT: &str = "episode/seconds_extract";
    pub const SECONDS_CLUSTER: &str = "episode/seconds_cluster";
    pub const SECONDS_TRANSLATE: &str = "episode/seconds_translate";
    pub const SECONDS_TRAIN: &str = "episode/seconds_train";
    /// Percent of the extraction that was spent waiting for batches.
    pub const DATA_WAIT_PERCENT_EXTRACT: &str = "episode/data_wait_percent_extract";
    /// The same of the training pass.
    pub const DATA_WAIT_PERCENT_TRAIN: &str = "episode/data_wait_percent_train";
    pub const EVAL_RECALL_MEAN: &str = "eval/recall_mean";
    pub const EVAL_RECALL_IMAGE_TO_TEXT_1: &str = "eval/recall_image_to_text_1";
    pub const EVAL_RECALL_IMAGE_TO_TEXT_5: &str = "eval/recall_image_to_text_5";
    pub const EVAL_RECALL_IMAGE_TO_TEXT_10: &str = "eval/recall_image_to_text_10";
    pub const EVAL_RECALL_TEXT_TO_IMAGE_1: &str = "eval/recall_text_to_image_1";
    pub const EVAL_RECALL_TEXT_TO_IMAGE_5: &str = "eval/recall_text_to_image_5";
    pub const EVAL_RECALL_TEXT_TO_IMAGE_10: &str = "eval/recall_text_to_image_10";
    /// Percent of the pictures whose own class, the first label column, is the most similar.
    pub const EVAL_ZERO_SHOT_TOP1: &str = "eval/zero_shot_top1";
    pub const EVAL_ZERO_SHOT_TOP5: &str = "eval/zero_shot_top5";
    /// Percent of test pictures that a linear classifier on the image features gets right.
    pub const EVAL_LINEAR_PROBE_TOP1: &str = "eval/linear_probe_top1";
    /// Adjusted Rand index × 100 of image-feature clusters against labels.
    pub const EVAL_ARI: &str = "eval/ari";
    /// Adjusted mutual information × 100 of image-feature clusters against labels.
    pub const EVAL_AMI: &str = "eval/ami";
    /// Mean silhouette coefficient of the classes in the image space, in [−1, 1].
    pub const EVAL_SILHOUETTE: &str = "eval/silhouette";
    pub const EVAL_DAVIES_BOULDIN: &str = "eval/davies_bouldin";
    pub const EVAL_CALINSKI_HARABASZ: &str = "eval/calinski_harabasz";
    pub const EVAL_MODALITY_GAP: &str = "eval/modality_gap";
    pub const EVAL_SELF_SIMILARITY_IMAGE: &str = "eval/self_similarity_image";
    pub const EVAL_SELF_SIMILARITY_TEXT: &str = "eval/self_similarity_text";
    pub const EVAL_FEATURE_STD_IMAGE: &str = "eval/feature_std_image";
    pub const EVAL_FEATURE_STD_TEXT: &str = "eval/feature_std_text";
}

/// Long work inside an episode, shown with its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    LoadData,
    Teacher,
    Extract,
    Cluster,
    Train,
    Evaluate,
    Checkpoint,
}

/// What a run without a steering change goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BeforeChange {
    /// Step of the checkpoint that was written just before the change took effect.
    pub checkpoint_step: u64,
    /// The settings accepted then, with the changed one as it was.
    pub without: ControlValues,
}

/// One message of a run, in the order of its happening.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TrainEvent {
    /// Data and model are ready. `step` > 0 when resumed from a checkpoint.
    Started {
        step: u64,
        total_steps: u64,
        episode: u64,
        total_episodes: u64,
        steps_per_episode: u64,
        batch_size: usize,
        samples: usize,
        parameters: usize,
        device: String,
        controls: ControlValues,
    },
    /// `done` of `total` units of a phase; sent at most a few times per second.
    Progress {
        phase: Phase,
        done: u64,
        total: u64,
    },
    /// Episode `episode` (from 0) begins after `step` optimizer steps.
    EpisodeStarted {
        episode: u64,
        step: u64,
    },
    /// Values of some curves at `step` (the number of optimizer steps taken so far).
    Points {
        step: u64,
        points: Vec<(Tag, f64)>,
    },
    /// A new prototype snapshot was written to the run directory (path relative to it).
    Prototypes {
        episode: u64,
        step: u64,
        count: usize,
        file: String,
    },
    /// A steering change took effect. One per changed field.
    ControlApplied {
        episode: u64,
        step: u64,
        field: String,
        from: f64,
        to: f64,
        /// Absent where nothing was saved before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<BeforeChange>,
    },
    /// A checkpoint directory is complete and durable (path relative to the run directory).
    Checkpoint {
        step: u64,
        path: String,
    },
    /// Something a person should read.
    Log {
        level: LogLevel,
        message: String,
    },
    Paused {
        step: u64,
    },
    Resumed {
        step: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Info,
    Warning,
    Error,
}

/// Receives the events of a run, on the training thread. Must return quickly.
pub trait Observer {
    /// # Errors
    /// A failure to store an event stops the run with that reason: nothing is lost in silence.
    fn on_event(&mut self, event: TrainEvent) -> Result<(), ObserverError>;

    /// Called before a checkpoint is made visible: everything reported so far must be durable on
    /// return, so that a resumed run never has a gap before its checkpoint.
    ///
    /// # Errors
    /// As [`Observer::on_event`].
    fn before_checkpoint(&mut self, step: u64) -> Result<(), ObserverError>;

    /// Called when a file of the run did not fit on the disk, with the system's message. Returns
    /// when writing is worth another try.
    ///
    /// # Errors
    /// Ends the run with that reason. An observer that cannot wait for space ends it at once.
    fn disk_full(&mut self, message: &str) -> Result<(), ObserverError> {
        Err(ObserverError(format!("the disk is full: {message}")))
    }
}

/// Why an observer could not take an event.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ObserverError(pub String);
