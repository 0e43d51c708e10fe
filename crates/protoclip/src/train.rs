//! Training: [`run`] executes episodes on the calling thread, reports [`TrainEvent`]s upward and
//! obeys a [`Control`] that any thread may hold.

mod checkpoint;
mod control;
mod event;
mod trainer;

pub use checkpoint::{BrokenCheckpoint, CheckpointInfo, latest_checkpoint, list_checkpoints};
pub use control::{
    AppliesAt, Command, Control, ControlChange, ControlValues, Position, StopReason,
};
pub use event::{LogLevel, Observer, ObserverError, Phase, Tag, TrainEvent, tag};
pub use trainer::{Outcome, TrainError, TrainJob, run};
