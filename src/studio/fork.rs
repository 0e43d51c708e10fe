//! A second life of a run: a new run that goes on from a checkpoint of an old one.
//!
//! The new directory is complete by itself: checkpoint, prototypes, points and events up to the
//! step are copied, so the old run can be deleted. Checkpoints and prototypes never change once
//! written and are linked where the disk can.

mod settings;

use std::path::Path;

use jiff::Timestamp;
use protoclip::train::{
    CheckpointInfo, ControlValues, MANIFEST, checkpoint_place, verify_checkpoint,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use settings::{LEARNING_RATE_FACTOR, can_change_in_fork};

use super::maps::{map_keys, map_path};
use super::run_directory::{ForkOrigin, OmittedChange, RunDirectory, RunMeta};
use super::run_log::{LineKind, NewLine};
use super::run_snapshot::RunSnapshot;
use super::run_store::{Batch, Point, RunStore};
use super::view::RunRecord;
use super::{ConfigErrors, RunId, Studio, StudioError};

/// How a fork differs from its origin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForkRequest {
    /// Step of the checkpoint to go on from; the newest when absent.
    pub step: Option<u64>,
    /// Name of the new run.
    pub name: Option<String>,
    /// Episodes of the new run, to train longer than the old one.
    pub episodes: Option<usize>,
    /// Other settings by dotted name, such as `optimizer.learning_rate`; see [`can_change_in_fork`].
    pub settings: Map<String, Value>,
}

/// Points per transaction of the copy.
const POINTS_PER_COMMIT: usize = 10_000;

impl Studio {
    /// Creates a run that goes on from a checkpoint of another, and queues it.
    ///
    /// # Errors
    /// When there is no such run or checkpoint, or a setting is wrong.
    pub fn fork(&self, id: &RunId, request: ForkRequest) -> Result<RunId, StudioError> {
        self.fork_omitting(id, request, None)
    }

    /// As [`Studio::fork`], without a change that took effect right after the checkpoint.
    pub(super) fn fork_omitting(
        &self,
        id: &RunId,
        request: ForkRequest,
        without: Option<OmittedChange>,
    ) -> Result<RunId, StudioError> {
        let origin = self.trained_here(id)?;
        let from = self.data_dir.run(id);
        let checkpoint = self.fork_point(&from, request.step)?;
        intact(&checkpoint)?;
        let place = checkpoint_place(&checkpoint.path).ok();
        let (mut config, steered) = settings::changed(&origin.config, place, &request.settings)?;
        config.episodes = request.episodes.unwrap_or(config.episodes);
        config.name = request
            .name
            .unwrap_or_else(|| format!("{} from step {}", origin.meta.name, checkpoint.step));
        if config.episodes as u64 <= checkpoint.episode {
            let message = format!(
                "{} would end before the checkpoint, which is in episode {}; raise it",
                config.episodes, checkpoint.episode
            );
            return Err(ConfigErrors::one("episodes", message).into());
        }
        let config = config.validate()?.into_inner();
        let now = Timestamp::now();
        let omitted = without.as_ref().map(|omitted| omitted.controls);
        let controls = steered.or(omitted);
        let meta = RunMeta {
            id: RunId::new(now, config.preset),
            name: config.name.clone(),
            tags: origin.meta.tags,
            created: now,
            program: origin.meta.program,
            forked_from: Some(ForkOrigin {
                run: id.clone(),
                step: checkpoint.step,
                without,
                settings: request.settings,
                controls: steered,
            }),
            imported: None,
        };
        let to = self.data_dir.run(&meta.id);
        let mut snapshot = RunSnapshot::queued(&config);
        snapshot.step = checkpoint.step;
        snapshot.episode = checkpoint.episode;
        snapshot.checkpoint_step = Some(checkpoint.step);
        snapshot.controls = controls.unwrap_or_else(|| ControlValues::of(&config));
        to.create_with(&meta, Some(&config), |staged| {
            copy_checkpoint(&checkpoint, staged)?;
            copy_prototypes(&from, staged, checkpoint.step)?;
            copy_store(&from, staged, &meta, &snapshot)
        })?;
        let forked = meta.id.clone();
        self.live.insert(RunRecord::new(meta, config, snapshot));
        self.enqueue(&forked)?;
        Ok(forked)
    }

    fn fork_point(
        &self,
        run: &RunDirectory,
        step: Option<u64>,
    ) -> Result<CheckpointInfo, StudioError> {
        let all = self.runner.checkpoints(run.path());
        let steps: Vec<String> = all.iter().map(|c| c.step.to_string()).collect();
        let mut wanted = all
            .into_iter()
            .filter(|c| step.is_none_or(|step| step == c.step));
        wanted.next_back().ok_or_else(|| {
            StudioError::Conflict(if steps.is_empty() {
                "the run has no checkpoint yet; ask for one first".into()
            } else {
                format!("there is a checkpoint at steps {} only", steps.join(", "))
            })
        })
    }
}

fn forked(origin: &ForkOrigin) -> String {
    let without = origin.without.as_ref().map(|omitted| {
        let (field, step) = (&omitted.change.field, omitted.change.step);
        format!(
            ", without the change of {field} at step {step}: it stays {}",
            omitted.from
        )
    });
    let without = without.unwrap_or_default();
    let changed = origin.settings.iter();
    let changed = changed.map(|(name, value)| format!(", {name} = {value}"));
    format!(
        "forked from {} at step {}{without}{}",
        origin.run,
        origin.step,
        changed.collect::<String>()
    )
}

/// Refuses a checkpoint whose files are not those of its manifest.
fn intact(checkpoint: &CheckpointInfo) -> Result<(), StudioError> {
    if !checkpoint.path.join(MANIFEST).exists() {
        return Ok(());
    }
    verify_checkpoint(&checkpoint.path).map_err(|message| {
        StudioError::Conflict(format!(
            "the checkpoint at step {} is damaged and cannot be loaded: {message}; choose another step",
            checkpoint.step
        ))
    })
}

fn copy_checkpoint(checkpoint: &CheckpointInfo, to: &RunDirectory) -> Result<(), StudioError> {
    let name = checkpoint.path.file_name().unwrap_or_default();
    let target = to.path().join("checkpoints").join(name);
    std::fs::create_dir_all(&target).map_err(StudioError::io(&target))?;
    let Ok(files) = std::fs::read_dir(&checkpoint.path) else {
        return Err(StudioError::Conflict(
            "the checkpoint was just replaced by a newer one; fork again".into(),
        ));
    };
    for file in files.flatten() {
        link_or_copy(&file.path(), &target.join(file.file_name()))?;
    }
    Ok(())
}

fn copy_prototypes(from: &RunDirectory, to: &RunDirectory, last: u64) -> Result<(), StudioError> {
    for folder in [to.prototypes(), to.features(), to.maps()] {
        std::fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
    }
    let until = |steps: Vec<u64>| steps.into_iter().take_while(|&step| step <= last);
    for step in until(from.prototype_steps()) {
        link_or_copy(&from.prototype_file(step), &to.prototype_file(step))?;
    }
    for step in until(from.feature_steps()) {
        link_or_copy(&from.feature_file(step), &to.feature_file(step))?;
    }
    for key in map_keys(from).into_iter().filter(|key| key.step <= last) {
        link_or_copy(&map_path(from, key), &map_path(to, key))?;
    }
    Ok(())
}

/// Files are written once and never in place, so two names for one file are safe.
fn link_or_copy(from: &Path, to: &Path) -> Result<(), StudioError> {
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(StudioError::io(from))?;
    }
    Ok(())
}

fn copy_store(
    from: &RunDirectory,
    to: &RunDirectory,
    meta: &RunMeta,
    snapshot: &RunSnapshot,
) -> Result<(), StudioError> {
    let source = RunStore::read(&from.database())?;
    let mut target = RunStore::open(&to.database())?;
    let mut batch = Batch {
        points: Vec::new(),
        lines: source.lines_until(snapshot.step)?,
    };
    for (tag, _) in source.tags()? {
        source.each_point(&tag, (0, snapshot.step), |step, value| {
            batch.points.push(Point {
                tag: tag.clone().into(),
                step,
                value,
            });
        })?;
        if batch.points.len() >= POINTS_PER_COMMIT {
            target.commit(&std::mem::take(&mut batch), snapshot)?;
        }
    }
    let message = meta
        .forked_from
        .as_ref()
        .map_or_else(|| "forked".into(), forked);
    batch.lines.push(NewLine::new(
        snapshot.step,
        LineKind::State,
        message,
        json!({"state": snapshot.state, "forked_from": meta.forked_from}),
    ));
    target.commit_durably(&batch, snapshot)?;
    Ok(())
}
