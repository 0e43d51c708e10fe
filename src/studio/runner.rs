//! The work of a run, behind a trait so that tests can script it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protoclip::config::ValidRunConfig;
use protoclip::train::{
    CheckpointInfo, Command, Control, Observer, Outcome, Phase, TrainError, TrainEvent, TrainJob,
};

use super::StudioError;
use super::data_sets::DataSets;
use super::niceness;

/// What a runner needs to know of a run.
#[derive(Debug)]
pub struct RunJob {
    pub config: ValidRunConfig,
    /// The run directory.
    pub directory: PathBuf,
    /// Continue from this checkpoint instead of starting anew.
    pub resume: Option<CheckpointInfo>,
}

/// Trains a run on the calling thread until it ends. The product has one; tests have another whose
/// steps they control.
pub trait Runner: Send + Sync {
    /// # Errors
    /// Whatever keeps the run from going on.
    fn run(
        &self,
        job: RunJob,
        observer: &mut (dyn Observer + Send),
        control: &Control,
    ) -> Result<Outcome, TrainError>;

    /// Usable checkpoints of a run directory, oldest first.
    fn checkpoints(&self, directory: &Path) -> Vec<CheckpointInfo>;

    /// The checkpoint to go on from: the newest whose files all have their recorded hashes.
    fn latest_intact(&self, directory: &Path) -> Option<CheckpointInfo>;
}

/// Trains with [`protoclip::train::run`], in a thread pool of its own whose threads yield to
/// everything else on the machine.
#[derive(Debug)]
pub struct TrainerRunner {
    data_sets: Arc<DataSets>,
    pool: rayon::ThreadPool,
}

impl TrainerRunner {
    /// A runner with `threads` training threads.
    ///
    /// # Errors
    /// When the system refuses the threads.
    pub fn new(data_sets: Arc<DataSets>, threads: usize) -> Result<Self, StudioError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("train-{index}"))
            .start_handler(|_| niceness::yield_to_others())
            .build()
            .map_err(|e| StudioError::Other(format!("cannot start training threads: {e}")))?;
        Ok(Self { data_sets, pool })
    }
}

impl Runner for TrainerRunner {
    fn run(
        &self,
        job: RunJob,
        observer: &mut (dyn Observer + Send),
        control: &Control,
    ) -> Result<Outcome, TrainError> {
        observer.on_event(TrainEvent::Progress {
            phase: Phase::LoadData,
            done: 0,
            total: 0,
        })?;
        let go_on = |_: u64, _: u64| !matches!(control.command(), Command::Stop(_));
        let set = self.data_sets.open(&job.config.data, &go_on)?;
        let job = TrainJob {
            config: job.config,
            directory: job.directory,
            data: Arc::clone(&set.source),
            resume: job.resume,
        };
        let outcome = self
            .pool
            .install(|| protoclip::train::run(job, observer, control));
        protoclip::kernels::release_freed_memory();
        outcome
    }

    fn checkpoints(&self, directory: &Path) -> Vec<CheckpointInfo> {
        protoclip::train::list_checkpoints(directory).0
    }

    fn latest_intact(&self, directory: &Path) -> Option<CheckpointInfo> {
        protoclip::train::latest_checkpoint(directory)
    }
}
