//! One run in memory: model, optimizer, data and the place it has reached.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::checkpoint::{CheckpointHeader, prune_checkpoints, write_checkpoint};
use super::episode::{EpisodePrototypes, snapshot_file, snapshot_steps};
use super::feature_files::{feature_file, feature_steps};
use super::optimizer::RunOptimizer;
use super::upcoming::Upcoming;
use super::{
    CheckpointInfo, Command, Control, ControlValues, LearningRateSchedule, LogLevel, MemoryNeed,
    Observer, Phase, Position, StopReason, Tag, ThroughputMeter, TrainError, TrainEvent, TrainJob,
};
use crate::config::{ConfigErrors, Precision, ValidRunConfig};
use crate::data::{Batcher, BatcherConfig, CACHE_BYTES, EpisodeSampler, PairSource};
use crate::device::{DeviceChoice, MachineMemory};
use crate::eval::Encoder;
use crate::kernels::release_freed_memory;
use crate::model::{Clip, ClipConfig, ModelConfigError, start_from_weights, weights};
use crate::prototypes::ExternalTeacher;
use crate::tokenizer::Tokenizer;

/// Whether the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    GoOn,
    Stop(StopReason),
}

/// Everything of a run that is in memory while it trains.
pub(super) struct Session<'a> {
    pub(super) config: ValidRunConfig,
    pub(super) directory: std::path::PathBuf,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) control: &'a Control,
    /// Without autodiff; see [`Session::training_device`].
    pub(super) device: Device,
    pub(super) model_config: ClipConfig,
    /// `None` only while a step replaces it.
    pub(super) model: Option<Clip>,
    pub(super) optimizer: RunOptimizer,
    pub(super) schedule: LearningRateSchedule,
    pub(super) data: Arc<dyn PairSource>,
    pub(super) batcher: Batcher,
    tokenizer: Arc<Tokenizer>,
    pub(super) sampler: EpisodeSampler,
    pub(super) teacher: Option<ExternalTeacher>,
    pub(super) plan: Plan,
    pub(super) place: Place,
    /// Those of the current episode once they are built.
    pub(super) prototypes: Option<Arc<EpisodePrototypes>>,
    pub(super) meter: ThroughputMeter,
    /// K before the one of this episode, until the first step with the new one.
    pub(super) count_before: Option<usize>,
    /// The next pass over the data, where it was started ahead.
    pub(super) upcoming: Option<Upcoming>,
}

/// Sizes that stay the same for the whole run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) samples_per_episode: usize,
    pub(super) steps_per_episode: u64,
    pub(super) total_steps: u64,
}

/// Where a run stands; with the files of a checkpoint this is all that a resume needs, since every
/// random choice is a function of the seed and this place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Optimizer steps taken.
    pub(super) step: u64,
    /// Steps taken within the current episode.
    pub(super) cursor: u64,
    /// Current episode, from 0.
    pub(super) episode: u64,
    /// Values in force.
    pub(super) controls: ControlValues,
    /// Values accepted, in force or announced.
    pub(super) wanted: ControlValues,
    /// K of the current episode.
    pub(super) prototype_count: usize,
    /// Whether the current episode was announced; a resume must not announce it twice.
    pub(super) announced: bool,
    pub(super) score: Option<f64>,
}

pub(super) const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
const MODEL_CONFIG: &str = "open_clip_config.json";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";

impl<'a> Session<'a> {
    /// Opens device, model and data; `Ok(Err(reason))` when stopped meanwhile.
    pub(super) fn open(
        job: TrainJob,
        observer: &'a mut dyn Observer,
        control: &'a Control,
    ) -> Result<Result<Self, StopReason>, TrainError> {
        let TrainJob {
            config,
            directory,
            data,
            resume,
        } = job;
        let facts = data.facts();
        config.check_data(facts)?;
        let chosen = DeviceChoice::parse(&config.device)?.open()?;
        if config.precision == Precision::Bf16 && !chosen.is_cpu() {
            let message = format!("bf16 is for the CPU, not for {}; choose f32", chosen.name);
            return Err(ConfigErrors::one("precision", message).into());
        }
        let device = chosen.device.clone();
        let model_config = model_config(&config.model, resume.as_ref())?;
        let plan = Plan::of(&config, config.samples_per_episode(facts));
        check_memory(&config, &model_config, &plan, chosen.is_cpu())?;
        let tokenizer = Arc::new(Tokenizer::new());
        let batching = batcher_config(&config, &model_config);
        let batcher = Batcher::new(Arc::clone(&data), Arc::clone(&tokenizer), batching)?;
        let sampler = sampler(&config, &*data);
        let ahead = || Upcoming::first_extraction(&batcher, &sampler, &config, &plan);
        let upcoming = resume.is_none().then(ahead).transpose()?;
        let Some(teacher) = open_teacher(&config, &*data, observer, control)? else {
            return Ok(Err(stop_reason(control).unwrap_or(StopReason::User)));
        };
        let model = model_config.init(config.seed, config.fidelity, &device.clone().autodiff());
        let (model, notes) = match (&config.weights, &resume) {
            (Some(path), None) => start_from_weights(model, &model_config, path, config.seed)?,
            _ => (model, Vec::new()),
        };
        let mut session = Self {
            optimizer: RunOptimizer::new(&config.optimizer, &model),
            schedule: LearningRateSchedule::of(&config, plan.steps_per_episode),
            sampler,
            batcher,
            tokenizer,
            // What was wished while data was opened is a change as any other.
            place: Place::start(ControlValues::of(&config)),
            model: Some(model),
            prototypes: None,
            count_before: None,
            meter: ThroughputMeter::default(),
            upcoming,
            config,
            directory,
            observer,
            control,
            device,
            model_config,
            data,
            teacher,
            plan,
        };
        session.begin(resume, chosen.name, notes)?;
        Ok(Ok(session))
    }

    /// Goes to where the checkpoint was, and says what is there.
    fn begin(
        &mut self,
        resume: Option<CheckpointInfo>,
        device: String,
        notes: Vec<String>,
    ) -> Result<(), TrainError> {
        if let Some(checkpoint) = resume {
            self.restore(&checkpoint)?;
        }
        self.clear_later_snapshots();
        self.announce(device)?;
        for note in notes {
            self.log(LogLevel::Info, format!("weights: {note}"))?;
        }
        Ok(())
    }

    /// The device with gradients.
    pub(super) fn training_device(&self) -> Device {
        self.device.clone().autodiff()
    }

    pub(super) fn model(&self) -> Result<&Clip, TrainError> {
        self.model.as_ref().ok_or_else(no_model)
    }

    /// The model in evaluation mode, without gradients.
    pub(super) fn evaluation_model(&self) -> Result<Clip, TrainError> {
        Ok(self.model()?.valid())
    }

    /// The same model, ready to encode whole data sets and prompts.
    pub(super) fn encoder(&self) -> Result<Encoder, TrainError> {
        let (device, tokenizer) = (self.device.clone(), Arc::clone(&self.tokenizer));
        let model = self.evaluation_model()?;
        Encoder::new(model, device, tokenizer, self.config.batch_size)
            .map_err(|e| TrainError::Other(format!("evaluation: {e}")))
    }

    pub(super) fn emit(&mut self, event: TrainEvent) -> Result<(), TrainError> {
        Ok(self.observer.on_event(event)?)
    }

    pub(super) fn points(&mut self, points: Vec<(Tag, f64)>) -> Result<(), TrainError> {
        let step = self.place.step;
        self.emit(TrainEvent::Points { step, points })
    }

    pub(super) fn log(&mut self, level: LogLevel, message: String) -> Result<(), TrainError> {
        self.emit(TrainEvent::Log { level, message })
    }

    /// Writes a checkpoint of this very place and prunes older ones.
    pub(super) fn save_checkpoint(&mut self) -> Result<(), TrainError> {
        self.save_pinned(None)
    }

    /// As [`Session::save_checkpoint`], never to be pruned where there is a reason.
    pub(super) fn save_pinned(&mut self, reason: Option<&str>) -> Result<(), TrainError> {
        self.take_back_count();
        let step = self.place.step;
        self.observer.before_checkpoint(step)?;
        let header = CheckpointHeader {
            step,
            episode: self.place.episode,
            data_fingerprint: self.data.fingerprint().to_owned(),
            score: self.place.score,
        };
        let info = self.writing(|session| {
            let fill = |folder: &std::path::Path| session.fill(folder);
            write_checkpoint(&session.directory, &header, reason, fill)
        })?;
        prune_checkpoints(&self.directory, self.config.checkpoints.keep_last)
            .map_err(|e| checkpoint_error(&info.path, &e))?;
        let path = format!("checkpoints/{step:08}");
        self.emit(TrainEvent::Checkpoint { step, path })
    }

    fn fill(&self, folder: &std::path::Path) -> Result<(), TrainError> {
        let place = Place {
            wanted: self.control.values(),
            ..self.place.clone()
        };
        write_json(&folder.join(STATE), &place)?;
        write_json(&folder.join(CONFIG), &*self.config)?;
        write_json(&folder.join(MODEL_CONFIG), &self.model_config)?;
        weights::save(self.model()?, &self.model_config, &folder.join(MODEL))?;
        self.optimizer.save(&folder.join(OPTIMIZER))?;
        match &self.prototypes {
            Some(prototypes) => prototypes.save(folder),
            None => Ok(()),
        }
    }

    fn restore(&mut self, checkpoint: &CheckpointInfo) -> Result<(), TrainError> {
        let folder = &checkpoint.path;
        self.place = read_json(&folder.join(STATE))?;
        self.control.adopt(self.place.wanted);
        let model = self.model.take().ok_or_else(no_model)?;
        self.model = Some(weights::load(model, &folder.join(MODEL))?);
        let fresh = RunOptimizer::new(&self.config.optimizer, self.model()?);
        self.optimizer = fresh.load(&folder.join(OPTIMIZER))?;
        self.prototypes = EpisodePrototypes::load(folder)?.map(Arc::new);
        let manifest = super::checkpoint::read_header(folder)
            .map_err(|message| TrainError::Other(format!("{}: {message}", folder.display())))?;
        if manifest.data_fingerprint != self.data.fingerprint() {
            return Err(ConfigErrors::one(
                "data",
                format!(
                    "the data set changed since checkpoint {} was written; restore it, relink the run to an unchanged copy, or start a new run",
                    folder.display()
                ),
            )
            .into());
        }
        Ok(())
    }

    /// Removes snapshots that the resumed run will write again.
    fn clear_later_snapshots(&self) {
        let unwritten = |step: u64| {
            step > self.place.step || (step == self.place.step && self.prototypes.is_none())
        };
        let snapshots = snapshot_steps(&self.directory).into_iter();
        let features = feature_steps(&self.directory).into_iter();
        let files = snapshots.map(|step| (step, snapshot_file(step)));
        let files = files.chain(features.map(|step| (step, feature_file(step))));
        for (_, file) in files.filter(|(step, _)| unwritten(*step)) {
            let path = self.directory.join(file);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an outdated snapshot");
            }
        }
    }

    fn announce(&mut self, device: String) -> Result<(), TrainError> {
        self.control.set_position(Position {
            step: self.place.step,
            episode: self.place.episode,
            samples_per_episode: self.plan.samples_per_episode,
        });
        let event = TrainEvent::Started {
            step: self.place.step,
            total_steps: self.plan.total_steps,
            episode: self.place.episode,
            total_episodes: self.config.episodes as u64,
            steps_per_episode: self.plan.steps_per_episode,
            batch_size: self.config.batch_size,
            samples: self.data.len(),
            parameters: self.model()?.num_parameters(),
            device,
            controls: self.place.controls,
        };
        self.emit(event)
    }
}

impl Plan {
    fn of(config: &ValidRunConfig, samples_per_episode: usize) -> Self {
        let steps_per_episode = (samples_per_episode / config.batch_size) as u64;
        Self {
            samples_per_episode,
            steps_per_episode,
            total_steps: steps_per_episode * config.episodes as u64,
        }
    }
}

impl Place {
    fn start(controls: ControlValues) -> Self {
        Self {
            step: 0,
            cursor: 0,
            episode: 0,
            prototype_count: controls.prototype_count,
            controls,
            wanted: controls,
            announced: false,
            score: None,
        }
    }
}

/// Reports progress of a phase at most a few times per second; says whether to go on.
pub(super) struct PhaseProgress<'a> {
    observer: &'a mut dyn Observer,
    control: &'a Control,
    phase: Phase,
    total: u64,
    last: Option<Instant>,
}

impl<'a> PhaseProgress<'a> {
    pub(super) fn new(
        observer: &'a mut dyn Observer,
        control: &'a Control,
        phase: Phase,
        total: u64,
    ) -> Self {
        Self {
            observer,
            control,
            phase,
            total,
            last: None,
        }
    }

    /// As [`PhaseProgress::report`] where the total is learned on the way.
    pub(super) fn report_of(&mut self, done: u64, total: u64) -> bool {
        self.total = total;
        self.report(done)
    }

    /// `false` when the run must stop or its events cannot be stored.
    pub(super) fn report(&mut self, done: u64) -> bool {
        let due = self
            .last
            .is_none_or(|last| last.elapsed() >= Duration::from_millis(200));
        if due || done >= self.total {
            self.last = Some(Instant::now());
            let event = TrainEvent::Progress {
                phase: self.phase,
                done,
                total: self.total,
            };
            if let Err(error) = self.observer.on_event(event) {
                tracing::warn!(%error, "cannot report progress");
                return false;
            }
        }
        stop_reason(self.control).is_none()
    }
}

/// A checkpoint's own configuration, since the file or directory that `model` names may be gone.
fn model_config(
    model: &str,
    resume: Option<&CheckpointInfo>,
) -> Result<ClipConfig, ModelConfigError> {
    let saved = resume.map(|checkpoint| checkpoint.path.join(MODEL_CONFIG));
    match saved.filter(|path| path.is_file()) {
        Some(path) => ClipConfig::load(&path.to_string_lossy()),
        None => ClipConfig::load(model),
    }
}

/// Before anything of the run's size is allocated.
fn check_memory(
    config: &ValidRunConfig,
    model: &ClipConfig,
    plan: &Plan,
    on_cpu: bool,
) -> Result<(), ConfigErrors> {
    let need = MemoryNeed::of(config, model, Some(plan.samples_per_episode), on_cpu);
    // What earlier work left with the allocator is free, too.
    release_freed_memory();
    MachineMemory::read().map_or(Ok(()), |memory| need.check_available(memory))
}

fn sampler(config: &ValidRunConfig, data: &dyn PairSource) -> EpisodeSampler {
    let groups = data.balance_groups();
    EpisodeSampler::new(data.len(), groups, config.seed, config.fidelity)
}

fn batcher_config(config: &ValidRunConfig, model: &ClipConfig) -> BatcherConfig {
    BatcherConfig {
        image_size: model.vision_cfg.image_size as u32,
        context: model.text_cfg.context_length,
        batch_size: config.batch_size,
        seed: config.seed,
        fidelity: config.fidelity,
        threads: 0,
        cache_bytes: CACHE_BYTES,
        max_broken_share: config.data.max_broken_share,
    }
}

/// Why the run must stop, if it must.
pub(super) fn stop_reason(control: &Control) -> Option<StopReason> {
    match control.command() {
        Command::Stop(reason) => Some(reason),
        Command::Run | Command::Pause => None,
    }
}

/// `None` when stopped meanwhile.
#[allow(
    clippy::option_option,
    reason = "the outer option is the stop, the inner the absence of a teacher"
)]
fn open_teacher(
    config: &ValidRunConfig,
    data: &dyn PairSource,
    observer: &mut dyn Observer,
    control: &Control,
) -> Result<Option<Option<ExternalTeacher>>, TrainError> {
    let progress = PhaseProgress::new(observer, control, Phase::Teacher, 1);
    let progress = RefCell::new(progress);
    let report = |done, total| progress.borrow_mut().report_of(done, total);
    match ExternalTeacher::open(&config.teacher, data, config.seed, &report) {
        Ok(teacher) => Ok(Some(teacher)),
        Err(_) if stop_reason(control).is_some() => Ok(None),
        Err(error) => Err(TrainError::Other(error.to_string())),
    }
}

pub(super) fn no_model() -> TrainError {
    TrainError::Other("the model was lost in a failed step; resume from the last checkpoint".into())
}

fn write_json<T: Serialize>(path: &std::path::Path, value: &T) -> Result<(), TrainError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| checkpoint_error(path, &e))?;
    std::fs::write(path, bytes).map_err(|e| checkpoint_error(path, &e))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &std::path::Path) -> Result<T, TrainError> {
    let bytes = std::fs::read(path).map_err(|e| checkpoint_error(path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| checkpoint_error(path, &e))
}

fn checkpoint_error(path: &std::path::Path, error: &dyn std::fmt::Display) -> TrainError {
    TrainError::Checkpoint {
        path: path.display().to_string(),
        message: error.to_string(),
    }
}
