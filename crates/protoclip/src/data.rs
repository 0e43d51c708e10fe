//! Image–caption pairs: where they come from and how they become batches.
//!
//! A [`PairSource`] gives random access to pairs by [`SampleId`]. It knows no model and no episode.

mod augment;
mod batcher;
mod blur;
mod builtin;
mod cache;
mod cache_folder;
mod coco;
mod colour;
mod csv;
mod data_file;
mod decode;
mod draw;
mod failures;
mod fetched;
mod folder;
mod kept_index;
mod labelling;
mod local_copy;
mod object_reader;
mod parquet;
mod picture_folder;
mod presence;
mod preview;
#[cfg(test)]
mod remote_tests;
mod sampler;
#[cfg(test)]
pub(crate) mod scripted;
mod shard_files;
mod shared_pictures;
mod split;
mod text_list;
mod transform;
mod webdataset;
mod window;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::config::{DataConfig, DataFacts, DataSource};

pub use batcher::{
    Batch, BatchMode, Batcher, BatcherConfig, Batches, CACHE_BYTES, PREFETCH, Replacement,
};
pub use builtin::BuiltinSource;
pub use cache_folder::{CacheFolder, gibibytes, keep_indexes_in};
pub use coco::CocoSource;
pub use csv::CsvSource;
pub use decode::{LARGEST_DECODE, LARGEST_SIDE, decode_picture};
pub(crate) use draw::{Purpose, generator};
pub use failures::{SkipReason, SkipReport, SkippedRow};
pub use folder::FolderSource;
pub use object_reader::{
    Depth, ListedObject, ObjectError, ObjectReader, ObjectStamp, Patience, Wanted, is_remote,
    read_objects_with, split_url,
};
pub use parquet::ParquetSource;
pub use presence::{absence, kind_of, stamp};
pub use preview::{TrainingPictures, picture_of};
pub use sampler::EpisodeSampler;
pub use split::{held_out, training_part};
pub use transform::{MEAN, STD, Transform};
pub use webdataset::WebDatasetSource;
#[cfg(test)]
pub(crate) use webdataset::tar_fixture;

/// Index of a usable pair in its source, stable while the source's fingerprint is.
pub type SampleId = u32;

/// Random access to the pairs of one data set. Shared between threads.
pub trait PairSource: Send + Sync + fmt::Debug {
    /// What a person calls it: `built-in emoji`, or the file name.
    fn name(&self) -> &str;

    /// Number of usable pairs.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The caption of a pair, never empty.
    ///
    /// # Errors
    /// When the row can no longer be read.
    fn caption(&self, sample: SampleId) -> Result<String, DataError>;

    /// The decoded picture, transparency composited on white.
    ///
    /// # Errors
    /// When the file is gone or cannot be decoded; the message names it.
    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError>;

    /// Where the pair comes from, for people: a path and row, or a character.
    fn origin(&self, sample: SampleId) -> String;

    /// Label columns for evaluation; model and teacher never see them.
    fn labels(&self) -> &[LabelColumn];

    /// For each pair, the group of near-copies it belongs to (skin tones of one emoji), when an
    /// episode should draw one member per group. `None` when every pair stands for itself.
    fn balance_groups(&self) -> Option<&[u32]>;

    /// Hash of what the data set holds; a checkpoint remembers it.
    fn fingerprint(&self) -> &str;

    /// Rows that cannot be used.
    fn skipped(&self) -> SkipReport;

    /// Sizes that decide whether a configuration fits.
    fn facts(&self) -> DataFacts;

    /// Number of the pair's row among all rows of its source, unusable ones included, from 0.
    /// Features computed elsewhere for every row are aligned by it.
    fn record_number(&self, sample: SampleId) -> u64 {
        u64::from(sample)
    }

    /// What names the pair in a split by hash: for a file, its name without folder and extension.
    ///
    /// # Errors
    /// When the row can no longer be read.
    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        Ok(self.record_number(sample).to_string())
    }

    /// For each pair, a number that it shares with the other captions of the same picture. `None`
    /// when every pair has a picture of its own.
    fn picture_groups(&self) -> Option<&[u32]> {
        None
    }

    /// For each pair of a part its number among all usable pairs, and how many those are. `None` for a
    /// whole data set.
    fn in_whole(&self) -> Option<(&[SampleId], usize)> {
        None
    }

    /// Whether reading a picture means waiting for a network, so that it pays to say early which are
    /// next.
    fn is_remote(&self) -> bool {
        false
    }

    /// Fetches pictures that will be asked for soon, many at a time, as far as there is room for them.
    ///
    /// # Errors
    /// When storage cannot be reached; what is wrong with a single picture is said when it is asked for.
    fn fetch(&self, _samples: &[SampleId]) -> Result<(), DataError> {
        Ok(())
    }

    /// The pairs that this training part leaves out; `None` when it is a whole data set.
    fn held_out(&self) -> Option<Arc<dyn PairSource>> {
        None
    }
}

/// A column of class labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelColumn {
    pub name: String,
    pub classes: Vec<String>,
    /// Index into `classes` for every pair.
    pub of_sample: Arc<[u32]>,
}

impl LabelColumn {
    /// Class of the pairs whose label is empty.
    pub const UNLABELLED: &str = "(none)";
}

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{origin}: the image cannot be decoded: {message}; remove the row or replace the file")]
    Image { origin: String, message: String },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
    /// An object on S3-compatible storage; never a reason to call a pair broken.
    #[error("{url}: {error}")]
    Object { url: String, error: ObjectError },
    #[error("cancelled")]
    Cancelled,
}

impl DataError {
    /// What the system said about a file or folder.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            source,
        }
    }

    /// What storage said of an object.
    pub(crate) fn object(url: &str, error: ObjectError) -> Self {
        let url = url.to_owned();
        Self::Object { url, error }
    }

    /// What is wrong with the content of a place: a path for display or a source's name.
    pub(crate) fn format(place: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::Format {
            path: place.to_string(),
            message: message.into(),
        }
    }

    /// Threads that the operating system refuses.
    fn threads(source: std::io::Error) -> Self {
        Self::Io {
            path: "starting the batch threads".into(),
            source,
        }
    }

    /// A sample number that a source does not have.
    fn no_such_sample(name: &str, sample: SampleId, pairs: usize) -> Self {
        let message = format!("there is no sample {sample}, it has {pairs} pairs");
        Self::format(name, message)
    }
}

/// Progress of opening a source; return `false` to cancel.
pub type OpenProgress<'a> = &'a (dyn Fn(u64, u64) -> bool + Sync);

/// Opens the data set that a configuration names; where it holds pairs out, its training part.
///
/// # Errors
/// When the file is absent, has no usable row, or too large a share of broken ones, or the pairs to
/// hold out cannot be found.
pub fn open(
    config: &DataConfig,
    progress: OpenProgress<'_>,
) -> Result<Arc<dyn PairSource>, DataError> {
    let whole = open_whole(config, progress)?;
    match &config.holdout {
        None => Ok(whole),
        Some(holdout) => training_part(whole, holdout),
    }
}

/// Opens all pairs of a data set, whatever is held out.
///
/// # Errors
/// As [`open`].
pub fn open_whole(
    config: &DataConfig,
    progress: OpenProgress<'_>,
) -> Result<Arc<dyn PairSource>, DataError> {
    if let Some(message) = presence::unsupported(config) {
        return Err(DataError::format("data.path", message));
    }
    match config.source {
        DataSource::Builtin => {
            let source = BuiltinSource::new();
            let pairs = source.len() as u64;
            if progress(pairs, pairs) {
                Ok(Arc::new(source))
            } else {
                Err(DataError::Cancelled)
            }
        }
        DataSource::Csv => Ok(Arc::new(CsvSource::open(config, progress)?)),
        DataSource::Folder => Ok(Arc::new(FolderSource::open(config, progress)?)),
        DataSource::WebDataset => Ok(Arc::new(WebDatasetSource::open(config, progress)?)),
        DataSource::Parquet => Ok(Arc::new(ParquetSource::open(config, progress)?)),
        DataSource::Coco => Ok(Arc::new(CocoSource::open(config, progress)?)),
    }
}
