//! What pages and the API show of a run: plain values, ready to be printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use protoclip::config::{DataConfig, DataSource, Preset, RunConfig, TeacherKind};
use protoclip::device::MachineMemory;
use protoclip::train::ControlValues;
use serde::Serialize;

use super::data_sets::DataSetId;
use super::run_directory::{CurveOrigin, ForkOrigin, RunMeta};
use super::run_snapshot::{PhaseProgress, RunSnapshot};
use super::{RunId, RunState};

/// A run as the studio holds it in memory.
#[derive(Debug, Clone)]
pub(crate) struct RunRecord {
    pub(crate) meta: RunMeta,
    /// Shared, since views are made often; the default one for a broken and for an imported run.
    pub(crate) config: Arc<RunConfig>,
    pub(crate) snapshot: RunSnapshot,
    pub(crate) eta_seconds: Option<f64>,
    /// Place in the queue, from 1.
    pub(crate) queue_place: Option<usize>,
    /// Another process trains it.
    pub(crate) external: bool,
    /// Number of the newest log line that was told to anybody.
    pub(crate) last_line: i64,
    /// Its directory cannot be read.
    pub(crate) broken: bool,
}

impl RunRecord {
    /// A run that was just created here.
    pub(crate) fn new(meta: RunMeta, config: RunConfig, snapshot: RunSnapshot) -> Self {
        Self {
            meta,
            config: Arc::new(config),
            snapshot,
            eta_seconds: None,
            queue_place: None,
            external: false,
            last_line: 0,
            broken: false,
        }
    }
}

/// One run as shown: what `GET /api/runs/{id}` answers and `run` events carry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    pub id: RunId,
    pub name: String,
    pub tags: Vec<String>,
    pub created: Timestamp,
    /// None for an imported run, as all settings.
    pub preset: Option<Preset>,
    /// Empty for an imported run.
    pub model: String,
    /// What a person calls the data: `built-in emoji`, or the file name; empty for an imported run.
    pub data: String,
    /// Id of the data set under `/api/datasets/`.
    pub data_set: Option<DataSetId>,
    pub state: RunState,
    pub reason: Option<String>,
    /// Place in the queue, from 1, while it waits.
    pub queue_position: Option<usize>,
    /// Optimizer steps taken.
    pub step: u64,
    /// Planned steps; 0 until the data was opened.
    pub total_steps: u64,
    /// Current episode, from 0.
    pub episode: u64,
    pub total_episodes: u64,
    pub steps_per_episode: u64,
    pub batch_size: usize,
    /// Usable pairs of the data set; 0 until it was opened.
    pub samples: usize,
    /// Trained numbers of the model; 0 until it was built.
    pub parameters: usize,
    pub device: String,
    pub phase: Option<PhaseProgress>,
    pub samples_per_second: Option<f64>,
    pub eta_seconds: Option<f64>,
    /// Seconds of training so far, without pauses.
    pub trained_seconds: f64,
    pub updated: Option<Timestamp>,
    /// Settings in force or accepted.
    pub controls: ControlValues,
    /// Newest value of every curve.
    pub latest: BTreeMap<String, f64>,
    /// Step of the newest prototypes.
    pub prototypes_step: Option<u64>,
    /// Step of the newest checkpoint.
    pub checkpoint_step: Option<u64>,
    /// Whether the steering of the teacher's weight can do anything.
    pub has_teacher: bool,
    pub forked_from: Option<ForkOrigin>,
    /// The event files that it was made of, if it was imported: it has curves and nothing else.
    pub imported: Option<CurveOrigin>,
    /// Another process trains it; it can be watched but not steered here.
    pub external: bool,
    /// Its directory cannot be read; `reason` says why.
    pub broken: bool,
}

impl From<&RunRecord> for RunView {
    fn from(record: &RunRecord) -> Self {
        let (meta, snapshot) = (&record.meta, &record.snapshot);
        let config = meta.imported.is_none().then_some(&record.config);
        Self {
            id: meta.id.clone(),
            name: meta.name.clone(),
            tags: meta.tags.clone(),
            created: meta.created,
            preset: config.map(|config| config.preset),
            model: config.map_or_else(String::new, |config| config.model.clone()),
            data: config.map_or_else(String::new, |config| data_name(&config.data)),
            data_set: config.map(|config| DataSetId::of(&config.data)),
            state: snapshot.state,
            reason: snapshot.reason.clone(),
            queue_position: record.queue_place,
            step: snapshot.step,
            total_steps: snapshot.total_steps,
            episode: snapshot.episode,
            total_episodes: snapshot.total_episodes,
            steps_per_episode: snapshot.steps_per_episode,
            batch_size: snapshot.batch_size,
            samples: snapshot.samples,
            parameters: snapshot.parameters,
            device: snapshot.device.clone(),
            phase: snapshot.phase,
            samples_per_second: snapshot.samples_per_second(),
            eta_seconds: record.eta_seconds,
            trained_seconds: snapshot.trained_seconds,
            updated: snapshot.updated,
            controls: snapshot.controls,
            latest: snapshot.latest.clone(),
            prototypes_step: snapshot.prototypes_step,
            checkpoint_step: snapshot.checkpoint_step,
            has_teacher: config.is_some_and(|c| c.teacher.kind != TeacherKind::None),
            forked_from: meta.forked_from.clone(),
            imported: meta.imported.clone(),
            external: record.external,
            broken: record.broken,
        }
    }
}

/// What a person calls a data set before it is open.
pub fn data_name(data: &DataConfig) -> String {
    match (data.source, &data.path) {
        (DataSource::Builtin, _) => "built-in emoji".into(),
        (_, Some(path)) => path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into(),
        ),
        (_, None) => "no file".into(),
    }
}

/// When prototypes were made, as `in episode 3`; those of the end belong to no episode.
pub fn episode_of_prototypes(episode: u64, episodes: u64) -> String {
    if episodes > 0 && episode >= episodes {
        format!("after episode {episodes}")
    } else {
        format!("in episode {}", episode + 1)
    }
}

/// A checkpoint as shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointView {
    pub step: u64,
    pub episode: u64,
    /// Path relative to the run directory.
    pub path: String,
    pub bytes: u64,
    /// Identifies it in figures.
    pub hash: String,
    pub pinned: bool,
}

/// The machine and the directory that this studio works with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudioFacts {
    pub version: &'static str,
    pub data_dir: String,
    pub free_bytes: Option<u64>,
    pub memory: Option<MachineMemory>,
    /// What `auto` means here.
    pub device: String,
    pub threads: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prototypes_of_the_end_are_of_no_eleventh_episode() {
        assert_eq!(episode_of_prototypes(0, 10), "in episode 1");
        assert_eq!(episode_of_prototypes(9, 10), "in episode 10");
        assert_eq!(episode_of_prototypes(10, 10), "after episode 10");
        assert_eq!(episode_of_prototypes(2, 0), "in episode 3");
    }
}
