//! The data sets that runs or people named; those that people added are kept in `datasets.json`.

use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;

use protoclip::config::{ConfigErrors, DataConfig, DataSource};
use serde::Serialize;

use super::super::data_dir::DataDir;
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
    /// Whether its file or folder is where it was.
    pub present: bool,
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
            let using = runs.iter().filter(|run| run.data_set == id);
            ListedDataSet {
                name: data_name(&config),
                source: config.source,
                pairs: open.as_ref().map(|set| set.source.len()),
                skipped: open.as_ref().map(|set| set.source.skipped().skipped),
                runs: using.map(|run| run.id.clone()).collect(),
                present: config.path.as_ref().is_none_or(|path| path.exists()),
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

    /// Opens a data set and remembers it beyond the end of the program.
    ///
    /// # Errors
    /// Names the field that keeps it from being opened; when the list cannot be written.
    pub fn add_data_set(&self, config: DataConfig) -> Result<DataSetId, StudioError> {
        let given = config.path.as_deref().filter(|p| !p.as_os_str().is_empty());
        let wrong = |message: String| Err(ConfigErrors::one("data.path", message).into());
        match (config.source, given) {
            (DataSource::Builtin, _) => {}
            (_, None) => return wrong("give a file or folder on this machine".into()),
            (_, Some(path)) if !path.is_absolute() => {
                return wrong("give the whole path, beginning with /".into());
            }
            (_, Some(path)) if !path.exists() => {
                return wrong(format!("{} does not exist", path.display()));
            }
            _ => {}
        }
        let opened = self.data_sets.open(&config, &|_, _| true);
        if let Err(error) = opened {
            return wrong(error.to_string());
        }
        let id = DataSetId::of(&config);
        self.remember(config)?;
        Ok(id)
    }

    fn remember(&self, config: DataConfig) -> Result<(), StudioError> {
        let path = self.data_dir.root().join(FILE);
        let kept = fs::read(&path).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Vec<DataConfig>>(&bytes).ok());
        let mut kept = kept.unwrap_or_default();
        let id = DataSetId::of(&config);
        if config.source == DataSource::Builtin || kept.iter().any(|k| DataSetId::of(k) == id) {
            return Ok(());
        }
        kept.push(config);
        let text = serde_json::to_vec_pretty(&kept).map_err(|e| StudioError::format(&path, e))?;
        let staged = path.with_extension("tmp");
        fs::write(&staged, text).map_err(StudioError::io(&staged))?;
        fs::rename(&staged, &path).map_err(StudioError::io(&path))
    }
}
