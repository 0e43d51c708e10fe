//! `bench episode`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use protoclip::config::{RunConfig, ValidRunConfig};
use protoclip::data;
use protoclip::train::{
    self, Control, Observer, ObserverError, Phase, StopReason, Tag, TrainEvent, TrainJob, tag,
};
use rayon::ThreadPoolBuilder;
use serde_json::Value;

use super::{Clocks, Spent};
use crate::cli::UsageError;
use crate::cli::train::with_changes;
use crate::settings::BenchEpisode;

/// The curves of an episode that the line repeats, by their last word.
const REPEATED: [&str; 8] = [
    tag::SECONDS_EXTRACT,
    tag::SECONDS_CLUSTER,
    tag::SECONDS_TRANSLATE,
    tag::SECONDS_TRAIN,
    tag::DATA_WAIT_PERCENT_EXTRACT,
    tag::DATA_WAIT_PERCENT_TRAIN,
    tag::KMEANS_INERTIA_IMAGE,
    tag::KMEANS_INERTIA_TEXT,
];

/// Trains the first episode of a run in a temporary directory, without evaluation, and with all its
/// losses from the start: a schedule that would begin with InfoNCE alone is left out. Opening data and
/// model is not counted, during which the first few batches are prepared already, nor is the checkpoint
/// at the end.
pub(super) fn bench_episode(settings: &BenchEpisode) -> anyhow::Result<Value> {
    let config = read(settings)?;
    let data = data::open(&config.data, &|_, _| true).map_err(|e| UsageError(e.to_string()))?;
    let pool = ThreadPoolBuilder::new()
        .num_threads(usize::from(settings.threads.unwrap_or(0)))
        .build()
        .context("cannot start the threads")?;
    let directory = ScratchDirectory::create()?;
    let control = Control::new(&config, None);
    let mut episode = MeasuredEpisode::new(&control);
    let job = TrainJob {
        config: config.clone(),
        directory: directory.path.clone(),
        data: Arc::clone(&data),
        resume: None,
    };
    pool.install(|| train::run(job, &mut episode, &control))?;
    let mut line = episode.line()?;
    line["model"] = config.model.clone().into();
    line["k"] = config.prototypes.count.into();
    line["batch"] = config.batch_size.into();
    line["threads"] = pool.current_num_threads().into();
    Ok(line)
}

fn read(settings: &BenchEpisode) -> anyhow::Result<ValidRunConfig> {
    let path = &settings.config;
    let wrong = |e: &dyn std::fmt::Display| UsageError(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let text = with_changes(&text, &settings.set)?;
    let mut config = RunConfig::from_toml(&text).map_err(|e| wrong(&e))?;
    config.schedule.infonce_episodes = 0;
    config.schedule.lit_episodes = 0;
    config.evaluation.every_episodes = 0;
    Ok(config.validate().map_err(|e| wrong(&e))?)
}

/// Listens to a run, times its first episode and stops it then.
struct MeasuredEpisode<'a> {
    control: &'a Control,
    clocks: Option<Clocks>,
    spent: Option<Spent>,
    values: BTreeMap<Tag, f64>,
    /// Total loss of every step.
    losses: Vec<f64>,
    /// Drawn for the episode.
    samples: u64,
}

impl<'a> MeasuredEpisode<'a> {
    fn new(control: &'a Control) -> Self {
        Self {
            control,
            clocks: None,
            spent: None,
            values: BTreeMap::new(),
            losses: Vec::new(),
            samples: 0,
        }
    }

    fn line(&self) -> anyhow::Result<Value> {
        let spent = self
            .spent
            .context("the run ended before its first episode did")?;
        let last = &self.losses[self.losses.len() * 3 / 4..];
        let mut line = serde_json::json!({
            "work": "episode",
            "samples": self.samples,
            "steps": self.losses.len(),
            "cpu_seconds": spent.cpu_seconds,
            "wall_seconds": spent.wall_seconds,
            "loss": last.iter().sum::<f64>() / last.len().max(1) as f64,
        });
        for tag in REPEATED {
            let name = tag.rsplit('/').next().unwrap_or(tag);
            line[name] = self.values.get(tag).copied().into();
        }
        Ok(line)
    }

    fn take(&mut self, points: Vec<(Tag, f64)>) {
        for (tag, value) in points {
            if tag == tag::LOSS_TOTAL {
                self.losses.push(value);
            }
            if tag == tag::SECONDS_TRAIN {
                self.spent = self.clocks.take().map(Clocks::stop);
                self.control.stop(StopReason::User);
            }
            self.values.insert(tag, value);
        }
    }
}

impl Observer for MeasuredEpisode<'_> {
    fn on_event(&mut self, event: TrainEvent) -> Result<(), ObserverError> {
        match event {
            TrainEvent::EpisodeStarted { .. } => self.clocks = Some(Clocks::start()),
            TrainEvent::Progress {
                phase: Phase::Extract,
                total,
                ..
            } if self.clocks.is_some() => self.samples = total,
            // What follows the first episode is not looked at.
            TrainEvent::Points { points, .. } if self.clocks.is_some() => self.take(points),
            TrainEvent::Log { message, .. } => say_error!("{message}"),
            _ => {}
        }
        Ok(())
    }

    fn before_checkpoint(&mut self, _step: u64) -> Result<(), ObserverError> {
        Ok(())
    }
}

/// A new directory that is removed with all it holds.
struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    fn create() -> anyhow::Result<Self> {
        let name = format!("protoclip-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            say_error!("note: {} was not removed: {error}", self.path.display());
        }
    }
}
