//! The data sets that runs or people named; those that people added are kept in `datasets.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use protoclip::config::{ConfigErrors, DataConfig, DataSource};
use protoclip::data::is_remote;
use serde::Serialize;

use super::super::data_dir::DataDir;
use super::super::run_directory::write_durably;
use super::super::typed_path::NOT_WHOLE;
use super::super::work::{WorkFailure, WorkKind, WorkView};
use super::super::{RunId, Studio, StudioError, data_name};
use super::{DataSetId, DataSets};

/// A data set in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedDataSet {
    pub id: DataSetId,
    pub name: String,
    pub source: DataSource,
    pub path: Option<PathBuf>,
    /// Usable pairs, when it is open already.
    pub pairs: Option<usize>,
    /// Rows that cannot be used, when it is open already.
    pub skipped: Option<u64>,
    /// Runs that use it, the newest first.
    pub runs: Vec<RunId>,
    /// Why its files cannot be opened, when they are not where they were.
    pub missing: Option<String>,
}

impl ListedDataSet {
    /// One that is being opened for the first time.
    pub fn unknown(id: &DataSetId) -> Self {
        Self {
            id: id.clone(),
            name: id.to_string(),
            source: DataSource::Csv,
            path: None,
            pairs: None,
            skipped: None,
            runs: Vec::new(),
            missing: None,
        }
    }
}

const FILE: &str = "datasets.json";

impl DataSets {
    /// The settings of a known data set.
    pub fn config(&self, id: &DataSetId) -> Option<DataConfig> {
        if *id == DataSetId::of(&DataConfig::default()) {
            return Some(DataConfig::default());
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).map(|slot| slot.config.clone())
    }

    fn configs(&self) -> Vec<DataConfig> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|slot| slot.config.clone()).collect()
    }
}

/// Makes the data sets known that people added earlier, and the built-in one.
pub(crate) fn recall(data_dir: &DataDir, data_sets: &DataSets) {
    data_sets.register(&DataConfig::default());
    let path = data_dir.root().join(FILE);
    let Ok(bytes) = fs::read(&path) else {
        return;
    };
    match serde_json::from_slice::<Vec<DataConfig>>(&bytes) {
        Ok(configs) => configs.iter().for_each(|config| {
            data_sets.register(config);
        }),
        Err(error) => tracing::warn!(path = %path.display(), %error, "data sets are not listed"),
    }
}

impl Studio {
    /// Every known data set: the built-in one first, then by name.
    pub fn data_sets(&self) -> Vec<ListedDataSet> {
        let runs = self.runs();
        let listed = |config: DataConfig| {
            let id = DataSetId::of(&config);
            let open = self.data_sets.opened(&config);
            let using = runs.iter().filter(|run| run.data_set.as_ref() == Some(&id));
            ListedDataSet {
                name: data_name(&config),
                source: config.source,
                pairs: open.as_ref().map(|set| set.source.len()),
                skipped: open.as_ref().map(|set| set.source.skipped().skipped),
                runs: using.map(|run| run.id.clone()).collect(),
                missing: protoclip::data::absence(&config).map(|(_, message)| message),
                path: config.path,
                id,
            }
        };
        let mut all: Vec<ListedDataSet> =
            self.data_sets.configs().into_iter().map(listed).collect();
        all.sort_by(|a, b| {
            (a.path.is_some(), &a.name, &a.path).cmp(&(b.path.is_some(), &b.name, &b.path))
        });
        all
    }

    /// Starts to open a data set in the background; once open it is remembered beyond the end of the
    /// program.
    ///
    /// # Errors
    /// Names the field that cannot work; when too much work is under way.
    pub fn add_data_set(&self, config: DataConfig) -> Result<(DataSetId, WorkView), StudioError> {
        if let Some((field, message)) = path_problem(&config) {
            return Err(ConfigErrors::one(field, message).into());
        }
        let id = DataSetId::of(&config);
        let (data_sets, list) = (Arc::clone(&self.data_sets), self.data_dir.root().join(FILE));
        let work = self
            .work
            .begin(WorkKind::OpenData, id.as_str(), move |progress| {
                let report = |done, total| progress.report("looking at rows", done, total);
                let opened = data_sets.open(&config, &report);
                let set = opened.map_err(|error| match progress.go_on() {
                    true => WorkFailure::Failed(Some("data.path"), error.to_string()),
                    false => WorkFailure::Cancelled,
                })?;
                remember(&list, config).map_err(WorkFailure::of)?;
                let skipped = set.source.skipped().skipped;
                Ok(format!(
                    "{} usable pairs, {skipped} rows that cannot be used",
                    set.source.len()
                ))
            })?;
        Ok((id, work))
    }

    /// Opens a known data set again, in the background.
    ///
    /// # Errors
    /// When none has this id or too much work is under way.
    pub fn reopen_data_set(&self, id: &DataSetId) -> Result<WorkView, StudioError> {
        Ok(self.add_data_set(self.known_data_set(id)?)?.1)
    }

    /// The settings of a known data set.
    ///
    /// # Errors
    /// When none has this id.
    pub fn known_data_set(&self, id: &DataSetId) -> Result<DataConfig, StudioError> {
        let config = self.data_sets.config(id);
        config.ok_or_else(|| StudioError::NotFound(format!("there is no data set {id}")))
    }

    /// Why the files of a known data set cannot be opened, when they are not where they were.
    pub fn missing_data(&self, id: &DataSetId) -> Option<String> {
        let config = self.data_sets.config(id)?;
        protoclip::data::absence(&config).map(|(_, message)| message)
    }

    /// Whether a known data set can be looked at without waiting: open, or built in.
    pub fn data_set_is_open(&self, id: &DataSetId) -> bool {
        let config = self.data_sets.config(id);
        config.is_some_and(|config| {
            config.source == DataSource::Builtin || self.data_sets.opened(&config).is_some()
        })
    }
}

/// What keeps a data set from being opened that can be seen at once: the setting and a message.
pub(in crate::studio) fn path_problem(config: &DataConfig) -> Option<(&'static str, String)> {
    let given = config.path.as_deref().filter(|p| !p.as_os_str().is_empty());
    match (config.source, given) {
        (DataSource::Builtin, _) => None,
        (_, None) => Some(("data.path", "give a file or folder on this machine".into())),
        (_, Some(path)) if !path.is_absolute() && !is_remote(path) => {
            Some(("data.path", format!("{NOT_WHOLE}, or with s3://")))
        }
        (_, Some(_)) => protoclip::data::absence(config),
    }
}

/// Adds a data set to the list on disk; readers see the old list or the new one.
fn remember(path: &Path, config: DataConfig) -> Result<(), StudioError> {
    let mut kept = remembered(path);
    let id = DataSetId::of(&config);
    if config.source == DataSource::Builtin || kept.iter().any(|k| DataSetId::of(k) == id) {
        return Ok(());
    }
    kept.push(config);
    write_list(path, &kept)
}

/// Puts a data set in the place of another in the list on disk, where that was listed.
pub(in crate::studio) fn replace_remembered(
    data_dir: &DataDir,
    old: &DataSetId,
    new: DataConfig,
) -> Result<(), StudioError> {
    let path = data_dir.root().join(FILE);
    let mut kept = remembered(&path);
    let before = kept.len();
    kept.retain(|known| DataSetId::of(known) != *old);
    if kept.len() == before {
        return Ok(());
    }
    write_list(&path, &kept)?;
    remember(&path, new)
}

fn remembered(path: &Path) -> Vec<DataConfig> {
    let kept = fs::read(path).ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Vec<DataConfig>>(&bytes).ok());
    kept.unwrap_or_default()
}

fn write_list(path: &Path, list: &[DataConfig]) -> Result<(), StudioError> {
    let text = serde_json::to_vec_pretty(list).map_err(|e| StudioError::format(path, e))?;
    write_durably(path, &text)
}
