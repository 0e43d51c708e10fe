//! Which checkpoint and which data a command line means.

use std::path::{Path, PathBuf};

use protoclip::config::{DataConfig, DataSource, Holdout};
use protoclip::data::{LabelColumn, PairSource};
use protoclip::eval::{EvaluationOptions, PromptTemplates, parse_class_names};
use protoclip::train::latest_checkpoint;

use crate::cli::UsageError;
use crate::cli::data_path::data_at;
use crate::settings::{EvaluateSettings, data_dir_or_default};
use crate::studio::{DataDir, RunDirectory, RunId};

/// What to open.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) checkpoint: PathBuf,
    /// Without a held-out part: the evaluation needs all pairs.
    pub(super) data: DataConfig,
    /// Which pairs to measure: those asked for, or those that the run holds out.
    pub(super) holdout: Option<Holdout>,
}

impl Inputs {
    pub(super) fn find(settings: &EvaluateSettings) -> anyhow::Result<Self> {
        let (checkpoint, run) = match run_of(settings)? {
            Some(run) => (newest(&run)?, Some(run)),
            None => (
                settings.checkpoint.clone(),
                run_around(&settings.checkpoint),
            ),
        };
        let mut data = match (&settings.data, &run) {
            (Some(path), _) => data_at(path, settings.source)?,
            (None, Some(run)) => run.read_config()?.data,
            (None, None) => {
                let message = "give --data builtin, or --data with a file, folder or shards; only a run brings its own data";
                return Err(UsageError(message.into()).into());
            }
        };
        let holdout = settings.holdout.clone().or_else(|| data.holdout.take());
        data.holdout = None;
        let columns = [
            (&settings.image_column, &mut data.image_column),
            (&settings.caption_column, &mut data.caption_column),
        ];
        for (given, column) in columns {
            if given.is_some() {
                column.clone_from(given);
            }
        }
        if settings.image_folder.is_some() {
            data.image_folder.clone_from(&settings.image_folder);
        }
        if !matches!(data.source, DataSource::Builtin | DataSource::Folder) {
            add_columns(&mut data, settings);
        }
        Ok(Self {
            checkpoint,
            data,
            holdout,
        })
    }
}

/// The run that a checkpoint directory lies in.
fn run_around(checkpoint: &Path) -> Option<RunDirectory> {
    let folder = checkpoint.canonicalize().ok()?.parent()?.to_owned();
    let run = folder.parent()?;
    let inside = folder.ends_with("checkpoints") && run.join("run.json").is_file();
    inside.then(|| RunDirectory::at(run.to_owned()))
}

/// The label columns that are asked for, and the one that splits.
fn add_columns(data: &mut DataConfig, settings: &EvaluateSettings) {
    let splitting = match &settings.holdout {
        Some(Holdout::Column { name, .. }) => Some(name),
        _ => None,
    };
    for name in settings.label_columns.iter().chain(splitting) {
        if !data.label_columns.contains(name) {
            data.label_columns.push(name.clone());
        }
    }
}

/// The run that the command line names by directory or id, if it names one.
fn run_of(settings: &EvaluateSettings) -> anyhow::Result<Option<RunDirectory>> {
    let given = &settings.checkpoint;
    if given.join("run.json").is_file() {
        return Ok(Some(RunDirectory::at(given.clone())));
    }
    if given.exists() {
        return Ok(None);
    }
    let known = |id: &str| -> anyhow::Result<Option<RunDirectory>> {
        let Some(root) = data_dir_or_default(settings.data_dir.clone()).filter(|r| r.is_dir())
        else {
            return Ok(None);
        };
        let data_dir = DataDir::open(&root)?;
        let found = data_dir.run_ids()?.into_iter().find(|k| k.as_str() == id);
        Ok(found.map(|id: RunId| data_dir.run(&id)))
    };
    match given.to_str().map(known).transpose()?.flatten() {
        Some(run) => Ok(Some(run)),
        None => Err(UsageError(format!(
            "{}: there is no such file, directory or run; give a checkpoint's path or a run id (see --data-dir)",
            given.display()
        ))
        .into()),
    }
}

fn newest(run: &RunDirectory) -> anyhow::Result<PathBuf> {
    let found = latest_checkpoint(run.path()).map(|info| info.path);
    found.ok_or_else(|| {
        UsageError(format!(
            "{}: this run has no intact checkpoint yet; let it train on, or give another run",
            run.path().display()
        ))
        .into()
    })
}

/// The options of the command line, checked against the data.
pub(super) fn options(
    settings: &EvaluateSettings,
    inputs: &Inputs,
    data: &dyn PairSource,
) -> anyhow::Result<EvaluationOptions> {
    let label_columns = match settings.label_columns.is_empty() {
        true => None,
        false => Some(settings.label_columns.clone()),
    };
    let templates = match &settings.templates {
        Some(path) => PromptTemplates::parse(&read(path)?, &path.display().to_string())
            .map_err(|e| UsageError(e.to_string()))?,
        None => PromptTemplates::default(),
    };
    Ok(EvaluationOptions {
        seed: settings.seed,
        class_names: class_names(settings, data)?,
        label_columns,
        templates,
        linear_probe: settings.probe,
        holdout: inputs.holdout.clone(),
    })
}

fn class_names(
    settings: &EvaluateSettings,
    data: &dyn PairSource,
) -> anyhow::Result<Option<Vec<String>>> {
    let Some(path) = &settings.classes else {
        return Ok(None);
    };
    let asked = |column: &&LabelColumn| {
        settings.label_columns.is_empty() || settings.label_columns.contains(&column.name)
    };
    let columns: Vec<&LabelColumn> = data.labels().iter().filter(asked).collect();
    let [column] = columns[..] else {
        let names: Vec<&str> = data.labels().iter().map(|c| c.name.as_str()).collect();
        let message = format!(
            "--classes names the classes of one label column; choose it with --label-column (the data set has: {})",
            if names.is_empty() {
                "none".into()
            } else {
                names.join(", ")
            }
        );
        return Err(UsageError(message).into());
    };
    let origin = path.display().to_string();
    let names = parse_class_names(&read(path)?, &origin, &column.name, &column.classes);
    Ok(Some(names.map_err(|e| UsageError(e.to_string()))?))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let read = std::fs::read_to_string(path);
    Ok(read.map_err(|e| UsageError(format!("{}: {e}", path.display())))?)
}
