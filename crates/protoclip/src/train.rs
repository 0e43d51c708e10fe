//! Training: [`run`] executes episodes on the calling thread, reports [`TrainEvent`]s upward and
//! obeys a [`Control`] that any thread may hold.

mod checkpoint;
mod control;
mod event;
mod meter;
mod schedule;
mod trainer;

pub use checkpoint::{
    BrokenCheckpoint, CheckpointHeader, CheckpointInfo, latest_checkpoint, list_checkpoints,
    prune_checkpoints, verify_checkpoint, write_checkpoint,
};
pub use control::{
    AppliesAt, Command, Control, ControlChange, ControlValues, Position, StopReason,
};
pub use event::{LogLevel, Observer, ObserverError, Phase, Tag, TrainEvent, tag};
pub use meter::ThroughputMeter;
pub use schedule::{LearningRateSchedule, LearningRates};
pub use trainer::{Outcome, TrainError, TrainJob, run};
