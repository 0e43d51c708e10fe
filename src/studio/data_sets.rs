//! Data sets that runs refer to: opened once, shared by training and pages.

mod browser;
mod catalogue;
mod repeats;
mod teacher;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use protoclip::config::{DataConfig, DataSource};
use protoclip::data::{DataError, PairSource, SkipReport};
use protoclip::prototypes::CaptionStatistics;
use serde::{Deserialize, Serialize};

use super::picture_hashes::PictureHashes;
use super::{Studio, StudioError};

pub(super) use browser::pair;
pub use browser::{
    CaptionSummary, ClassCount, MOST_PAIRS, PairPage, PairQuery, PairView, SEARCHED,
};
pub use catalogue::ListedDataSet;
pub(super) use catalogue::{path_problem, recall, replace_remembered};
pub use repeats::{MOST_REPEATS, RepeatedPicture, RepeatedPictures};
pub use teacher::{FinishedTeacher, TeacherRequest, TeacherView};

/// Names a data set in URLs: `builtin`, or a hash of its settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataSetId(String);

/// An open data set with what is derived from it.
#[derive(Debug)]
pub struct DataSet {
    pub id: DataSetId,
    pub source: Arc<dyn PairSource>,
    /// Which samples show the same picture.
    pub(crate) pictures: Arc<PictureHashes>,
    statistics: OnceLock<CaptionStatistics>,
    summary: OnceLock<CaptionSummary>,
}

/// All data sets that were named by a run.
#[derive(Debug, Default)]
pub struct DataSets {
    known: Mutex<HashMap<DataSetId, Arc<Slot>>>,
}

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataSetView {
    pub id: DataSetId,
    pub name: String,
    /// Usable pairs.
    pub pairs: usize,
    /// Pairs that one balanced pass draws.
    pub balanced_pairs: usize,
    pub fingerprint: String,
    /// Label columns, each with its number of classes.
    pub labels: Vec<(String, usize)>,
    /// Rows that cannot be used.
    pub skipped: SkipReport,
}

/// One data set; its lock is held while it is opened, so that it is opened once.
#[derive(Debug)]
struct Slot {
    config: DataConfig,
    open: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    set: Arc<DataSet>,
    /// Of the data set's files when it was opened.
    files: Option<String>,
}

/// Captions that the word statistics look at, evenly spread over the data set.
const STATISTICS_CAPTIONS: usize = 50_000;

impl DataSetId {
    /// The id of the data set with these settings.
    pub fn of(config: &DataConfig) -> Self {
        // Pairs that are held out make another data set of it.
        if config.source == DataSource::Builtin && config.holdout.is_none() {
            return Self("builtin".into());
        }
        let text = serde_json::to_vec(config).unwrap_or_default();
        Self(blake3::hash(&text).to_hex()[..16].to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DataSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for DataSetId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl DataSet {
    fn new(id: DataSetId, source: Arc<dyn PairSource>) -> Self {
        Self {
            id,
            pictures: Arc::new(PictureHashes::new(source.len())),
            source,
            statistics: OnceLock::new(),
            summary: OnceLock::new(),
        }
    }

    /// Word counts of the captions, computed at the first call.
    pub fn statistics(&self) -> &CaptionStatistics {
        self.statistics.get_or_init(|| {
            let stride = self.source.len().div_ceil(STATISTICS_CAPTIONS).max(1);
            let captions: Vec<String> = (0..self.source.len())
                .step_by(stride)
                .filter_map(|sample| self.source.caption(sample as u32).ok())
                .collect();
            CaptionStatistics::of(captions.iter().map(String::as_str))
        })
    }
}

impl DataSets {
    /// Makes the data set of a run known, so that its id can be asked for.
    pub fn register(&self, config: &DataConfig) -> DataSetId {
        let id = DataSetId::of(config);
        self.slot(&id, config);
        id
    }

    /// The data set with this id, opened when it is not yet.
    ///
    /// # Errors
    /// When no run names it or it cannot be opened.
    pub fn get(&self, id: &DataSetId) -> Result<Arc<DataSet>, StudioError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = known.get(id).cloned();
        drop(known);
        let slot =
            slot.ok_or_else(|| StudioError::NotFound(format!("no run uses a data set {id}")))?;
        Ok(slot.open(id, &|_, _| true)?)
    }

    /// Opens the data set of a configuration, or gives the open one when its file is unchanged.
    /// `progress` gets done and total and cancels by answering `false`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(
        &self,
        config: &DataConfig,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<Arc<DataSet>, DataError> {
        let id = DataSetId::of(config);
        self.slot(&id, config).open(&id, progress)
    }

    /// The data set if it is open already.
    pub fn opened(&self, config: &DataConfig) -> Option<Arc<DataSet>> {
        let slot = self.slot(&DataSetId::of(config), config);
        let open = slot.open.try_lock().ok()?;
        open.as_ref().map(|opened| Arc::clone(&opened.set))
    }

    /// Lets go of a data set that nothing names any more.
    pub(super) fn forget(&self, id: &DataSetId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(id);
    }

    fn slot(&self, id: &DataSetId, config: &DataConfig) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = known.entry(id.clone()).or_insert_with(|| {
            Arc::new(Slot {
                config: config.clone(),
                open: Mutex::new(None),
            })
        });
        Arc::clone(slot)
    }
}

impl Studio {
    /// Opens a data set and says what it holds.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_data_set(&self, config: DataConfig) -> Result<DataSetView, StudioError> {
        let id = self.data_sets.register(&config);
        self.data_set(&id)
    }

    /// What a data set holds that a run named.
    ///
    /// # Errors
    /// When no run named it or it cannot be opened.
    pub fn data_set(&self, id: &DataSetId) -> Result<DataSetView, StudioError> {
        let set = self.data_sets.get(id)?;
        let facts = set.source.facts();
        let labels = set.source.labels().iter();
        Ok(DataSetView {
            id: id.clone(),
            name: set.source.name().to_owned(),
            pairs: facts.pairs,
            balanced_pairs: facts.balanced_pairs,
            fingerprint: set.source.fingerprint().to_owned(),
            labels: labels
                .map(|column| (column.name.clone(), column.classes.len()))
                .collect(),
            skipped: set.source.skipped(),
        })
    }
}

impl Slot {
    fn open(
        &self,
        id: &DataSetId,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<Arc<DataSet>, DataError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let files = protoclip::data::stamp(&self.config);
        if let Some(opened) = open.as_ref().filter(|opened| opened.files == files) {
            return Ok(Arc::clone(&opened.set));
        }
        let source = protoclip::data::open(&self.config, progress)?;
        let set = Arc::new(DataSet::new(id.clone(), source));
        *open = Some(Opened {
            set: Arc::clone(&set),
            files,
        });
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_settings_not_files_on_disk() {
        let builtin = DataConfig::default();
        assert_eq!(DataSetId::of(&builtin).as_str(), "builtin");
        let csv = DataConfig {
            source: DataSource::Csv,
            path: Some("/secret/pairs.csv".into()),
            ..DataConfig::default()
        };
        let id = DataSetId::of(&csv);
        assert_eq!(id, DataSetId::of(&csv));
        assert_eq!(id.as_str().len(), 16);
        assert!(!id.as_str().contains("secret"));
    }

    #[test]
    fn the_built_in_data_without_held_out_pairs_is_another_set() {
        let whole = DataConfig::default();
        let part = DataConfig {
            holdout: Some("sha1:10".parse().expect("a rule")),
            ..DataConfig::default()
        };
        assert_ne!(DataSetId::of(&whole), DataSetId::of(&part));
        let sets = DataSets::default();
        sets.register(&whole);
        let open = |config| sets.open(config, &|_, _| true).expect("opens").source.len();
        assert!(open(&part) < open(&whole));
    }

    #[test]
    fn a_data_set_that_no_run_names_is_not_found() {
        let error = DataSets::default()
            .get(&"builtin".into())
            .expect_err("unknown");
        assert!(matches!(error, StudioError::NotFound(_)));
    }
}
