//! Data sets whose files moved: opened at their new place, compared with what runs were trained on, and
//! named in the settings of those runs.
//!
//! Nothing changes unless the pairs are the same: a checkpoint remembers the fingerprint of its data.

use std::path::PathBuf;
use std::sync::Arc;

use protoclip::config::{ConfigErrors, DataConfig, DataSource, RunConfig};
use protoclip::train::{list_checkpoints, listed_files};
use serde::Deserialize;
use serde_json::json;

use super::data_dir::DataDir;
use super::data_sets::{DataSetId, DataSets, path_problem, replace_remembered};
use super::live::Live;
use super::run_directory::RunDirectory;
use super::run_log::{LineKind, NewLine};
use super::run_store::{Batch, RunStore};
use super::work::{WorkFailure, WorkKind, WorkProgress, WorkView};
use super::{Change, RunId, Studio, StudioError};

/// Where the files are now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPlace {
    pub path: PathBuf,
    /// Folder that picture paths are relative to; absent keeps what was set.
    #[serde(default)]
    pub image_folder: Option<PathBuf>,
}

impl NewPlace {
    /// The settings of a data set with its files at this place.
    pub fn of(&self, data: &DataConfig) -> DataConfig {
        DataConfig {
            path: Some(self.path.clone()),
            image_folder: self.image_folder.clone().or(data.image_folder.clone()),
            ..data.clone()
        }
    }
}

impl Studio {
    /// Starts to point a data set, and the runs that use it, to another place.
    ///
    /// # Errors
    /// When there is no such data set, one of its runs is under way, or the place cannot be right.
    pub fn relink(
        &self,
        id: &DataSetId,
        place: &NewPlace,
    ) -> Result<(DataSetId, WorkView), StudioError> {
        let old = self.known_data_set(id)?;
        if old.source == DataSource::Builtin {
            let message = "the built-in data is part of the program and has no place";
            return Err(StudioError::Conflict(message.into()));
        }
        let new = place.of(&old);
        if let Some((field, message)) = path_problem(&new) {
            return Err(ConfigErrors::one(field, message).into());
        }
        let using = self
            .runs()
            .into_iter()
            .filter(|run| run.data_set.as_ref() == Some(id));
        let (active, runs): (Vec<_>, Vec<_>) = using.partition(|run| run.state.is_active());
        if let Some(run) = active.first() {
            let message = format!("run {} is under way; stop it first", run.id);
            return Err(StudioError::Conflict(message));
        }
        let move_to = Relinking {
            data_dir: self.data_dir.clone(),
            data_sets: Arc::clone(&self.data_sets),
            live: Arc::clone(&self.live),
            old: id.clone(),
            new: new.clone(),
            runs: runs.into_iter().map(|run| run.id).collect(),
        };
        let new_id = DataSetId::of(&new);
        let work = self
            .work
            .begin(WorkKind::OpenData, new_id.as_str(), move |progress| {
                move_to.run(progress)
            })?;
        Ok((new_id, work))
    }
}

/// The work itself, on a thread of its own.
struct Relinking {
    data_dir: DataDir,
    data_sets: Arc<DataSets>,
    live: Arc<Live>,
    old: DataSetId,
    new: DataConfig,
    runs: Vec<RunId>,
}

impl Relinking {
    fn run(self, progress: &WorkProgress) -> Result<String, WorkFailure> {
        let report = |done, total| progress.report("looking at rows", done, total);
        let opened = self.data_sets.open(&self.new, &report);
        let set = opened.map_err(|error| match progress.go_on() {
            true => WorkFailure::Failed(Some("data.path"), error.to_string()),
            false => WorkFailure::Cancelled,
        })?;
        for id in &self.runs {
            check_pairs(&self.data_dir.run(id), set.source.fingerprint())
                .map_err(|message| WorkFailure::Failed(Some("data.path"), message))?;
        }
        for id in &self.runs {
            self.point(id).map_err(WorkFailure::of)?;
        }
        self.data_sets.forget(&self.old);
        replace_remembered(&self.data_dir, &self.old, self.new).map_err(WorkFailure::of)?;
        Ok(format!(
            "{} usable pairs; {} runs use them from here on",
            set.source.len(),
            self.runs.len()
        ))
    }

    /// Writes the new place into the settings of a run and says so in its log.
    fn point(&self, id: &RunId) -> Result<(), StudioError> {
        let run = self.data_dir.run(id);
        let Some(record) = self.live.record(id) else {
            return Ok(());
        };
        let config = point_run(&run, &self.new)?;
        let path = self.new.path.clone().unwrap_or_default();
        let line = NewLine::new(
            record.snapshot.step,
            LineKind::Message,
            format!("the data set is at {} now", path.display()),
            json!({"path": path}),
        );
        let batch = Batch {
            points: Vec::new(),
            lines: vec![line],
        };
        let lines = RunStore::open(&run.database())?.commit(&batch, &record.snapshot)?;
        let change = Change {
            lines,
            ..Change::default()
        };
        self.live.update(id, &change, |record| {
            record.config = Arc::new(config);
        });
        Ok(())
    }
}

/// Writes the place of `data` into the settings of a run.
///
/// # Errors
/// When another process trains it or a file cannot be written.
fn point_run(run: &RunDirectory, data: &DataConfig) -> Result<RunConfig, StudioError> {
    let Some(_lock) = run.lock()? else {
        return Err(StudioError::Conflict(
            "another process trains one of the runs; stop it there".into(),
        ));
    };
    let mut config = run.read_config()?;
    config.data.path.clone_from(&data.path);
    config.data.image_folder.clone_from(&data.image_folder);
    run.write_config(&config)?;
    Ok(config)
}

/// As [`Studio::relink`] for one run on the command line, at once.
///
/// # Errors
/// Names what is wrong with the place, or how its pairs differ.
pub fn relink_run(
    run: &RunDirectory,
    data_sets: &DataSets,
    place: &NewPlace,
) -> Result<(), StudioError> {
    let old = run.read_config()?.data;
    let new = place.of(&old);
    if let Some((field, message)) = protoclip::data::absence(&new) {
        return Err(ConfigErrors::one(field, message).into());
    }
    let set = data_sets.open(&new, &|_, _| true)?;
    check_pairs(run, set.source.fingerprint())
        .map_err(|message| ConfigErrors::one("data.path", message))?;
    point_run(run, &new).map(|_| ())
}

/// Whether a data set has the pairs that the newest checkpoint of a run was trained on.
fn check_pairs(run: &RunDirectory, fingerprint: &str) -> Result<(), String> {
    let Some(newest) = list_checkpoints(run.path()).0.pop() else {
        return Ok(());
    };
    let remembered = listed_files(&newest.path).map(|(header, _)| header.data_fingerprint);
    match remembered {
        Ok(remembered) if remembered != fingerprint => Err(format!(
            "other pairs than {} was trained on: its data had the fingerprint {}, these have {}; point to an unchanged copy, or start a new run",
            newest.path.display(),
            short(&remembered),
            short(fingerprint)
        )),
        _ => Ok(()),
    }
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
