//! Runs of other programs, from their TensorBoard event files: finished runs with curves and a log,
//! and nothing else.
//!
//! Each folder with event files is one run, as TensorBoard has it. The directory of a run becomes
//! visible complete; when an import fails or is cancelled, the runs that it made go again.

mod logdir;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protoclip::config::{ConfigErrors, RunConfig};
use protoclip::train::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::logdir::{LoggedRun, logged_runs};
use super::data_dir::DataDir;
use super::edit::line;
use super::run_directory::{CurveOrigin, RunDirectory, RunMeta};
use super::run_log::{LineKind, NewLine};
use super::run_snapshot::RunSnapshot;
use super::run_store::{Batch, Point, RunStore};
use super::tensorboard::Curves;
use super::typed_path::folder_problem;
use super::work::{WorkFailure, WorkKind, WorkView};
use super::{RunId, RunState, Studio, StudioError};

/// What to import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurveRequest {
    /// A folder of this machine with event files, in it or below it.
    pub directory: String,
    /// What the run is called; the folder's name when empty. Runs of folders below it have their
    /// path behind it.
    pub name: String,
}

/// A run that an import made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedCurves {
    pub id: RunId,
    pub name: String,
    pub curves: usize,
    pub points: usize,
    /// What was left out, a sentence each.
    pub notes: Vec<String>,
}

/// Why an import made no runs.
#[derive(Debug, thiserror::Error)]
pub enum CurveImportError {
    #[error("the import was cancelled")]
    Cancelled,
    #[error("{0}")]
    NoCurves(String),
    #[error(transparent)]
    Studio(#[from] StudioError),
}

/// Points per transaction.
const POINTS_PER_COMMIT: usize = 10_000;

impl Studio {
    /// Starts to import the curves of other programs, in the background.
    ///
    /// # Errors
    /// Names each field that cannot work; when too much work is under way.
    pub fn import_curves(&self, request: &CurveRequest) -> Result<WorkView, StudioError> {
        let directory = PathBuf::from(request.directory.trim());
        let name = checked(request, &directory)?;
        let (data_dir, studio) = (self.data_dir.clone(), self.own.clone());
        let subject = directory.display().to_string();
        self.work
            .begin(WorkKind::ImportCurves, &subject, move |progress| {
                let report = |done, total| progress.report("reading files", done, total);
                let made = import_curves(&data_dir, &directory, &name, &report);
                let made = made.map_err(|error| match error {
                    CurveImportError::Cancelled => WorkFailure::Cancelled,
                    CurveImportError::NoCurves(message) => {
                        WorkFailure::Failed(Some("directory"), message)
                    }
                    CurveImportError::Studio(error) => WorkFailure::of(error),
                })?;
                // Listed before the work is seen to have ended.
                if let Some(studio) = studio.upgrade() {
                    studio.look_around().map_err(WorkFailure::of)?;
                }
                Ok(told(&made))
            })
    }
}

fn checked(request: &CurveRequest, directory: &Path) -> Result<String, ConfigErrors> {
    if let Some(problem) = folder_problem(directory, "give the path of a folder on this machine") {
        return Err(ConfigErrors::one("directory", problem));
    }
    match request.name.trim() {
        "" => Ok(String::new()),
        name => line("name", name),
    }
}

/// What an import made, in a sentence.
fn told(made: &[ImportedCurves]) -> String {
    let points: usize = made.iter().map(|run| run.points).sum();
    let curves: usize = made.iter().map(|run| run.curves).sum();
    let mut said = format!("{} runs, {curves} curves, {points} points", made.len());
    for run in made {
        for note in &run.notes {
            said += &format!("; {}: {note}", run.name);
        }
    }
    said
}

/// Makes a finished run of each folder with event files in `directory` and below it. `report` hears
/// bytes done and in all, and answers whether to go on.
///
/// # Errors
/// When there are no curves, a file cannot be read or written, or `report` says so; no run is left
/// then.
pub fn import_curves(
    data_dir: &DataDir,
    directory: &Path,
    name: &str,
    report: &dyn Fn(u64, u64) -> bool,
) -> Result<Vec<ImportedCurves>, CurveImportError> {
    let found = logged_runs(directory, &|| report(0, 0)).map_err(StudioError::io(directory))?;
    let found = found.ok_or(CurveImportError::Cancelled)?;
    if found.is_empty() {
        return Err(CurveImportError::NoCurves(format!(
            "{} has no event files, in it or below it; their names contain tfevents",
            directory.display()
        )));
    }
    let mut made = Vec::new();
    let ended = import_all(data_dir, directory, name, &found, report, &mut made);
    let ended = match ended {
        Ok(()) if made.is_empty() => Err(CurveImportError::NoCurves(format!(
            "the event files of {} hold no curves",
            directory.display()
        ))),
        ended => ended,
    };
    if ended.is_err() {
        for run in &made {
            let path = data_dir.run(&run.id);
            if let Err(error) = std::fs::remove_dir_all(path.path()) {
                tracing::warn!(run = %run.id, %error, "a run of a failed import stays");
            }
        }
    }
    ended.map(|()| made)
}

fn import_all(
    data_dir: &DataDir,
    directory: &Path,
    name: &str,
    found: &[LoggedRun],
    report: &dyn Fn(u64, u64) -> bool,
    made: &mut Vec<ImportedCurves>,
) -> Result<(), CurveImportError> {
    let total = found.iter().map(|run| run.bytes).sum();
    let done = std::cell::Cell::new(0);
    for run in found {
        let go_on = |bytes: u64| {
            done.set(done.get() + bytes);
            report(done.get(), total)
        };
        let curves = Curves::read(&run.files, &go_on).map_err(StudioError::io(&run.folder))?;
        let curves = curves.ok_or(CurveImportError::Cancelled)?;
        if !curves.points.is_empty() {
            made.push(import_one(
                data_dir,
                run,
                run.called(directory, name),
                &curves,
            )?);
        }
    }
    Ok(())
}

fn import_one(
    data_dir: &DataDir,
    run: &LoggedRun,
    name: String,
    curves: &Curves,
) -> Result<ImportedCurves, StudioError> {
    let now = Timestamp::now();
    let meta = RunMeta {
        id: RunId::of_import(now),
        name,
        tags: vec!["imported".into()],
        created: now,
        program: format!("protoclip-studio {}", env!("CARGO_PKG_VERSION")),
        forked_from: None,
        imported: Some(origin(run, curves)),
    };
    let notes = curves.skipped.sentences();
    data_dir
        .run(&meta.id)
        .create_with(&meta, None, |staged| fill(staged, &meta, curves, &notes))?;
    Ok(ImportedCurves {
        id: meta.id,
        name: meta.name,
        curves: curves.points.len(),
        points: curves.count(),
        notes,
    })
}

fn origin(run: &LoggedRun, curves: &Curves) -> CurveOrigin {
    let name = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let recorded = curves
        .recorded
        .and_then(|(first, last)| Some((time(first)?, time(last)?)));
    CurveOrigin {
        directory: run.folder.display().to_string(),
        files: run.files.iter().map(name).collect(),
        recorded,
    }
}

/// Seconds since 1970 as a time, where there is such a time.
fn time(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
}

fn fill(
    run: &RunDirectory,
    meta: &RunMeta,
    curves: &Curves,
    notes: &[String],
) -> Result<(), StudioError> {
    let mut store = RunStore::open(&run.database())?;
    let snapshot = finished(curves, meta);
    let mut batch = Batch {
        points: Vec::new(),
        lines: log(curves, meta, notes),
    };
    for (tag, points) in &curves.points {
        for &(step, value) in points {
            batch.points.push(Point {
                tag: tag.clone().into(),
                step,
                value,
            });
            if batch.points.len() >= POINTS_PER_COMMIT {
                store.commit(&std::mem::take(&mut batch), &snapshot)?;
            }
        }
    }
    store.commit_durably(&batch, &snapshot)?;
    Ok(())
}

/// A run that ended with the last recorded step.
fn finished(curves: &Curves, meta: &RunMeta) -> RunSnapshot {
    let recorded = meta.imported.as_ref().and_then(|origin| origin.recorded);
    let mut snapshot = RunSnapshot::queued(&RunConfig::default());
    snapshot.enter(RunState::Finished, None);
    snapshot.step = curves.last_step();
    snapshot.total_steps = snapshot.step;
    snapshot.total_episodes = 0;
    snapshot.batch_size = 0;
    snapshot.updated = recorded.map(|(_, last)| last);
    snapshot.trained_seconds = recorded.map_or(0.0, |(first, last)| {
        last.duration_since(first).as_secs_f64()
    });
    for (tag, points) in &curves.points {
        let newest = points.iter().rev().find(|point| point.1.is_finite());
        if let Some((_, value)) = newest {
            snapshot.latest.insert(tag.clone(), *value);
        }
    }
    snapshot
}

/// The log: begin and end as recorded, from which the clock of the run is read, then what the import
/// has to say.
fn log(curves: &Curves, meta: &RunMeta, notes: &[String]) -> Vec<NewLine> {
    let Some(origin) = &meta.imported else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut add = |step, time: Option<Timestamp>, kind, message: String, data| {
        let mut line = NewLine::new(step, kind, message, data);
        line.time = time.unwrap_or(line.time);
        lines.push(line);
    };
    let last = curves.last_step();
    let first = curves.points.values().filter_map(|curve| curve.first());
    let first = first.map(|point| point.0).min().unwrap_or(0);
    if let Some((begin, end)) = origin.recorded {
        let none = serde_json::Value::Null;
        add(
            first,
            Some(begin),
            LineKind::Started,
            "the first point was recorded".into(),
            none,
        );
        let data = json!({"state": RunState::Finished});
        add(
            last,
            Some(end),
            LineKind::State,
            "the last point was recorded".into(),
            data,
        );
    }
    let read = format!(
        "imported from {} event files of {}: {} curves, {} points",
        origin.files.len(),
        origin.directory,
        curves.points.len(),
        curves.count()
    );
    let data = json!({"state": RunState::Finished, "imported": origin});
    add(last, None, LineKind::State, read, data);
    lines.extend(notes.iter().map(|note| NewLine {
        level: LogLevel::Warning,
        ..NewLine::new(
            last,
            LineKind::Message,
            note.clone(),
            serde_json::Value::Null,
        )
    }));
    lines
}

#[cfg(test)]
mod tests;
