//! The outer loop: episodes of sample, extract, cluster, translate, train.
//!
//! [`run`] is called on a thread of its own by the studio's worker or by the command line; it never
//! touches an async run time and never waits for a subscriber.

use std::path::PathBuf;
use std::sync::Arc;

use super::session::{Flow, Session};
use super::{CheckpointInfo, Control, Observer, StopReason};
use crate::config::{ConfigErrors, ValidRunConfig};
use crate::data::{DataError, PairSource};

/// Everything that one training run needs.
#[derive(Debug)]
pub struct TrainJob {
    pub config: ValidRunConfig,
    /// Run directory; `checkpoints/` and `artifacts/` are written below it.
    pub directory: PathBuf,
    pub data: Arc<dyn PairSource>,
    /// Continue from this checkpoint instead of starting anew.
    pub resume: Option<CheckpointInfo>,
}

/// How a run ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// A person stopped it; a checkpoint was written.
    Stopped,
    /// The process is ending; a checkpoint was written.
    Interrupted,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    #[error(transparent)]
    Model(#[from] crate::model::ModelConfigError),
    #[error(transparent)]
    Weights(#[from] crate::model::weights::WeightsError),
    #[error(transparent)]
    Import(#[from] crate::model::ImportError),
    #[error(transparent)]
    File(#[from] crate::tensor_file::TensorFileError),
    #[error(transparent)]
    Observer(#[from] super::ObserverError),
    #[error("checkpoint {path}: {message}")]
    Checkpoint { path: String, message: String },
    #[error(
        "the loss became {value} at step {step}; resume from the last checkpoint with a lower learning rate"
    )]
    NotFinite { step: u64, value: f64 },
    #[error("{0}")]
    Other(String),
}

/// Trains on the calling thread until the run is finished, stopped or failed. Polls `control`
/// between steps and inside the long phases. A stop writes a checkpoint first.
///
/// # Errors
/// Anything that keeps the run from going on; what was checkpointed before stays valid.
pub fn run(
    job: TrainJob,
    observer: &mut dyn Observer,
    control: &Control,
) -> Result<Outcome, TrainError> {
    let mut session = match Session::open(job, observer, control)? {
        Ok(session) => session,
        Err(reason) => return Ok(stopped(reason)),
    };
    let flow = session.all_episodes()?;
    match flow {
        Flow::GoOn => {
            session.finish()?;
            Ok(Outcome::Finished)
        }
        Flow::Stop(reason) => {
            session.save_checkpoint()?;
            Ok(stopped(reason))
        }
    }
}

fn stopped(reason: StopReason) -> Outcome {
    match reason {
        StopReason::User => Outcome::Stopped,
        StopReason::Shutdown => Outcome::Interrupted,
    }
}
